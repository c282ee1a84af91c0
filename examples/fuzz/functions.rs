//! Functions, coroutines and to-be-closed variables at random. Imports `scope`, `tree`.

use super::scope::{Gen, Kind};
use super::tree::{Node, expr, stmt};

impl Gen<'_> {
    /// `function` or a name after it, parameters, a body and `end`.
    pub fn function_body(&mut self, head: &str) -> Node {
        let parameters: Vec<String> = (0..self.dice.below(4)).map(|_| self.unique("p")).collect();
        let varargs = self.dice.chance(35);
        let mut list = parameters.clone();
        if varargs {
            list.push("...".into());
        }
        let (body, result) = self.in_function(varargs, |g| {
            for name in &parameters {
                g.declare(name, Kind::Any);
            }
            let body = g.open_block();
            (body, g.result())
        });
        expr![head, "(", list.join(", "), ") tick()\n", body, result, "\nend"]
    }

    /// The end of a function.
    pub fn result(&mut self) -> Node {
        let d = self.depth_of_expressions();
        match self.dice.below(6) {
            0 => stmt![""],
            1 if self.has_varargs => stmt!["return ..."],
            2 => stmt!["return ", self.call(d)],
            _ => stmt!["return ", self.list(Kind::Any, 1, 3, d)],
        }
    }

    pub fn local_function(&mut self) -> Node {
        let name = self.unique("f");
        match self.dice.below(4) {
            0 => {
                let Some(record) = self.var(Kind::Record) else { return self.local_function_named(&name) };
                let separator = self.dice.pick(&[".", ":"]);
                let head = format!("function {record}{separator}{}", self.key());
                let body = self.function_body(&head);
                stmt![body]
            }
            1 => {
                // A recursion of a known depth.
                self.declare(&name, Kind::Func);
                let body = self.in_function(true, |g| {
                    g.declare("depth", Kind::Int);
                    let body = g.open_block();
                    (body, g.any(1))
                });
                let (before, after) = self.dice.pick(&[("", ""), ("(", ")"), ("1, ", ""), ("", ", 2")]);
                stmt![
                    "local function ",
                    &name,
                    "(depth, ...) tick() if depth == nil or depth < 1 then return ",
                    body.1,
                    " end\n",
                    body.0,
                    "return ",
                    before,
                    &name,
                    "(depth - 1, ...)",
                    after,
                    "\nend\nout(pcall(",
                    &name,
                    ", 3, ",
                    self.list(Kind::Any, 0, 2, 1),
                    "))"
                ]
            }
            _ => self.local_function_named(&name),
        }
    }

    pub fn local_function_named(&mut self, name: &str) -> Node {
        let body = self.function_body(&format!("local function {name}"));
        self.declare(name, Kind::Func);
        stmt![body]
    }

    pub fn coroutine_body(&mut self) -> Node {
        let before = std::mem::replace(&mut self.in_coroutine, true);
        let parameter = self.unique("p");
        let (body, result) = self.in_function(true, |g| {
            g.declare(&parameter, Kind::Any);
            let mut statements = Vec::new();
            for _ in 0..g.dice.between(1, 4) {
                statements.push(g.statement());
                if g.dice.chance(60) {
                    statements.push(g.yielding());
                }
            }
            (Node::Block(statements), g.result())
        });
        self.in_coroutine = before;
        expr!["function(", parameter, ", ...) tick()\n", body, result, "\nend"]
    }

    pub fn yielding(&mut self) -> Node {
        match self.dice.below(5) {
            0 => {
                let name = self.unique("y");
                let value = self.list(Kind::Any, 1, 2, 1);
                self.declare(&name, Kind::Any);
                stmt!["local ", name, " = coroutine.yield(", value, ")"]
            }
            1 => stmt!["out(pcall(coroutine.yield, ", self.any(1), "))"],
            2 => stmt![
                "out(pcall(function(...) local r = coroutine.yield(...) ",
                self.leave(),
                " return r end, ",
                self.any(1),
                "))"
            ],
            3 => stmt!["out(coroutine.isyieldable(), select(2, coroutine.running()))"],
            _ => stmt!["out(coroutine.yield(", self.list(Kind::Any, 1, 3, 1), "))"],
        }
    }

    pub fn coroutine(&mut self) -> Node {
        if self.in_coroutine && self.dice.chance(60) {
            return self.yielding();
        }
        let name = self.unique("co");
        let body = self.coroutine_body();
        if self.dice.chance(25) {
            return stmt![
                "do local ",
                &name,
                " = coroutine.wrap(",
                body,
                ")\nfor _ = 1, 4 do tick() out(pcall(",
                &name,
                ", ",
                self.any(1),
                ")) end end"
            ];
        }
        let close = if self.dice.chance(50) { format!("out(coroutine.close({name}))") } else { String::new() };
        let rounds = self.dice.between(1, 5);
        let arguments = self.list(Kind::Any, 1, 2, 1);
        stmt![
            "do local ",
            &name,
            " = coroutine.create(",
            body,
            ")\nfor _ = 1, ",
            rounds.to_string(),
            " do tick() out(coroutine.resume(",
            &name,
            ", ",
            arguments,
            ")) end\nout(coroutine.status(",
            &name,
            "))",
            close,
            " end"
        ]
    }

    pub fn closing(&mut self) -> Node {
        let name = self.unique("c");
        let raise = if self.dice.chance(20) { self.raise() } else { stmt![""] };
        let yields = if self.in_coroutine && self.dice.chance(40) { "out(coroutine.yield(\"closing\"))" } else { "" };
        let value = if self.dice.chance(10) {
            self.any(1)
        } else {
            expr!["setmetatable({}, { __close = function(o, e) tick() out(\"close ", &name, "\", e) ", yields, raise, " end })"]
        };
        let body = self.in_closing(|g| {
            g.scoped(|g| {
                g.declare_constant(&name, Kind::Object);
                g.open_block()
            })
        });
        stmt!["do local ", &name, " <close> = ", value, "\n", body, "end"]
    }

    /// Closures over the variables of a loop.
    pub fn captured_variables(&mut self) -> Node {
        let (list, x) = (self.unique("fs"), self.unique("x"));
        let set = if self.dice.chance(60) { format!("{x} = cut({x} .. i)") } else { format!("i = i + 1 {x} = i") };
        let stop =
            self.dice.pick(&["", "if i == 2 then break end", "if i == 2 then goto done end", "if i == 2 then i = nil end"]);
        stmt![
            "do local ",
            &list,
            " = {} for i = 1, 3 do local ",
            &x,
            " = ",
            self.of(Kind::Str, 1),
            "\n",
            &list,
            "[#",
            &list,
            " + 1] = function(y) tick() ",
            set,
            " return ",
            &x,
            ", y, i end\n",
            stop,
            " ::done:: end\nfor _, f in ipairs(",
            &list,
            ") do out(pcall(f, ",
            self.any(1),
            ")) out(pcall(f)) end end"
        ]
    }
}

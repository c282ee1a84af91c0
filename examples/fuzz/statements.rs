//! Statements and whole programs at random. They end: every loop and every function calls `tick`, which raises an error once it
//! was called too often. Imports `scope`, `tree`, and through the generator `callbacks`, `expressions`, `functions`,
//! `objects`.

use super::dice::Dice;
use super::scope::{Gen, Kind, Label};
use super::tree::{Node, expr, stmt};

type Statement = fn(&mut Gen) -> Node;
/// The kinds of statements with their weights.
const STATEMENTS: &[(usize, Statement)] = &[
    (14, |g| g.local()),
    (14, |g| g.assignment()),
    (14, |g| g.output()),
    (8, |g| g.protected()),
    (5, |g| g.choice_statement()),
    (6, |g| g.numeric_loop()),
    (5, |g| g.generic_loop()),
    (3, |g| g.condition_loop()),
    (2, |g| g.do_block()),
    (7, |g| g.local_function()),
    (4, |g| g.metatable()),
    (3, |g| g.object_statement()),
    (5, |g| g.coroutine()),
    (3, |g| g.backward_goto()),
    (3, |g| g.closing()),
    (3, |g| g.captured_variables()),
    (8, |g| g.callback()),
    (3, |g| g.leave()),
    (6, |g| g.table_library()),
    (5, |g| g.library_call()),
    (2, |g| g.environment()),
    (2, |g| g.raise()),
];

/// How many of them, from the first on, hold no blocks.
const SIMPLE: usize = 3;

/// A whole program.
pub fn program(dice: &mut Dice) -> Node {
    let budget = dice.between(6, 45);
    let mut g = Gen::new(dice, budget);
    let mut statements = Vec::new();
    while g.budget > 0 {
        statements.push(g.statement());
    }
    // What is left in the variables.
    for kind in [Kind::Int, Kind::Str, Kind::Array, Kind::Record, Kind::Any] {
        if let Some(name) = g.var(kind) {
            statements.push(stmt!["out(", name, ")"]);
        }
    }
    Node::Block(statements)
}

impl Gen<'_> {
    pub fn statement(&mut self) -> Node {
        self.budget = self.budget.saturating_sub(1);
        let kinds = if self.depth > 4 { SIMPLE } else { STATEMENTS.len() };
        let at = self.dice.weighted(STATEMENTS[..kinds].iter().map(|(weight, _)| *weight));
        STATEMENTS[at].1(self)
    }

    pub fn block(&mut self) -> Node {
        self.scoped(Self::open_block)
    }

    /// Statements whose variables stay in scope.
    pub fn open_block(&mut self) -> Node {
        let count = self.dice.between(1, 4);
        Node::Block((0..count).map(|_| self.statement()).collect())
    }

    pub fn depth_of_expressions(&mut self) -> usize {
        self.dice.between(0, 3)
    }

    pub fn local(&mut self) -> Node {
        let d = self.depth_of_expressions();
        if self.dice.chance(65) {
            let kind = self.kind();
            let value = self.of(kind, d);
            let name = self.name("v");
            let constant = self.dice.chance(8);
            if constant {
                self.declare_constant(&name, kind);
            } else {
                self.declare(&name, kind);
            }
            return stmt!["local ", name, if constant { " <const>" } else { "" }, " = ", value];
        }
        let values = self.list(Kind::Any, 1, 3, d);
        let last = if self.dice.chance(40) { expr![", ", self.call(d)] } else { expr![""] };
        let names: Vec<String> = (0..self.dice.between(1, 4)).map(|_| self.unique("v")).collect();
        for name in &names {
            self.declare(name, Kind::Any);
        }
        stmt!["local ", names.join(", "), " = ", values, last]
    }

    pub fn assignment(&mut self) -> Node {
        let d = self.depth_of_expressions();
        match self.dice.below(8) {
            0..=3 => {
                let kind = self.kind();
                let Some(name) = self.target(kind) else { return self.local() };
                stmt![name, " = cut(", self.of(kind, d), ")"]
            }
            4 => {
                let Some(name) = self.target(Kind::Array) else { return self.local() };
                let kind = self.dice.pick(&[Kind::Int, Kind::Str]);
                stmt![&name, "[#", &name, " + 1] = cut(", self.of(kind, d), ")"]
            }
            5 => {
                let kind = self.dice.pick(&[Kind::Record, Kind::Object]);
                let base = self.var(kind).unwrap_or_else(|| "G".into());
                let value = self.any(d);
                if self.dice.chance(30) {
                    return stmt![base, "[", self.of(Kind::Str, 1), "] = cut(", value, ")"];
                }
                // Never over a part of the library.
                let key = if base == "G" { "g1" } else { self.key() };
                stmt![base, ".", key, " = cut(", value, ")"]
            }
            6 => {
                let global = self.dice.pick(&["g1", "g2"]);
                stmt![global, " = cut(", self.any(d), ")"]
            }
            _ => {
                let (Some(a), Some(b)) = (self.target(Kind::Any), self.target(Kind::Any)) else { return self.local() };
                if self.dice.chance(50) {
                    return stmt![&a, ", ", &b, " = ", &b, ", ", &a];
                }
                let record = self.var(Kind::Record).unwrap_or_else(|| "G".into());
                stmt![&a, ", ", record, ".x, ", &b, " = cut(", self.any(d), "), cut(", self.any(d), ")"]
            }
        }
    }

    pub fn output(&mut self) -> Node {
        let d = self.dice.between(1, 4);
        if self.dice.chance(15) {
            return stmt!["out(", self.call(d), ")"];
        }
        stmt!["out(", self.list(Kind::Any, 1, 3, d), ")"]
    }

    pub fn choice_statement(&mut self) -> Node {
        let d = self.depth_of_expressions();
        let mut parts = vec!["if ".into(), self.condition(d), " then\n".into(), self.block()];
        if self.dice.chance(30) {
            parts.extend(["elseif ".into(), self.condition(d), " then\n".into(), self.block()]);
        }
        if self.dice.chance(40) {
            parts.extend(["else\n".into(), self.block()]);
        }
        parts.push("end".into());
        Node::Stmt(parts)
    }

    pub fn condition(&mut self, d: usize) -> Node {
        if self.dice.chance(25) { self.any(d) } else { self.bool(d + 1) }
    }

    /// The body of a loop, with a label at its end.
    pub fn loop_body(&mut self, declare: impl FnOnce(&mut Self)) -> Node {
        let in_loop = std::mem::replace(&mut self.in_loop, true);
        let label = self.unique("continue");
        let behind_locals = self.dice.chance(50);
        self.labels.push(Label { name: label.clone(), behind_locals });
        let body = self.scoped(|g| {
            declare(g);
            g.open_block()
        });
        self.labels.pop();
        self.in_loop = in_loop;
        let body = if behind_locals { body } else { stmt!["do\n", body, "end"] };
        Node::Block(vec!["tick()".into(), body, format!("::{label}::").into()])
    }

    pub fn numeric_loop(&mut self) -> Node {
        let (i, n) = (self.unique("i"), self.unique("n"));
        const RANGES: &[(&str, Kind)] = &[
            ("1, 3", Kind::Int),
            ("3, 1, -1", Kind::Int),
            ("1, 0", Kind::Int),
            ("math.maxinteger - 1, math.maxinteger", Kind::Int),
            ("math.mininteger + 1, math.mininteger, -1", Kind::Int),
            ("math.maxinteger - 5, math.maxinteger, 3", Kind::Int),
            ("math.mininteger, math.maxinteger, math.maxinteger", Kind::Int),
            ("1, math.huge", Kind::Int),
            ("1, -math.huge, -1", Kind::Int),
            ("1, 2.9", Kind::Int),
            ("-1, -3.5, -1", Kind::Int),
            ("1.0, 2, 0.25", Kind::Float),
            ("0.1, 0.35, 0.1", Kind::Float),
            ("1, 2, 0.5", Kind::Float),
            ("2^53, 2^53 + 4", Kind::Float),
            ("1, 10, 0", Kind::Int),
            ("\"1\", 2", Kind::Int),
            ("1, 0/0", Kind::Int),
            ("3, 1.5, -1", Kind::Int),
        ];
        let (range, kind) = self.dice.pick(RANGES);
        let range =
            if self.dice.chance(70) { expr![range] } else { expr![self.number(1), ", ", self.number(1), ", ", self.number(0)] };
        let body = self.loop_body(|g| g.declare(&i, kind));
        let Node::Block(mut statements) = body else { return body };
        statements.insert(0, format!("{n} = {n} + 1 if {n} > 4 then break end").into());
        stmt!["do local ", &n, " = 0 for ", i, " = ", range, " do\n", Node::Block(statements), "end end"]
    }

    pub fn generic_loop(&mut self) -> Node {
        let (k, v, n) = (self.unique("k"), self.unique("w"), self.unique("n"));
        let d = 1;
        let mut kinds = (Kind::Any, Kind::Any);
        let iterator = match self.dice.below(7) {
            0 | 1 => {
                kinds.0 = Kind::Int;
                expr!["ipairs(", self.of(Kind::Array, d), ")"]
            }
            2 => {
                kinds.0 = Kind::Str;
                expr!["ordered(", self.of(Kind::Record, d), ")"]
            }
            3 => {
                kinds.0 = Kind::Str;
                expr!["string.gmatch(", self.of(Kind::Str, d), ", ", self.pattern(), ")"]
            }
            4 => {
                let body = self.coroutine_body();
                expr!["coroutine.wrap(", body, ")"]
            }
            5 => expr!["utf8.codes(", self.of(Kind::Str, d), ")"],
            _ => {
                let closing = if self.dice.chance(50) {
                    expr!["nil, nil, setmetatable({}, { __close = function(_, e) out(\"closed\", e) end })"]
                } else {
                    self.any(0)
                };
                expr!["function(s, c) c = (c or 0) + 1 if c < 4 then return c, s end end, ", closing]
            }
        };
        // The loop may have a variable to close.
        let body = self.in_closing(|g| {
            g.loop_body(|g| {
                g.declare(&k, kinds.0);
                g.declare(&v, kinds.1);
            })
        });
        let Node::Block(mut statements) = body else { return body };
        statements.insert(0, format!("{n} = {n} + 1 if {n} > 5 then break end").into());
        stmt!["do local ", &n, " = 0 for ", k, ", ", v, " in ", iterator, " do\n", Node::Block(statements), "end end"]
    }

    pub fn condition_loop(&mut self) -> Node {
        let n = self.unique("n");
        let d = self.depth_of_expressions();
        let count = format!("{n} = {n} + 1");
        if self.dice.chance(50) {
            let condition = self.condition(d);
            let body = self.loop_body(|_| {});
            return stmt!["do local ", &n, " = 0 while ", &n, " < 4 and (", condition, ") do ", count, "\n", body, "end end"];
        }
        // The condition sees the variables of the body.
        let in_loop = std::mem::replace(&mut self.in_loop, true);
        let labels = std::mem::take(&mut self.labels);
        let parts = self.scoped(|g| {
            let body = g.open_block();
            (body, g.condition(d))
        });
        (self.in_loop, self.labels) = (in_loop, labels);
        stmt!["do local ", &n, " = 0 repeat tick() ", count, "\n", parts.0, "until ", &n, " > 3 or ", parts.1, " end"]
    }

    pub fn do_block(&mut self) -> Node {
        stmt!["do\n", self.block(), "end"]
    }

    pub fn backward_goto(&mut self) -> Node {
        let (label, n) = (self.unique("top"), self.unique("n"));
        // Neither `break` nor `continue` may lead out of what is jumped in.
        let body = self.block();
        stmt![
            "do local ",
            &n,
            " = 0 ::",
            &label,
            ":: tick() ",
            &n,
            " = ",
            &n,
            " + 1\n",
            body,
            "if ",
            &n,
            " < 3 then goto ",
            &label,
            " end end"
        ]
    }

    pub fn leave(&mut self) -> Node {
        let d = self.depth_of_expressions();
        let condition = self.condition(d);
        let how = match self.dice.below(4) {
            0 if self.in_loop => expr!["break"],
            1 | 2 if !self.labels.is_empty() => {
                let label = self.labels[self.dice.below(self.labels.len())].name.clone();
                expr!["goto ", label]
            }
            _ if self.depth > 0 => expr!["return ", self.list(Kind::Any, 1, 3, d)],
            _ => expr!["g1 = 1"],
        };
        stmt!["if ", condition, " then ", how, " end"]
    }

    pub fn raise(&mut self) -> Node {
        if self.depth == 0 {
            return self.protected();
        }
        let d = self.depth_of_expressions();
        let how = match self.dice.below(6) {
            0 => expr!["error(", self.any(d), ")"],
            1 => expr!["error(", self.of(Kind::Str, d), ", ", self.small(), ")"],
            2 => expr!["assert(", self.any(d), ", ", self.any(d), ")"],
            3 => expr!["assert(", self.any(d), ")"],
            4 => expr!["error()"],
            _ => expr!["error({ ", self.any(d), " })"],
        };
        stmt!["if ", self.condition(1), " then ", how, " end"]
    }
}

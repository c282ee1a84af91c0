//! Metatables, environments and calls of the library at random. Imports `scope`, `tree`.

use super::scope::{Gen, Kind};
use super::tree::{Node, expr, stmt};

const EVENTS: &str = "__add __sub __mul __div __mod __pow __idiv __unm __band __bor __bxor __shl __shr __bnot __concat __eq __lt __le \
    __len __call __index __newindex __index __newindex __tostring __close __name __metatable __pairs";

/// Handlers of errors that raise none themselves: how deep those go is a matter of limits.
const HANDLERS: &[&str] = &["tostring", "function(e) out(\"handler\", e) return e end", "function(e) return { e } end"];

impl Gen<'_> {
    pub fn protected(&mut self) -> Node {
        let d = self.depth_of_expressions();
        match self.dice.below(5) {
            0 => stmt!["out(pcall(", self.of(Kind::Func, d), ", ", self.list(Kind::Any, 0, 3, d), "))"],
            1 => stmt![
                "out(xpcall(",
                self.of(Kind::Func, d),
                ", ",
                self.dice.pick(HANDLERS),
                ", ",
                self.list(Kind::Any, 0, 2, d),
                "))"
            ],
            2 => stmt!["out(pcall(function() tick() return ", self.any(d + 1), " end))"],
            _ => {
                let body = self.in_function(false, Self::open_block);
                stmt!["out(pcall(function() tick()\n", body, "end))"]
            }
        }
    }

    pub fn metatable(&mut self) -> Node {
        let name = self.unique("mt");
        let mut parts: Vec<Node> = vec![format!("local {name} = {{}}").into()];
        for _ in 0..self.dice.between(1, 6) {
            let events: Vec<&str> = EVENTS.split(' ').collect();
            let event = self.dice.pick(&events);
            let value = match event {
                "__name" => expr!["\"Name\""],
                "__metatable" => expr![self.any(0)],
                "__tostring" if self.dice.chance(80) => expr!["function(a) return \"object \" .. tostring(a.v) end"],
                "__index" | "__newindex" if self.dice.chance(40) => self.of(Kind::Record, 2),
                "__index" if self.dice.chance(30) => expr![&name],
                _ => {
                    let (a, b) = (self.unique("a"), self.unique("b"));
                    let result = self.in_function(false, |g| {
                        g.declare(&a, Kind::Any);
                        g.declare(&b, Kind::Any);
                        let yields = g.in_coroutine && g.dice.chance(20);
                        if yields { expr!["coroutine.yield(", g.any(1), ")"] } else { g.any(2) }
                    });
                    let said = expr!["out(\"", event, "\", type(", &a, "), type(", &b, "))"];
                    expr!["function(", &a, ", ", &b, ") tick() ", said, " return ", result, " end"]
                }
            };
            parts.push(stmt![&name, ".", event, " = ", value]);
        }
        self.declare_constant(&name, Kind::Meta);
        let object = self.unique("o");
        parts.push(stmt!["local ", &object, " = setmetatable({ v = ", self.of(Kind::Int, 1), " }, ", &name, ")"]);
        self.declare(&object, Kind::Object);
        // Not a block: its variables stay.
        let joined = parts.into_iter().flat_map(|part| [part, "\n".into()]).collect();
        Node::Stmt(joined)
    }

    pub fn object_statement(&mut self) -> Node {
        let d = self.depth_of_expressions();
        match self.dice.below(4) {
            0 => stmt!["out(pcall(setmetatable, ", self.any(d), ", ", self.any(d), "))"],
            1 => stmt!["out(getmetatable(", self.any(d), ") ~= nil)"],
            2 => stmt!["out(pcall(rawset, ", self.any(d), ", ", self.any(d), ", ", self.any(d), "))"],
            _ => stmt!["out(pcall(rawequal, ", self.any(d), ", ", self.any(d), "))"],
        }
    }

    pub fn table_library(&mut self) -> Node {
        let Some(name) = self.var(Kind::Array) else { return self.local() };
        let d = self.depth_of_expressions();
        match self.dice.below(9) {
            0 => stmt!["table.insert(", name, ", filled(cut(", self.of(Kind::Int, d), ")))"],
            1 => stmt!["out(pcall(table.insert, ", name, ", ", self.small(), ", filled(cut(", self.of(Kind::Str, d), "))))"],
            2 => stmt!["out(table.remove(", name, "))"],
            3 => stmt!["out(pcall(table.remove, ", name, ", ", self.small(), "))"],
            4 => stmt!["out(pcall(table.sort, ", &name, ")) out(settled(", &name, "))"],
            5 => stmt!["out(pcall(table.sort, ", &name, ", function(a, b) tick() return a > b end)) out(settled(", &name, "))"],
            6 => stmt!["out(pcall(table.unpack, ", name, ", ", self.small(), ", ", self.small(), "))"],
            7 => stmt!["out(pcall(table.concat, ", name, ", ", self.of(Kind::Str, 0), ", ", self.small(), "))"],
            _ => stmt!["out(pcall(table.move, ", name, ", ", self.few(), ", ", self.few(), ", ", self.few(), ", {}))"],
        }
    }

    pub fn library_call(&mut self) -> Node {
        let d = self.depth_of_expressions();
        const FUNCTIONS: &str = "string.rep string.sub string.byte string.char string.find string.match string.gsub string.gmatch \
            string.format string.len string.pack string.unpack string.packsize table.concat table.insert table.remove \
            table.unpack math.floor math.fmod math.tointeger math.type math.max math.ult tonumber tostring select \
            ipairs rawlen rawget rawequal setmetatable getmetatable type utf8.char utf8.codepoint utf8.offset \
            utf8.len utf8.codes coroutine.resume coroutine.wrap coroutine.status coroutine.close assert error pcall \
            math.log math.modf math.abs";
        let functions: Vec<&str> = FUNCTIONS.split(' ').collect();
        let function = self.dice.pick(&functions);
        // A count must not be large.
        if function == "string.rep" {
            return stmt![
                "out(pcall(string.rep, ",
                self.of(Kind::Str, d),
                ", ",
                self.dice.pick(&["-1", "0", "3", "2.0", "1.5", "\"2\"", "{}"]),
                ", ",
                self.any(0),
                "))"
            ];
        }
        if self.dice.chance(50) {
            return stmt!["out(pcall(", function, ", ", self.list(Kind::Any, 0, 4, d), "))"];
        }
        // A call by name tells the name in its message.
        stmt!["out(pcall(function() tick() return (", function, "(", self.list(Kind::Any, 0, 3, d), ")) end))"]
    }

    /// A block with an environment of its own.
    pub fn environment(&mut self) -> Node {
        let body = self.block();
        if self.dice.chance(50) {
            return stmt![
                "do local _ENV = setmetatable({ g1 = ",
                self.of(Kind::Int, 1),
                " }, { __index = _ENV })\n",
                body,
                "end"
            ];
        }
        stmt![
            "do local e = setmetatable({}, { __index = G, __newindex = function(_, k, v) out(\"global\", k) rawset(G, k, v) end })\nlocal _ENV <const> = e\n",
            body,
            "end"
        ]
    }
}

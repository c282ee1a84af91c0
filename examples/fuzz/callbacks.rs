//! Library functions that call back into the program, at random: with the statements of a program in what they call. Since `tick` leaves the program now and
//! then and takes it up again, these are yields across native functions. Imports `scope`, `tree`.

use super::scope::{Gen, Kind};
use super::tree::{Node, expr, stmt};

/// What a proxy's elements are used by. The proxy is `o`; it says that it has three elements.
const USES_OF_A_PROXY: &[&str] = &[
    "table.concat(o, \",\")",
    "table.unpack(o, 1, 3)",
    "table.insert(o, 1)",
    "table.insert(o, 1, 2)",
    "table.remove(o)",
    "table.remove(o, 1)",
    "table.move(o, 1, 3, 2)",
    "table.move(o, 1, 3, 1, {})",
    "table.move({ 1, 2, 3 }, 1, 3, 1, o)",
    // Which elements a sort reads and writes, and how often, is left open; what comes of it is not.
    "(function() local s, p = { 3, 1, 2, 5 }, {} setmetatable(p, { __len = function() tick() return #s end, \
     __index = function(_, k) pause() return s[k] end, __newindex = function(_, k, v) pause() s[k] = v end }) table.sort(p) \
     return table.unpack(s) end)()",
    "string.format(\"%s %s\", o, o)",
    "tostring(o)",
    "string.gsub(\"a b c\", \"%a\", o)",
    "select(\"#\", table.unpack(o))",
];

impl Gen<'_> {
    /// A function for a library function to call: `head` and the parameters, then now and then statements, and the result.
    fn called(&mut self, parameters: &[&str], result: impl FnOnce(&mut Self) -> Node) -> Node {
        let (body, result) = self.in_function(false, |g| {
            for name in parameters {
                g.declare(name, Kind::Any);
            }
            let body = match g.dice.below(10) {
                0..=2 => g.open_block(),
                3 => g.raise(),
                4 => g.closing(),
                _ => stmt![""],
            };
            (body, result(g))
        });
        expr!["function(", parameters.join(", "), ") tick()\n", body, "\nreturn ", result, " end"]
    }

    pub fn callback(&mut self) -> Node {
        match self.dice.below(7) {
            0 => self.sorting(),
            1 => self.replacing(),
            2 => self.reading(),
            3 => self.iterating(),
            _ => self.proxy(),
        }
    }

    /// A sort by a function, which says nothing of the comparisons: which they are is left open.
    fn sorting(&mut self) -> Node {
        let elements = self.list(Kind::Int, 2, 9, 1);
        let order = self.dice.pick(&[
            "function(a, b) pause() return a < b end",
            "function(a, b) tick() pause() return a > b end",
            "function(a, b) tick() if a == 3 then error(\"three\", 0) end return a < b end",
            "function(a, b) local c <close> = setmetatable({}, { __close = function() tick() end }) return a < b end",
            "coroutine.wrap(function(a, b) while true do tick() a, b = coroutine.yield(a < b) end end)",
            "setmetatable({}, { __call = function(_, a, b) tick() return not (a <= b) end })",
        ]);
        stmt![
            "do local t = { ",
            elements,
            " } local ok, e = pcall(table.sort, t, ",
            order,
            ") out(ok, e) if ok then out(settled(t)) end end"
        ]
    }

    fn replacing(&mut self) -> Node {
        let (subject, pattern) = (self.of(Kind::Str, 1), self.pattern());
        let function = self.called(&["x", "y"], |g| g.of(Kind::Str, 1));
        if self.dice.chance(30) {
            let table = expr!["setmetatable({}, { __index = ", function, " })"];
            return stmt!["out(pcall(string.gsub, ", subject, ", ", pattern, ", ", table, "))"];
        }
        stmt!["out(pcall(string.gsub, ", subject, ", ", pattern, ", ", function, "))"]
    }

    /// A chunk that comes in pieces, and is run. How much of a chunk with an error is read is left open, so its reader does nothing else.
    fn reading(&mut self) -> Node {
        const CHUNKS: &[&str] = &[
            "\"return \", \"1\", \" + 2\"",
            "\"ret\", \"urn 'a'\", \" .. x\"",
            "\"x = \", \"= 2\"",
            "\"\", \"x = 1\"",
            "{}",
            "\"return ...\"",
        ];
        const READERS: &[&str] = &[
            "pause() n = n + 1 return p[n]",
            "local c <close> = setmetatable({}, { __close = function() pause() end }) n = n + 1 return p[n]",
            "n = n + 1 return (coroutine.wrap(function() return p[n] end)())",
            "if n == 1 then error(\"reader\", 0) end n = n + 1 pause() return p[n]",
        ];
        let (pieces, reader) = (self.dice.pick(CHUNKS), self.dice.pick(READERS));
        stmt![
            "do local n, p = 0, { ",
            pieces,
            " } local ok, g, e = pcall(load, function() ",
            reader,
            " end, \"=s\", \"t\", { x = 1 }) out(ok, type(g), e) if ok and g then out(pcall(g, 4)) end end"
        ]
    }

    /// A loop over what a function gives.
    fn iterating(&mut self) -> Node {
        let function = self.called(&["_", "k"], |g| expr!["k < 3 and k + 1 or nil, ", g.any(1)]);
        let body = self.in_closing(|g| {
            g.loop_body(|g| {
                g.declare_constant("k", Kind::Int);
                g.declare("v", Kind::Any);
            })
        });
        stmt!["for k, v in ", function, ", nil, 0 do\n", body, "end"]
    }

    /// A library function with an object in the place of a table or a string.
    fn proxy(&mut self) -> Node {
        let index = self.called(&["o", "k"], |g| if g.dice.chance(80) { g.of(Kind::Int, 1) } else { g.any(1) });
        let new_index = self.called(&["o", "k", "v"], |_| expr!["out(k, v)"]);
        let name = self.called(&["o"], |g| g.of(Kind::Str, 1));
        let uses = self.dice.pick(USES_OF_A_PROXY);
        stmt![
            "do local o = setmetatable({}, { __index = ",
            index,
            ", __newindex = ",
            new_index,
            ", __len = function() tick() return 3 end, __tostring = ",
            name,
            " }) out(pcall(function() return ",
            uses,
            " end)) end"
        ]
    }
}

//! Expressions at random, of a kind that is wanted. Imports `scope`, `tree`.

use super::scope::{Gen, Kind};
use super::tree::{Node, expr};

const INTS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "5",
    "7",
    "10",
    "31",
    "32",
    "63",
    "64",
    "65",
    "-63",
    "-64",
    "100",
    "127",
    "128",
    "255",
    "256",
    "1000",
    "65535",
    "65536",
    "-32769",
    "131071",
    "8388608",
    "16777216",
    "-16777217",
    "2147483647",
    "-2147483648",
    "4294967296",
    "9007199254740991",
    "9007199254740993",
    "math.maxinteger",
    "math.mininteger",
    "9223372036854775807",
    "0xff",
    "0x7fffffffffffffff",
    "0xffffffffffffffff",
    "math.maxinteger - 1",
    "math.mininteger + 1",
    "0x10000000000000001",
];

const FLOATS: &[&str] = &[
    "0.0",
    "-0.0",
    "1.0",
    "0.5",
    "-1.5",
    "2.5",
    "3.0",
    "0.1",
    "1e15",
    "1e16",
    "1e100",
    "-1e308",
    "1e-308",
    "5e-324",
    "2^53",
    "2^63",
    "-2^63",
    "2^31",
    "1e308 * 10",
    "math.huge",
    "-math.huge",
    "0/0",
    "math.pi",
    "0x.8p1",
    "0x1p-3",
    "3e0",
    "9223372036854775808",
    "-9223372036854775808",
    "9007199254740993.0",
    "123456.789",
    "1e14",
    "99999999999999.9",
];

const STRINGS: &[&str] = &[
    "\"\"",
    "\"a\"",
    "\"abc\"",
    "\"10\"",
    "\"0x10\"",
    "\" 5 \"",
    "\"1e1\"",
    "\"-3\"",
    "\"2.50\"",
    "\"x y z\"",
    "\"\\0\\1\"",
    "\"\\xff\"",
    "\"h\\u{e9}llo\"",
    "\"10abc\"",
    "\"0x\"",
    "\"1e\"",
    "\"9223372036854775808\"",
    "\"-9223372036854775808\"",
    "\"inf\"",
    "\"nan\"",
    "[[line\nline]]",
    "'it''s'",
    "\"a,b,,c\"",
    "\"%d\"",
    "\"%\"",
    "\"0x1p4\"",
    "\"  0x  \"",
    "\"1_0\"",
    "\"hello world from lua\"",
    "\"\\u{7fffffff}\"",
];

const KEYS: &[&str] = &["a", "b", "c", "x", "v", "m"];

impl Gen<'_> {
    /// An expression that is meant to be of `kind`; `d` bounds its depth.
    pub fn of(&mut self, kind: Kind, d: usize) -> Node {
        let kind = if self.dice.chance(3) { self.kind() } else { kind };
        if self.dice.chance(2) {
            return self.odd();
        }
        match kind {
            Kind::Int => self.int(d),
            Kind::Float => self.float(d),
            Kind::Str => self.str(d),
            Kind::Bool => self.bool(d),
            Kind::Array => self.array(d),
            Kind::Record => self.record(d),
            Kind::Object => self.object(d),
            Kind::Meta => self.var(Kind::Meta).map_or_else(|| expr!["nil"], |name| expr![name]),
            Kind::Func => self.func(d),
            Kind::Any => self.any(d),
        }
    }

    pub fn any(&mut self, d: usize) -> Node {
        match self.dice.below(14) {
            0 => expr!["nil"],
            1..=3 => self.var(Kind::Any).map_or_else(|| expr!["nil"], |name| expr![name]),
            4 if d > 0 => self.call(d - 1),
            5 if d > 0 => self.index(d - 1),
            6 if d > 0 => self.meta_operation(d - 1),
            7 if d > 0 => self.choice(Kind::Any, d - 1),
            8 if self.has_varargs => expr!["(...)"],
            _ => {
                let kind = self.kind();
                self.of(kind, d.saturating_sub(1))
            }
        }
    }

    /// What has no kind: a global that is not there, a field of one that is.
    fn odd(&mut self) -> Node {
        match self.dice.below(5) {
            0 => expr!["nil"],
            1 => expr![self.dice.pick(&["g1", "g2", "undefined"])],
            2 => expr!["string.", self.dice.pick(KEYS)],
            3 => expr!["G.", self.dice.pick(&["g1", "g2", "math"])],
            _ => self.var(Kind::Any).map_or_else(|| expr!["true"], |name| expr![name]),
        }
    }

    pub fn key(&mut self) -> &'static str {
        self.dice.pick(KEYS)
    }

    /// Now and then an operator at the end of a line.
    fn space(&mut self) -> &'static str {
        if self.dice.chance(4) { "\n" } else { " " }
    }

    fn binary(&mut self, operators: &[&str], a: Node, b: Node) -> Node {
        let operator = self.dice.pick(operators);
        let (before, after) = (self.space(), self.space());
        // Without parentheses the operands may fall apart: that tests precedence.
        if self.dice.chance(20) { expr![a, before, operator, after, b] } else { expr!["(", a, before, operator, after, b, ")"] }
    }

    pub fn number(&mut self, d: usize) -> Node {
        if self.dice.chance(60) { self.of(Kind::Int, d) } else { self.of(Kind::Float, d) }
    }

    pub fn int(&mut self, d: usize) -> Node {
        if d == 0 || self.dice.chance(25) {
            let var = if self.dice.chance(60) { self.var(Kind::Int) } else { None };
            return var.map_or_else(|| expr![self.dice.pick(INTS)], |name| expr![name]);
        }
        let d = d - 1;
        match self.dice.below(26) {
            0..=6 => {
                let (a, b) = (self.of(Kind::Int, d), self.of(Kind::Int, d));
                self.binary(&["+", "-", "*", "//", "%", "+", "-", "*"], a, b)
            }
            7..=9 => {
                let (a, b) = (self.number(d), self.of(Kind::Int, d));
                self.binary(&["&", "|", "~", "<<", ">>"], a, b)
            }
            10 => expr!["- ", self.of(Kind::Int, d)],
            11 => expr!["~ ", self.number(d)],
            12 => expr!["#", self.prefix(Kind::Str, d)],
            13 => expr!["#", self.prefix(Kind::Array, d)],
            14 => expr!["math.tointeger(", self.number(d), ")"],
            15 => {
                expr!["math.", self.dice.pick(&["abs", "max", "min", "floor", "ceil"]), "(", self.list(Kind::Int, 1, 3, d), ")"]
            }
            16 => expr!["select(\"#\", ", self.list(Kind::Any, 0, 3, d), self.tail(), ")"],
            17 => expr!["(string.byte(", self.of(Kind::Str, d), ", ", self.small(), "))"],
            18 => expr!["(utf8.len(", self.of(Kind::Str, d), "))"],
            19 => expr!["tonumber(", self.of(Kind::Str, d), ", ", self.small(), ")"],
            20 => expr!["tonumber(", self.of(Kind::Str, d), ")"],
            21 => expr!["(select(", self.small(), ", ", self.list(Kind::Int, 1, 4, d), "))"],
            22 => expr!["(", self.number(d), ") // 1 | 0"],
            23 => expr![self.array_value(d), "[", self.small(), "]"],
            24 => expr!["rawlen(", self.of(Kind::Array, d), ")"],
            _ => self.choice(Kind::Int, d),
        }
    }

    /// An integer about as large as the lengths of strings and tables.
    pub fn small(&mut self) -> Node {
        if self.dice.chance(8) { self.of(Kind::Int, 1) } else { self.few() }
    }

    /// How often something is done that takes time.
    pub fn few(&mut self) -> Node {
        expr![self.dice.pick(&["1", "2", "3", "4", "-1", "-2", "0", "5", "10", "16", "36", "1.0", "\"2\"", "2.5"])]
    }

    fn float(&mut self, d: usize) -> Node {
        if d == 0 || self.dice.chance(30) {
            let var = if self.dice.chance(60) { self.var(Kind::Float) } else { None };
            return var.map_or_else(|| expr![self.dice.pick(FLOATS)], |name| expr![name]);
        }
        let d = d - 1;
        match self.dice.below(10) {
            0..=4 => {
                let (a, b) = (self.number(d), self.number(d));
                self.binary(&["+", "-", "*", "/", "/", "%", "//", "^"], a, b)
            }
            5 => expr!["- ", self.of(Kind::Float, d)],
            6 => expr!["math.", self.dice.pick(&["sqrt", "floor", "ceil", "abs", "exp", "sin"]), "(", self.number(d), ")"],
            7 => expr!["math.fmod(", self.number(d), ", ", self.number(d), ")"],
            8 => expr!["(math.modf(", self.number(d), "))"],
            _ => self.choice(Kind::Float, d),
        }
    }

    pub fn str(&mut self, d: usize) -> Node {
        if d == 0 || self.dice.chance(25) {
            let var = if self.dice.chance(60) { self.var(Kind::Str) } else { None };
            return var.map_or_else(|| expr![self.dice.pick(STRINGS)], |name| expr![name]);
        }
        let d = d - 1;
        match self.dice.below(15) {
            0..=2 => {
                let (a, b) = (self.of(Kind::Str, d), self.text(d));
                self.binary(&[".."], a, b)
            }
            3 => {
                let (a, b, c) = (self.text(d), self.of(Kind::Str, d), self.text(d));
                expr![a, " .. ", b, " .. ", c]
            }
            4 => expr!["tostring(", self.text(d), ")"],
            5 => expr![self.prefix(Kind::Str, d), ":", self.dice.pick(&["upper", "lower", "reverse"]), "()"],
            6 => expr!["string.sub(", self.of(Kind::Str, d), ", ", self.small(), ", ", self.small(), ")"],
            7 => expr![
                self.prefix(Kind::Str, d),
                ":rep(",
                self.dice.pick(&["0", "1", "2", "3", "-1", "5"]),
                self.dice.pick(&["", ", ','"]),
                ")"
            ],
            8 => expr!["table.concat(", self.of(Kind::Array, d), ", ", self.of(Kind::Str, 0), ")"],
            9 => expr!["type(", self.any(d), ")"],
            10 => self.format(d),
            11 => expr!["string.char(", self.list(Kind::Int, 0, 2, 0), ")"],
            12 => expr!["(string.gsub(", self.of(Kind::Str, d), ", ", self.pattern(), ", ", self.replacement(d), "))"],
            13 => expr!["(string.match(", self.of(Kind::Str, d), ", ", self.pattern(), "))"],
            _ => self.choice(Kind::Str, d),
        }
    }

    fn format(&mut self, d: usize) -> Node {
        let (directive, kind) = self.dice.pick(&[
            ("%d", Kind::Int),
            ("%5d", Kind::Float),
            ("%-6d|", Kind::Int),
            ("%x", Kind::Int),
            ("%s", Kind::Str),
            ("%-8s|", Kind::Int),
            ("%.3s", Kind::Str),
            ("%g", Kind::Float),
            ("%.14g", Kind::Float),
            ("%5.1f", Kind::Float),
            ("%q", Kind::Str),
            ("%i", Kind::Str),
            ("%c", Kind::Int),
            ("%%%s", Kind::Bool),
        ]);
        expr!["string.format(\"", directive, "\", ", self.of(kind, d), ")"]
    }

    /// What `..` takes.
    fn text(&mut self, d: usize) -> Node {
        let kind = self.dice.pick(&[Kind::Str, Kind::Str, Kind::Int, Kind::Float]);
        self.of(kind, d)
    }

    pub fn pattern(&mut self) -> Node {
        expr![self.dice.pick(&[
            "\"%w+\"",
            "\"(%a)(%d*)\"",
            "\".-\"",
            "\"%s*\"",
            "\"^h\"",
            "\"[^,]*\"",
            "\"()\"",
            "\"%f[%w]%w\"",
            "\"%b()\"",
            "\"o$\"",
            "\"(l)(.)%1\"",
            "\"[a-c]+\"",
            "\"%\"",
            "\"[\"",
            "\"\"",
        ])]
    }

    pub fn replacement(&mut self, d: usize) -> Node {
        match self.dice.below(5) {
            0 => expr!["\"<%0>\""],
            1 => expr!["\"%1\""],
            2 => expr!["{ a = 1, h = \"H\", [\"\"] = false }"],
            3 => self.of(Kind::Func, d.min(1)),
            _ => self.of(Kind::Str, 0),
        }
    }

    pub fn bool(&mut self, d: usize) -> Node {
        if d == 0 || self.dice.chance(15) {
            let var = if self.dice.chance(60) { self.var(Kind::Bool) } else { None };
            return var.map_or_else(|| expr![self.dice.pick(&["true", "false"])], |name| expr![name]);
        }
        let d = d - 1;
        match self.dice.below(9) {
            0..=2 => {
                let (a, b) = (self.number(d), self.number(d));
                self.binary(&["<", "<=", ">", ">=", "==", "~="], a, b)
            }
            3 => {
                let (a, b) = (self.of(Kind::Str, d), self.of(Kind::Str, d));
                self.binary(&["<", "<=", ">", ">=", "==", "~="], a, b)
            }
            4 => {
                let (a, b) = (self.any(d), self.any(d));
                self.binary(&["==", "~="], a, b)
            }
            5 => expr!["not ", self.any(d)],
            6 => expr!["math.ult(", self.of(Kind::Int, d), ", ", self.of(Kind::Int, d), ")"],
            7 => {
                let (a, b) = (self.of(Kind::Object, d), self.any(d));
                self.binary(&["<", "<=", "=="], a, b)
            }
            _ => self.choice(Kind::Bool, d),
        }
    }

    fn choice(&mut self, kind: Kind, d: usize) -> Node {
        let (a, b) = (self.any(d), self.of(kind, d));
        if self.dice.chance(50) {
            return self.binary(&["and", "or"], a, b);
        }
        let other = self.of(kind, d);
        // `x and nil or 1` is a compile-time constant to the reference, which shows where messages name what they are about.
        let b = if matches!(&*b.text(), "nil" | "false") { expr!["cut(", b, ")"] } else { b };
        let condition = self.bool(d);
        expr!["(", condition, " and ", b, " or ", other, ")"]
    }

    pub fn array(&mut self, d: usize) -> Node {
        if d == 0 || self.dice.chance(40) {
            return self.var(Kind::Array).map_or_else(|| expr!["{}"], |name| expr![name]);
        }
        let d = d - 1;
        match self.dice.below(6) {
            0 => expr!["{ table.unpack(", self.of(Kind::Array, d), ") }"],
            1 => expr!["table.move(", self.of(Kind::Array, d), ", 1, ", self.few(), ", 1, {})"],
            2 => expr!["table.pack(", self.list(Kind::Int, 0, 3, d), ")"],
            3 => expr!["{ string.byte(", self.of(Kind::Str, d), ", 1, 5) }"],
            _ => {
                let kind = self.dice.pick(&[Kind::Int, Kind::Int, Kind::Str, Kind::Float]);
                expr!["{ ", self.list(kind, 0, 5, d), " }"]
            }
        }
    }

    fn array_value(&mut self, d: usize) -> Node {
        self.prefix(Kind::Array, d)
    }

    fn record(&mut self, d: usize) -> Node {
        if d == 0 || self.dice.chance(40) {
            return self.var(Kind::Record).map_or_else(|| expr!["{ a = 1 }"], |name| expr![name]);
        }
        let d = d - 1;
        let mut parts = vec![Node::from("{ ")];
        for _ in 0..self.dice.below(5) {
            match self.dice.below(4) {
                0 => parts.extend(["[".into(), self.of(Kind::Str, d), "] = ".into()]),
                1 => parts.extend(["[".into(), self.number(0), "] = ".into()]),
                _ => parts.extend([self.key().into(), " = ".into()]),
            }
            parts.extend([self.any(d), self.dice.pick(&[", ", "; "]).into()]);
        }
        parts.push("}".into());
        Node::Expr(parts)
    }

    pub fn object(&mut self, d: usize) -> Node {
        if d > 0
            && self.dice.chance(40)
            && let Some(meta) = self.var(Kind::Meta)
        {
            return expr!["setmetatable({ v = ", self.of(Kind::Int, d - 1), " }, ", meta, ")"];
        }
        self.var(Kind::Object).map_or_else(|| expr!["setmetatable({}, {})"], |name| expr![name])
    }

    /// An expression that can be indexed or called.
    pub fn prefix(&mut self, kind: Kind, d: usize) -> Node {
        match self.var(kind) {
            Some(name) if self.dice.chance(70) => expr![name],
            _ => expr!["(", self.of(kind, d), ")"],
        }
    }

    pub fn index(&mut self, d: usize) -> Node {
        let kind = self.dice.pick(&[Kind::Record, Kind::Record, Kind::Object, Kind::Array, Kind::Any]);
        let base = self.prefix(kind, d);
        match self.dice.below(3) {
            0 => expr![base, "[", self.any(d), "]"],
            1 => expr![base, "[", self.small(), "]"],
            _ => expr![base, ".", self.key()],
        }
    }

    pub fn call(&mut self, d: usize) -> Node {
        match self.dice.below(6) {
            0 => expr![self.prefix(Kind::Object, d), ":", self.key(), "(", self.list(Kind::Any, 0, 2, d), ")"],
            1 => expr![self.prefix(Kind::Object, d), "(", self.list(Kind::Any, 0, 2, d), self.tail(), ")"],
            2 => expr![self.prefix(Kind::Record, d), ".", self.key(), "(", self.list(Kind::Any, 0, 2, d), ")"],
            _ => expr![self.prefix(Kind::Func, d), "(", self.list(Kind::Any, 0, 3, d), self.tail(), ")"],
        }
    }

    /// An operation that may be a metamethod's.
    fn meta_operation(&mut self, d: usize) -> Node {
        let object = self.of(Kind::Object, d);
        if self.dice.chance(20) {
            return expr![self.dice.pick(&["- ", "#", "~ "]), object];
        }
        let other = if self.dice.chance(40) { self.of(Kind::Object, d) } else { self.any(d) };
        let (a, b) = if self.dice.chance(50) { (object, other) } else { (other, object) };
        self.binary(&["+", "-", "*", "/", "//", "%", "^", "..", "&", "|", "~", "<<", ">>", "<", "<=", "=="], a, b)
    }

    /// Expressions separated by commas; none of them is nil if `kind` is not `Any`.
    pub fn list(&mut self, kind: Kind, low: usize, high: usize, d: usize) -> Node {
        let mut parts = Vec::new();
        for i in 0..self.dice.between(low, high) {
            if i > 0 {
                parts.push(", ".into());
            }
            let element = self.of(kind, d);
            // No holes.
            parts.push(if kind == Kind::Any { element } else { expr!["filled(", element, ")"] });
        }
        if parts.is_empty() && kind == Kind::Any { expr!["nil"] } else { Node::Expr(parts) }
    }

    /// The end of a list that has elements.
    fn tail(&mut self) -> Node {
        if self.has_varargs && self.dice.chance(15) {
            return expr![", ..."];
        }
        match self.var(Kind::Func) {
            Some(name) if self.dice.chance(10) => expr![", ", name, "()"],
            _ => Node::Text(String::new()),
        }
    }

    fn func(&mut self, d: usize) -> Node {
        if d == 0 || self.depth > 4 || self.budget == 0 || self.dice.chance(50) {
            let library = ["tostring", "type", "math.abs", "string.upper", "select", "pcall", "rawget", "ipairs", "tonumber"];
            let var = self.var(Kind::Func);
            return var.map_or_else(|| expr![self.dice.pick(&library)], |name| expr![name]);
        }
        if self.dice.chance(40) {
            let parameter = self.unique("p");
            return self.in_function(false, |g| {
                g.declare(&parameter, Kind::Any);
                expr!["function(", parameter, ") tick() return ", g.any(d - 1), " end"]
            });
        }
        self.function_body("function")
    }
}

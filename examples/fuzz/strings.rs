//! Calls of those parts of the string library that have languages of their own: patterns, formats of `string.format`, formats of
//! `string.pack`. Imports `dice`, `tree`.

use super::dice::Dice;
use super::tree::{Node, expr, stmt};

fn several(dice: &mut Dice, make: fn(&mut Dice) -> Node) -> Node {
    let count = dice.between(4, 12);
    Node::Block((0..count).map(|_| make(dice)).collect())
}

fn bytes(dice: &mut Dice, alphabet: &[u8], most: usize) -> Vec<u8> {
    let length = dice.below(most + 1);
    (0..length).map(|_| if dice.chance(4) { dice.bits() as u8 } else { dice.pick(alphabet) }).collect()
}

fn int(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => (dice.bits() as i64).to_string(),
        1 => {
            dice.pick(&["math.maxinteger", "math.mininteger", "255", "256", "65536", "1 << 31", "1 << 32", "2^31", "2^53"]).into()
        }
        2 => (1i64.wrapping_shl(dice.bits() as u32 & 63)).wrapping_sub(dice.below(2) as i64).to_string(),
        _ => (dice.below(24) as i64 - 8).to_string(),
    }
}

fn float(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => dice
            .pick(&["0.0", "-0.0", "1/0", "-1/0", "0.1", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e308"])
            .into(),
        1 => format!("{:e}", f64::from_bits(dice.bits() & 0x7fef_ffff_ffff_ffff)),
        2 => format!("{}.{}", dice.below(100_000), dice.below(1000)),
        3 => format!("{}.5", dice.below(100)),
        4 => format!("{}e{}", dice.below(1000), dice.below(60) as i64 - 30),
        _ => format!("-{}.25", dice.below(10)),
    }
}

pub fn patterns(dice: &mut Dice) -> Node {
    several(dice, pattern_call)
}

fn pattern_call(dice: &mut Dice) -> Node {
    let alphabet = dice.pick(&[&b"ab"[..], b"abc(.)", b"a1 ,\n", b"()[]%-", b"xyzXYZ_09"]);
    let subject = Node::Bytes(bytes(dice, alphabet, 20));
    let pattern = Node::Bytes(pattern(dice, alphabet));
    match dice.below(9) {
        0..=2 => stmt!["out(pcall(string.find, ", subject, ", ", pattern, start(dice), "))"],
        3 | 4 => stmt!["out(pcall(string.match, ", subject, ", ", pattern, start(dice), "))"],
        5 => {
            let start = start(dice);
            stmt!["out(pcall(function() for a, b in string.gmatch(", subject, ", ", pattern, start, ") do out(a, b) end end))"]
        }
        6 => {
            let replacement = bytes(dice, b"%%%012a", 6);
            let most = if dice.chance(30) { format!(", {}", int(dice)) } else { String::new() };
            stmt!["out(pcall(string.gsub, ", subject, ", ", pattern, ", ", Node::Bytes(replacement), most, "))"]
        }
        7 => stmt![
            "out(pcall(string.gsub, ",
            subject,
            ", ",
            pattern,
            ", ",
            dice.pick(&["{ a = 1, ab = \"x\", [\"\"] = \"e\" }", "{ a = false, b = {} }", "{ [1] = \"one\", [2] = \"two\" }"]),
            "))"
        ],
        _ => stmt![
            "out(pcall(string.gsub, ",
            subject,
            ", ",
            pattern,
            ", ",
            dice.pick(&[
                "function(...) out(...) end",
                "function(a) return type(a) == \"string\" and a:upper() or a end",
                "function() return {} end",
                "function(a, b) return b end",
            ]),
            "))"
        ],
    }
}

fn start(dice: &mut Dice) -> String {
    match dice.below(5) {
        0 => format!(", {}", int(dice)),
        1 => format!(", {}, true", dice.below(5)),
        _ => String::new(),
    }
}

/// Mostly sound, with a bounded number of repetitions: time grows with their number.
fn pattern(dice: &mut Dice, alphabet: &[u8]) -> Vec<u8> {
    if dice.chance(6) {
        return bytes(dice, b"%[]()-+*?.^$abfdw", 8);
    }
    let mut out = Vec::new();
    if dice.chance(15) {
        out.push(b'^');
    }
    let (mut repetitions, mut open) = (0, 0);
    for _ in 0..dice.between(1, 6) {
        match dice.below(24) {
            0 | 1 => {
                out.push(b'(');
                open += 1;
            }
            2 | 3 if open > 0 => {
                out.push(b')');
                open -= 1;
            }
            4 => out.extend(b"()"),
            5 => out.extend([b'%', b'b', dice.pick(alphabet), dice.pick(alphabet)]),
            6 => {
                out.extend(b"%f");
                set(dice, alphabet, &mut out);
            }
            7 => out.extend([b'%', b'1' + dice.below(3) as u8]),
            kind => {
                match kind {
                    8..=10 => out.push(b'.'),
                    11..=13 => out.extend([b'%', dice.pick(b"acdglpsuwxACDGLPSUWXzZ.%-(")]),
                    14..=16 => set(dice, alphabet, &mut out),
                    _ => out.push(dice.pick(alphabet)),
                }
                if repetitions < 5 && dice.chance(45) {
                    out.push(dice.pick(b"*+-?"));
                    repetitions += 1;
                }
            }
        }
    }
    if !dice.chance(5) {
        out.extend(std::iter::repeat_n(b')', open));
    }
    if dice.chance(15) {
        out.push(b'$');
    }
    out
}

fn set(dice: &mut Dice, alphabet: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    if dice.chance(30) {
        out.push(b'^');
    }
    let least = if dice.chance(5) { 0 } else { 1 };
    for _ in 0..dice.between(least, 3) {
        match dice.below(6) {
            0 => out.extend([b'%', dice.pick(b"adswpl]%-^")]),
            1 => out.extend([dice.pick(alphabet), b'-', dice.pick(alphabet)]),
            2 => out.push(dice.pick(b"]-^.$")),
            _ => out.push(dice.pick(alphabet)),
        }
    }
    if !dice.chance(3) {
        out.push(b']');
    }
}

pub fn formats(dice: &mut Dice) -> Node {
    several(dice, format_call)
}

fn format_call(dice: &mut Dice) -> Node {
    let mut format = Vec::new();
    let mut arguments = Vec::new();
    for _ in 0..dice.between(1, 3) {
        if dice.chance(10) {
            format.extend(bytes(dice, b"ab ,%", 2));
        }
        let conversion = dice.pick(b"ddiuxXocsqgGfFeEaApsdxgq%zE");
        format.push(b'%');
        format.extend(match dice.below(4) {
            0 => bytes(dice, b"-+ #0", 3),
            1 => bytes(dice, b"-0", 1),
            _ => Vec::new(),
        });
        if dice.chance(40) {
            format.extend(width(dice).bytes());
        }
        if dice.chance(40) {
            format.push(b'.');
            if !dice.chance(15) {
                format.extend(width(dice).bytes());
            }
        }
        format.push(conversion);
        let argument: Node = match dice.below(12) {
            // An address.
            _ if conversion == b'p' => "nil".into(),
            0 => dice
                .pick(&[
                    "nil",
                    "true",
                    "{}",
                    "\"10\"",
                    "\"1.5\"",
                    "\"x\"",
                    "print",
                    "setmetatable({}, { __tostring = function() return \"object\" end })",
                ])
                .into(),
            1 | 2 => float(dice).into(),
            3 => int(dice).into(),
            _ => match conversion {
                b'd' | b'i' | b'u' | b'x' | b'X' | b'o' => int(dice).into(),
                b'c' => dice.below(256).to_string().into(),
                b's' | b'z' => Node::Bytes(bytes(dice, b"abc\0\n", 12)),
                b'q' => match dice.below(3) {
                    0 => int(dice).into(),
                    1 => float(dice).into(),
                    _ => Node::Bytes(bytes(dice, b"ab\n\r\0\\\"1\x7f\xff", 8)),
                },
                b'%' => continue,
                _ => float(dice).into(),
            },
        };
        arguments.extend([", ".into(), Node::Expr(vec![argument])]);
    }
    if dice.chance(5) {
        arguments.pop();
        arguments.pop();
    }
    stmt!["out(pcall(string.format, ", Node::Bytes(format), Node::Expr(arguments), "))"]
}

fn width(dice: &mut Dice) -> String {
    let most = if dice.chance(10) { 120 } else { 22 };
    dice.below(most).to_string()
}

pub fn packs(dice: &mut Dice) -> Node {
    several(dice, pack_call)
}

fn pack_call(dice: &mut Dice) -> Node {
    let mut format = String::new();
    let mut arguments = Vec::new();
    for _ in 0..dice.between(1, 5) {
        let size = if dice.chance(8) { dice.below(20) } else { dice.between(1, 9) };
        let option = dice.pick(b"bBhHlLjJTiIiIfdnszxXs!<>= ");
        format.push(option as char);
        let sized = match option {
            b'i' | b'I' | b's' | b'!' => dice.chance(60),
            b'c' => true,
            b'X' => {
                format.push(dice.pick(b"bhijdz! ") as char);
                false
            }
            _ => dice.chance(1),
        };
        if sized {
            format.push_str(&size.to_string());
        }
        let argument: Node = match option {
            b'f' | b'd' | b'n' => float(dice).into(),
            b's' | b'z' => Node::Bytes(bytes(dice, b"abc", 6)),
            b'x' | b'X' | b'!' | b'<' | b'>' | b'=' | b' ' => continue,
            _ if dice.chance(70) => (dice.below(300) as i64 - 140).to_string().into(),
            _ => int(dice).into(),
        };
        arguments.extend([", ".into(), expr![argument]]);
    }
    if dice.chance(10) {
        let size = dice.below(8);
        format.push_str(&format!("c{size}"));
        arguments.extend([", ".into(), Node::Bytes(bytes(dice, b"abc", 8))]);
    }
    let format = Node::Bytes(format.into_bytes());
    match dice.below(4) {
        0 => stmt!["out(pcall(string.packsize, ", format, "))"],
        1 => {
            let data = bytes(dice, b"\0\x01\x02\x03\xff\x80abc", 40);
            let from = if dice.chance(30) { format!(", {}", int(dice)) } else { String::new() };
            stmt!["out(pcall(string.unpack, ", format, ", ", Node::Bytes(data), from, "))"]
        }
        2 => stmt!["out(pcall(string.pack, ", format, Node::Expr(arguments), "))"],
        // There and back.
        _ => stmt![
            "do local f = ",
            format,
            " local ok, s = pcall(string.pack, f",
            Node::Expr(arguments),
            ") out(ok, s) if ok then out(pcall(string.unpack, f, s)) end end"
        ],
    }
}

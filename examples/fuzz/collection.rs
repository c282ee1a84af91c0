//! Programs about what is collected: graphs of objects under a table of roots, weak tables, finalizers, closures and coroutines that hold
//! objects. Nothing is collected but where a program says `collect()`, so what it sees afterwards is the manual's (2.5). Imports `dice`, `tree`.

use super::dice::Dice;
use super::tree::{Node, stmt};

const ROOTS: &[&str] = &["R.a", "R.b", "R.c", "R.d", "R.e"];
const TABLES: &[&str] = &["R.w", "R.v"];
const FIELDS: &[&str] = &["l", "m", "n"];

pub fn program(dice: &mut Dice) -> Node {
    // What only an object with a finalizer refers to is dead to Neap when that is freed. Until then it is in weak values and has not been finalized:
    // objects with finalizers refer to others, or are their keys, only where there are no weak values and nothing is brought back.
    let modes: &[&str] = if dice.chance(50) { &["k"] } else { &["k", "v", "kv"] };
    let linked = modes.len() == 1;
    let mut statements = vec!["local R = {}".into(), "manual()".into()];
    for i in 0..dice.between(6, 40) {
        statements.push(statement(dice, i, modes, linked));
    }
    statements.extend(["collect()".into(), "collect()".into(), "out(R)".into()]);
    Node::Block(statements)
}

fn statement(dice: &mut Dice, i: usize, modes: &[&str], linked: bool) -> Node {
    let (x, y, z) = (dice.pick(ROOTS), dice.pick(ROOTS), dice.pick(ROOTS));
    let (table, field) = (dice.pick(TABLES), dice.pick(FIELDS));
    let may_refer = if linked { "" } else { " and not getmetatable(x)" };
    match dice.below(20) {
        0..=3 => stmt![format!("{x} = {{ id = {i} }}")],
        4..=6 => stmt![format!("do local x = {x} if x{may_refer} then x.{field} = {y} end end")],
        7 | 8 => stmt![x, " = nil"],
        9 => stmt![x, " = ", y],
        10 => stmt![format!("{table} = setmetatable({{}}, {{ __mode = \"{}\" }})", dice.pick(modes))],
        11 => stmt![format!("do local x = {x} if {table} and x then {table}[x] = true{may_refer} and {y} or {i} end end")],
        12 => stmt![format!("if {table} then {table}[\"{field}\"] = {x} end")],
        13 => stmt![format!("do local x = {x} if {table} and x{may_refer} then {table}[x] = {{ id = {i}, x, {y} }} end end")],
        14 | 15 => {
            // An object of its own that a finalizer brings back.
            let deed = match dice.below(4) {
                0 if !linked => format!("R.saved{i} = o "),
                1 => "error(o) ".into(),
                _ => String::new(),
            };
            let cut = if linked { "" } else { "x.l, x.m, x.n = nil for _, t in next, { R.w, R.v } do t[x] = t[x] and 0 end " };
            stmt![format!(
                "do local x = {x} if x then {cut}setmetatable(x, {{ __gc = finalizer({i}, function(o) {deed}end) }}) end end"
            )]
        }
        16 => stmt![format!("do local x, y = {x}, {y} R.f = function() return x, y end end")],
        17 => stmt![format!(
            "do local x = {x} R.g = coroutine.wrap(function(y) while true do y = coroutine.yield(x, y) end end) R.g({z}) end"
        )],
        18 => stmt![dice.pick(&["R.f = nil", "R.g = nil", "if R.f then out(R.f()) end", "if R.g then out(R.g()) end"])],
        _ => Node::Block(vec!["collect()".into(), "out(R)".into()]),
    }
}

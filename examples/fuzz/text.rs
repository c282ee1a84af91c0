//! Sources for `load` that are no Lua, or almost. Imports `dice`, `statements`, `tree`.

use super::dice::Dice;
use super::statements;
use super::tree::{Node, stmt};

const TOKENS: &[&str] = &[
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or",
    "repeat", "return", "then", "true", "until", "while", "+", "-", "*", "/", "//", "%", "^", "#", "&", "~", "|", "<<", ">>",
    "==", "~=", "<=", ">=", "<", ">", "=", "(", ")", "{", "}", "[", "]", "::", ";", ":", ",", ".", "..", "...", "a", "b", "x",
    "_ENV", "1", "0x", "0x1p", "1e", "3.5", "\"s\"", "'t'", "[[l]]", "[=[", "--", "--[[", "<const>", "<close>", "<x>", "local a",
    "x = 1", "::l::", "goto l", "f()", "return 1",
];

/// Whether a text loads, and what is said if it does not.
fn loading(source: Vec<u8>) -> Node {
    stmt!["do local f, m = load(", Node::Bytes(source), ", \"=s\") out(f ~= nil, m) end"]
}

/// Bytes for the lexer: at random, or a part of a program with some of them changed.
pub fn bytes(dice: &mut Dice) -> Node {
    let count = dice.between(2, 6);
    Node::Block((0..count).map(|_| loading(garbled(dice))).collect())
}

fn garbled(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => {
            let length = dice.below(24);
            (0..length).map(|_| dice.bits() as u8).collect()
        }
        1 => {
            let mut source = b"return ".to_vec();
            let pieces: &[&[u8]] = &[
                b"0x",
                b"1",
                b"e",
                b"E",
                b"p",
                b"+",
                b"-",
                b".",
                b"9",
                b"f",
                b"\\",
                b"\"",
                b"'",
                b"x",
                b"u{",
                b"}",
                b"7",
                b"z",
                b"\n",
                b"\r",
                b"[",
                b"]",
                b"=",
                b"--",
                b"..",
                b"\\z",
                b"\\x4",
                b"\\u{110000}",
                b"\\255",
                b"\\256",
                b"\\9",
                b"a",
                b"_",
                b" ",
                b"\xff",
                b"\0",
                b"~",
                b"<",
                b">",
                b"@",
                b"$",
            ];
            for _ in 0..dice.below(14) {
                source.extend(dice.pick(pieces));
            }
            source
        }
        _ => {
            let mut source = statements::program(dice).text().into_bytes();
            let from = dice.below(source.len());
            source.drain(..from);
            source.truncate(dice.between(1, 300));
            for _ in 0..dice.below(4) {
                let at = dice.below(source.len());
                match dice.below(3) {
                    0 => source[at] = dice.bits() as u8,
                    1 => source.insert(at, dice.pick(b"\"'[]=-\\\n(){}0x.e~:;,")),
                    _ => drop(source.drain(at..(at + dice.below(5)).min(source.len()))),
                }
                if source.is_empty() {
                    break;
                }
            }
            source
        }
    }
}

/// Tokens for the parser: at random, or a program with some of its words changed.
pub fn tokens(dice: &mut Dice) -> Node {
    let count = dice.between(2, 6);
    Node::Block((0..count).map(|_| loading(words(dice).into_bytes())).collect())
}

fn words(dice: &mut Dice) -> String {
    if dice.chance(30) {
        let count = dice.between(1, 20);
        let words: Vec<&str> = (0..count).map(|_| dice.pick(TOKENS)).collect();
        return words.join(" ");
    }
    let program = statements::program(dice).text();
    let mut words: Vec<&str> = program.split_inclusive([' ', '\n', '(', ')', ',']).collect();
    let from = if dice.chance(50) { 0 } else { dice.below(words.len()) };
    words.drain(..from);
    words.truncate(dice.between(1, 120));
    for _ in 0..dice.between(0, 3) {
        let at = dice.below(words.len());
        match dice.below(4) {
            0 => words[at] = dice.pick(TOKENS),
            1 => words.insert(at, dice.pick(TOKENS)),
            2 => {
                let other = dice.below(words.len());
                words.swap(at, other);
            }
            _ if words.len() > 1 => drop(words.remove(at)),
            _ => {}
        }
    }
    words.concat()
}

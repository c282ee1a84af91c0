//! The inputs of a session that compiled: to show the line of an error in one of them, and to save them as a program.
//!
//! May import `syntax`, `compile`, `excerpt` (the place of an error).

use crate::cli::excerpt::{ChunkId, Place};
use crate::compile::compile;
use crate::syntax::{Class, spans};

#[derive(Default)]
pub struct Inputs {
    list: Vec<Input>,
}

struct Input {
    /// What was compiled may have a `return` in front.
    typed: Vec<u8>,
    chunk: ChunkId,
    end: End,
}

/// How an input ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With an error, or it has not ended.
    Failed,
    /// Without a value, so `_` is what it was.
    Silent,
    /// With values, the first of which is `_`.
    Values,
}

impl Inputs {
    pub fn add(&mut self, typed: &[u8], chunk: ChunkId) {
        self.list.push(Input { typed: typed.to_vec(), chunk, end: End::Failed });
    }

    /// The input added last has ended.
    pub fn end(&mut self, end: End) {
        if let Some(input) = self.list.last_mut() {
            input.end = end;
        }
    }

    /// How many inputs did not fail.
    pub fn done(&self) -> usize {
        self.list.iter().filter(|input| input.end != End::Failed).count()
    }

    /// The text of the chunk that an error was raised in.
    pub fn text(&self, place: &Place) -> Option<Vec<u8>> {
        // The latest of that number: an earlier one is gone.
        let input = self.list.iter().rev().find(|input| input.chunk == place.chunk);
        input.map_or_else(|| place.text(), |input| Some(input.typed.clone()))
    }

    /// A program that does again what the inputs did, one after the other. One that failed would end it, or would perhaps not end: it
    /// is a comment.
    pub fn program(&self) -> Vec<u8> {
        let mut program = Vec::new();
        for input in &self.list {
            let statement = match input.end {
                End::Failed => comment(&input.typed),
                End::Silent => statement(&input.typed),
                End::Values => assignment(&input.typed),
            };
            // So that it can't be taken for a call of what stands before it.
            if words(&statement).next() == Some(&b"("[..]) {
                program.push(b';');
            }
            program.extend_from_slice(&statement);
            program.push(b'\n');
        }
        program
    }
}

/// The tokens of a program.
fn words(code: &[u8]) -> impl Iterator<Item = &[u8]> {
    let tokens = spans(code).filter(|span| !matches!(span.class, Class::Space | Class::Comment));
    tokens.map(|span| &code[span.start..span.end])
}

/// Whether a program may return from its main function.
fn returns(code: &[u8]) -> bool {
    let mut open = Vec::new();
    for word in words(code) {
        match word {
            b"return" if !open.contains(&&b"function"[..]) => return true,
            b"function" | b"if" | b"do" | b"repeat" => open.push(word),
            b"end" | b"until" => drop(open.pop()),
            _ => {}
        }
    }
    false
}

fn stands_alone(code: &[u8]) -> bool {
    compile(&[code, b"\ndo end"].concat(), b"=input").is_ok()
}

/// An input that is read and not run.
fn comment(typed: &[u8]) -> Vec<u8> {
    let lines: Vec<Vec<u8>> = typed.split(|byte| matches!(byte, b'\n' | b'\r')).map(|line| [b"-- ", line].concat()).collect();
    lines.join(&b'\n')
}

/// A block as an expression.
fn call_of_function(typed: &[u8]) -> Vec<u8> {
    [b"(function(...)\n", typed, b"\nend)(...)"].concat()
}

/// An input as a statement among others. Its local variables, labels and returns stay its own.
fn statement(typed: &[u8]) -> Vec<u8> {
    let code = typed.strip_prefix(b"=").unwrap_or(typed);
    if !stands_alone(code) {
        // An expression, if not a call.
        let unused = [b"local _ = ", code].concat();
        return if stands_alone(&unused) { [b"do ", &unused[..], b"\nend"].concat() } else { call_of_function(code) };
    }
    if returns(code) {
        return call_of_function(code);
    }
    let has_own = words(code).any(|word| matches!(word, b"local" | b"goto" | b"::"));
    if has_own { [b"do\n", code, b"\nend"].concat() } else { code.to_vec() }
}

/// An input whose first value goes to `_`, as it did.
fn assignment(typed: &[u8]) -> Vec<u8> {
    let assigned = [b"_ = ", typed.strip_prefix(b"=").unwrap_or(typed)].concat();
    if stands_alone(&assigned) { assigned } else { [b"_ = ", &call_of_function(typed)[..]].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(list: &[(&str, End)]) -> Inputs {
        let mut inputs = Inputs::default();
        for (typed, end) in list {
            inputs.add(typed.as_bytes(), ChunkId(1));
            inputs.end(*end);
        }
        inputs
    }

    #[test]
    fn inputs_become_a_program() {
        let inputs = ended(&[
            ("x = 1", End::Silent),
            ("x + 1 -- sum", End::Values),
            ("= x, 2", End::Values),
            ("local y = x", End::Silent),
            ("return 5", End::Values),
            ("(f or print)('a')", End::Silent),
            ("= f(x)", End::Silent),
            ("f(x)", End::Values),
            ("...", End::Silent),
            ("print(x)", End::Failed),
            ("while x do\nend", End::Failed),
            ("::l:: goto m ::m::", End::Silent),
        ]);
        assert_eq!(inputs.done(), 10);
        let program = String::from_utf8(inputs.program()).expect("UTF-8");
        let lines = "x = 1\n_ = x + 1 -- sum\n_ =  x, 2\ndo\nlocal y = x\nend\n_ = (function(...)\nreturn 5\nend)(...)\n\
                     ;(f or print)('a')\n f(x)\n_ = f(x)\ndo local _ = ...\nend\n-- print(x)\n-- while x do\n-- end\ndo\n::l:: goto m ::m::\nend\n";
        assert_eq!(program, lines);
        assert!(compile(program.as_bytes(), b"=saved").is_ok());
    }

    /// What the lines of a session leave behind, so does the program, however they begin and end.
    #[test]
    fn inputs_do_not_run_into_each_other() {
        let typed = [
            "y = print",
            " (y or error)('a')",
            "-- (\n(y)('b')",
            "if y then return end",
            "for i = 1, 2 do return i end",
            "f = function() return 1 end",
            "y('c')",
        ];
        let inputs = ended(&typed.map(|typed| (typed, End::Silent)));
        let program = String::from_utf8(inputs.program()).expect("UTF-8");
        let lines = "y = print\n; (y or error)('a')\n;-- (\n(y)('b')\n;(function(...)\nif y then return end\nend)(...)\n\
                     ;(function(...)\nfor i = 1, 2 do return i end\nend)(...)\nf = function() return 1 end\ny('c')\n";
        assert_eq!(program, lines);
        assert!(compile(program.as_bytes(), b"=saved").is_ok());
    }

    #[test]
    fn chunks_of_one_name_are_told_apart() {
        let mut inputs = Inputs::default();
        let place = |number| Place { source: b"=stdin".to_vec(), chunk: ChunkId(number), line: 1 };
        inputs.add(b"a", ChunkId(1));
        inputs.add(b"b", ChunkId(2));
        inputs.add(b"c", ChunkId(3));
        inputs.add(b"d", ChunkId(1));
        assert_eq!(inputs.text(&place(2)), Some(b"b".to_vec()));
        assert_eq!(inputs.text(&place(1)), Some(b"d".to_vec()));
        assert_eq!(inputs.text(&place(4)), None);
    }
}

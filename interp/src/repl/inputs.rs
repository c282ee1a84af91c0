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
}

impl Inputs {
    pub fn add(&mut self, typed: &[u8], chunk: ChunkId) {
        self.list.push(Input { typed: typed.to_vec(), chunk });
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The text of the chunk that an error was raised in.
    pub fn text(&self, place: &Place) -> Option<Vec<u8>> {
        // The latest of that number: an earlier one is gone.
        let input = self.list.iter().rev().find(|input| input.chunk == place.chunk);
        input.map_or_else(|| place.text(), |input| Some(input.typed.clone()))
    }

    /// A program that does again what the inputs did, one after the other.
    pub fn program(&self) -> Vec<u8> {
        let mut program = Vec::new();
        for input in &self.list {
            let statement = statement(&input.typed);
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

/// An input as a statement among others. Its local variables, labels and returns stay its own; the value of an expression goes to `_`,
/// as it did.
fn statement(typed: &[u8]) -> Vec<u8> {
    let stands_alone = |code: &[u8]| compile(&[code, b"\ndo end"].concat(), b"=input").is_ok();
    if stands_alone(typed) && !returns(typed) {
        let has_own = words(typed).any(|word| matches!(word, b"local" | b"goto" | b"::"));
        return if has_own { [b"do\n", typed, b"\nend"].concat() } else { typed.to_vec() };
    }
    let assigned = [b"_ = ", typed.strip_prefix(b"=").unwrap_or(typed)].concat();
    if stands_alone(&assigned) { assigned } else { [b"_ = (function(...)\n", typed, b"\nend)(...)"].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_become_a_program() {
        let mut inputs = Inputs::default();
        for typed in
            ["x = 1", "x + 1 -- sum", "= x, 2", "local y = x", "return 5", "(f or print)('a')", "print(x)", "::l:: goto m ::m::"]
        {
            inputs.add(typed.as_bytes(), ChunkId(1));
        }
        let program = String::from_utf8(inputs.program()).expect("UTF-8");
        let lines = "x = 1\n_ = x + 1 -- sum\n_ =  x, 2\ndo\nlocal y = x\nend\n_ = (function(...)\nreturn 5\nend)(...)\n\
                     ;(f or print)('a')\nprint(x)\ndo\n::l:: goto m ::m::\nend\n";
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
        let mut inputs = Inputs::default();
        typed.iter().for_each(|typed| inputs.add(typed.as_bytes(), ChunkId(1)));
        let program = String::from_utf8(inputs.program()).expect("UTF-8");
        let lines = "y = print\n; (y or error)('a')\n;-- (\n(y)('b')\n_ = (function(...)\nif y then return end\nend)(...)\n\
                     _ = (function(...)\nfor i = 1, 2 do return i end\nend)(...)\nf = function() return 1 end\ny('c')\n";
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

//! Lines from a pipe or a file, or from a terminal that can do nothing more.

use super::{Input, Lines};
use std::io::{BufRead, Write};

pub struct PlainLines<R, W> {
    input: R,
    output: W,
}

impl<R: BufRead, W: Write> PlainLines<R, W> {
    pub fn new(input: R, output: W) -> Self {
        PlainLines { input, output }
    }
}

impl<R: BufRead, W: Write> Lines for PlainLines<R, W> {
    fn read(&mut self, prompt: &[u8]) -> Input {
        // Without a prompt it goes on all the same.
        let _ = self.output.write_all(prompt).and_then(|()| self.output.flush());
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(count) if count > 0 => {
                line.pop_if(|last| *last == b'\n');
                Input::Line(line)
            }
            _ => Input::End,
        }
    }

    fn remember(&mut self, _input: &[u8]) {}
}

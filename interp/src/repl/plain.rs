//! Lines from a pipe or a file, or from a terminal that can do nothing more.

use super::{Input, Lines, Screen};
use std::io::Write;

pub struct PlainLines<I, W> {
    input: I,
    output: W,
    screen: Option<Screen>,
}

impl<I: Iterator<Item = Vec<u8>>, W: Write> PlainLines<I, W> {
    pub fn new(input: I, output: W, screen: Option<Screen>) -> Self {
        PlainLines { input, output, screen }
    }
}

impl<I: Iterator<Item = Vec<u8>>, W: Write> Lines for PlainLines<I, W> {
    fn read(&mut self, prompt: &[u8]) -> Input {
        // Without a prompt it goes on all the same.
        let _ = self.output.write_all(prompt).and_then(|()| self.output.flush());
        self.input.next().map_or(Input::End, Input::Line)
    }

    fn remember(&mut self, _input: &[u8]) {}

    fn screen(&mut self) -> Option<Screen> {
        self.screen
    }
}

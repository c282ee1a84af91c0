//! `--check` and `--disasm`: programs are compiled, not run. No heap is made.
//!
//! May import `compile`, `bytecode`, the reader of files in `stdlib`, `excerpt`.

use super::{complain, excerpt, print, write_error};
use crate::bytecode::budget::{Budget, Refusal};
use crate::bytecode::{Proto, chunk, disassemble};
use crate::stdlib::load::{chunk_of, is_binary};

/// What is to be done with each file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inspection {
    /// Nothing but to see whether it compiles.
    Check,
    /// Its bytecode is listed.
    Disassemble,
}

/// Does it with all files, `-` being the standard input; `false` if one of them is no program.
pub fn inspect(inspection: Inspection, files: &[Vec<u8>], name: &[u8]) -> bool {
    let mut fine = true;
    for file in files {
        match compile(file) {
            Ok(proto) if inspection == Inspection::Disassemble => print(disassemble(&proto).as_bytes()),
            Ok(_) => {}
            Err((message, excerpt)) => {
                complain(Some(name), &message);
                write_error(excerpt.as_bytes());
                fine = false;
            }
        }
    }
    fine
}

/// The program in a file, text or binary. An error is the message, and what may be shown below it.
fn compile(file: &[u8]) -> Result<Proto, (Vec<u8>, String)> {
    let path = (file != b"-").then_some(file);
    let (name, text) = chunk_of(path).map_err(|message| (message, String::new()))?;
    if is_binary(&text) {
        return chunk::undump(&text, &mut Budget::unlimited()).map_err(|refusal| match refusal {
            Refusal::Unsound(problem) => (chunk::complaint(&problem, &name), String::new()),
            Refusal::Memory | Refusal::Interrupted => (b"not enough memory".to_vec(), String::new()),
        });
    }
    crate::compile::compile(&text, &name).map_err(|error| {
        let excerpt = excerpt::for_errors(|colour| excerpt::of_syntax_error(&text, &error, colour));
        (error.message, excerpt)
    })
}

//! What the auditor can find wrong. Addresses are those of cells; 0 where there is none.

use std::fmt;

/// The first thing found wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditError {
    /// The audit equation does not hold for an object.
    Count { cell: usize, kind: &'static str, count: u32, pending: u64, expected: u64 },
    /// A reference, counted or standing in a live object or a list, leads to a cell that is neither live nor young.
    DeadReference { from: &'static str, holder: usize, to: usize },
    /// A weak slot names a cell that is no longer there, or that does not know it is held weakly.
    WeakReference { holder: usize, kind: &'static str, to: usize },
    /// Something reachable that marking will not find any more.
    Unmarked { cell: usize, kind: &'static str, from: usize },
    /// A header contradicts the bits or the lists.
    Header { cell: usize, what: &'static str },
    /// The bits of a block contradict each other.
    Block { block: usize, what: &'static str },
    /// Bytes in use as found, and as the memory layer has it.
    Accounting { found: usize, said: usize },
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AuditError::Count { cell, kind, count, pending, expected } => {
                write!(
                    f,
                    "{kind} at {cell:#x}: its count is {count}, {pending} increments are pending, {expected} references were found"
                )
            }
            AuditError::DeadReference { from, holder: 0, to } => write!(f, "{from}: a reference to the dead cell {to:#x}"),
            AuditError::DeadReference { from, holder, to } => {
                write!(f, "{from} at {holder:#x}: a reference to the dead cell {to:#x}")
            }
            AuditError::WeakReference { holder, kind, to } => {
                write!(f, "{kind} at {holder:#x}: a weak reference to {to:#x}, which was released or is not flagged")
            }
            AuditError::Unmarked { cell, kind, from } => {
                write!(f, "{kind} at {cell:#x}, reached from {from:#x}: unmarked, and marking will not find it")
            }
            AuditError::Header { cell, what } => write!(f, "cell {cell:#x}: {what}"),
            AuditError::Block { block, what } => write!(f, "block {block:#x}: {what}"),
            AuditError::Accounting { found, said } => write!(f, "{found} bytes are in use, the accounts say {said}"),
        }
    }
}

impl std::error::Error for AuditError {}

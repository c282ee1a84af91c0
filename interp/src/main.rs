//! The command line of Neap.
fn main() {}

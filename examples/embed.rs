//! Embedding the heap: see `neap_gc::Heap`.
fn main() {}

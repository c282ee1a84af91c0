//! What a large source, or a large binary chunk, has needed goes back to the system in a thread of its own: that takes a tenth of a second for each gigabyte, in which a program could
//! not be stopped.
//!
//! Imports nothing of the project.

/// Less than this is gone in a moment.
const LARGE: usize = 16 << 20;

/// Drops what has about so many bytes.
pub fn discard<T: Send + 'static>(bytes: usize, value: T) {
    if bytes >= LARGE {
        // Without a thread it is dropped here, as what is not large is.
        let _ = std::thread::Builder::new().name("discard".into()).spawn(move || drop(value));
    }
}

//! Files with one buffer for reading and one for writing, as the streams of C have them.
//!
//! * **I1** At most one of the two buffers holds bytes: before a write what was read ahead is given back by a seek, before a read
//!   what was written is flushed.
//! * **I2** A read takes memory for what is there, not for what was asked for.
//! * **I3** Whatever may have to wait for another process asks the stream's hook whether to go on. Bytes that can't be written because of that are lost.
//!
//! May import `vm/wait`.

use crate::vm::wait::{self, Hook, PIPE_BYTES};
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Seek, SeekFrom, Write};
use std::process::{Child, ExitStatus};

/// The size of the buffers, unless told otherwise.
const BUFFER: usize = 8192;
/// The longest numeral that is read.
const MAX_NUMERAL: usize = 200;

/// When written bytes go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffering {
    No,
    Line,
    Full(usize),
}

/// Takes the bytes that are read.
pub type Put<'p> = &'p mut dyn FnMut(&[u8]) -> io::Result<()>;

/// A file, a standard stream, or one end of a pipe.
pub struct Stream {
    file: File,
    /// Whether reading and writing may have to wait.
    waits: bool,
    hook: Hook,
    /// Whether it was opened for writing; the system would tell only when the buffer goes out.
    writable: bool,
    /// The process at the other end of a pipe.
    child: Option<Child>,
    /// Bytes read ahead, from `taken` on.
    input: Vec<u8>,
    taken: usize,
    /// Bytes not yet written.
    output: Vec<u8>,
    buffering: Buffering,
    /// What was written last does not end a line.
    within_line: bool,
}

impl Stream {
    pub fn new(file: File, writable: bool, hook: Hook) -> Stream {
        let waits = wait::may_wait(&file);
        let buffering = if waits && file.is_terminal() { Buffering::Line } else { Buffering::Full(BUFFER) };
        Stream {
            file,
            waits,
            hook,
            writable,
            child: None,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            buffering,
            within_line: false,
        }
    }

    /// One end of a pipe, whose other end is a process's.
    pub fn pipe(file: File, writable: bool, child: Child, hook: Hook) -> Stream {
        let mut stream = Stream::new(file, writable, hook);
        stream.child = Some(child);
        stream
    }

    /// Opens a file in a mode of `fopen`, which must be a valid one.
    pub fn open(path: &std::path::Path, mode: &[u8], mut hook: Hook) -> io::Result<Stream> {
        let mut options = File::options();
        let update = mode.contains(&b'+');
        match mode.first() {
            Some(b'w') => options.write(true).create(true).truncate(true).read(update),
            Some(b'a') => options.append(true).create(true).read(update),
            _ => options.read(true).write(update),
        };
        let file = wait::until_open(&options, path, &mut hook)?;
        Ok(Stream::new(file, update || mode.first() != Some(&b'r'), hook))
    }

    /// From here on another hook is asked.
    pub fn set_hook(&mut self, hook: Hook) {
        self.hook = hook;
    }

    pub fn set_buffering(&mut self, buffering: Buffering) -> io::Result<()> {
        self.flush()?;
        self.buffering = buffering;
        Ok(())
    }

    /// Writes, as far as the buffering asks for it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.writable {
            return Err(rustix::io::Errno::BADF.into());
        }
        self.unread()?;
        self.within_line = bytes.last().map_or(self.within_line, |&last| last != b'\n');
        let (limit, line) = match self.buffering {
            Buffering::No => (0, false),
            Buffering::Line => (BUFFER, true),
            Buffering::Full(limit) => (limit, false),
        };
        if self.output.len() + bytes.len() > limit {
            self.flush()?;
            if bytes.len() >= limit {
                return put_out(&mut self.file, self.waits, &mut self.hook, bytes);
            }
        }
        self.output.extend_from_slice(bytes);
        if line && bytes.contains(&b'\n') { self.flush() } else { Ok(()) }
    }

    /// Whether lines go out as they are written.
    pub fn is_line_buffered(&self) -> bool {
        self.buffering == Buffering::Line
    }

    /// Whether somebody may be at the other end who answers what has been written elsewhere.
    pub fn is_interactive(&self) -> bool {
        matches!(self.buffering, Buffering::No | Buffering::Line)
    }

    /// Whether a line has been begun, and not ended, by what was written.
    #[cfg(feature = "cli")]
    pub fn is_within_line(&self) -> bool {
        self.within_line
    }

    pub fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        // What can't be written is lost, as in C; else the destructor would try it again.
        let result = put_out(&mut self.file, self.waits, &mut self.hook, &self.output);
        self.output.clear();
        result
    }

    /// Gives back what was read ahead (I1).
    fn unread(&mut self) -> io::Result<()> {
        let ahead = self.input.len() - self.taken;
        if ahead > 0 {
            // Only what can be sought in can be given back.
            let _ = self.file.seek(SeekFrom::Current(-(ahead as i64)));
        }
        self.input.clear();
        self.taken = 0;
        Ok(())
    }

    /// Makes sure that a byte is read ahead; `false` at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        if self.taken < self.input.len() {
            return Ok(true);
        }
        self.flush()?;
        self.taken = 0;
        self.input.resize(BUFFER, 0);
        // A read that a signal has interrupted is not tried again: the user wants out.
        let ready = if self.waits { wait::until_ready(&self.file, false, &mut self.hook) } else { Ok(()) };
        let count = ready.and_then(|()| self.file.read(&mut self.input));
        self.input.truncate(*count.as_ref().unwrap_or(&0));
        count.map(|count| count > 0)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(if self.fill()? { Some(self.input[self.taken]) } else { None })
    }

    /// Whether the end is reached.
    pub fn at_end(&mut self) -> io::Result<bool> {
        Ok(!self.fill()?)
    }

    /// Hands over a line, piece by piece; `false` at the end of the file.
    pub fn read_line(&mut self, keep_newline: bool, put: Put) -> io::Result<bool> {
        if !self.fill()? {
            return Ok(false);
        }
        while self.fill()? {
            let ahead = &self.input[self.taken..];
            let newline = memchr::memchr(b'\n', ahead);
            let taken = newline.map_or(ahead.len(), |place| place + 1);
            let kept = if newline.is_some() && !keep_newline { taken - 1 } else { taken };
            put(&ahead[..kept])?;
            self.taken += taken;
            if newline.is_some() {
                break;
            }
        }
        Ok(true)
    }

    /// Hands over up to `count` bytes, piece by piece; `false` if there is none at all.
    pub fn read_bytes(&mut self, count: usize, put: Put) -> io::Result<bool> {
        let mut done = 0;
        while done < count && self.fill()? {
            let ahead = &self.input[self.taken..];
            let taken = ahead.len().min(count - done);
            put(&ahead[..taken])?;
            self.taken += taken;
            done += taken;
        }
        Ok(done > 0)
    }

    /// The longest text that could begin a numeral; empty if it is too long for one. `go_on` can end a search in endless blanks.
    pub fn read_numeral(&mut self, go_on: &mut dyn FnMut() -> bool) -> io::Result<Vec<u8>> {
        while self.peek()?.is_some_and(|byte| matches!(byte, b' ' | b'\t'..=b'\r')) {
            self.taken += 1;
            if self.taken == self.input.len() && !go_on() {
                return Err(ErrorKind::Interrupted.into());
            }
        }
        let mut text = Vec::new();
        self.accept(&mut text, b"+-")?;
        let mut hexadecimal = false;
        let mut digits = 0;
        if self.accept(&mut text, b"0")? {
            hexadecimal = self.accept(&mut text, b"xX")?;
            digits = usize::from(!hexadecimal);
        }
        let set: &[u8] = if hexadecimal { b"0123456789abcdefABCDEF" } else { b"0123456789" };
        while self.accept(&mut text, set)? {
            digits += 1;
        }
        if self.accept(&mut text, b".")? {
            while self.accept(&mut text, set)? {
                digits += 1;
            }
        }
        if digits > 0 && self.accept(&mut text, if hexadecimal { b"pP" } else { b"eE" })? {
            self.accept(&mut text, b"+-")?;
            while self.accept(&mut text, b"0123456789")? {}
        }
        if text.len() > MAX_NUMERAL {
            text.clear();
        }
        Ok(text)
    }

    /// Takes the next byte if it is one of `set`, and the text is not too long yet.
    fn accept(&mut self, text: &mut Vec<u8>, set: &[u8]) -> io::Result<bool> {
        match self.peek()? {
            Some(byte) if text.len() <= MAX_NUMERAL && set.contains(&byte) => {
                text.push(byte);
                self.taken += 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Moves to another place, and tells where that is.
    pub fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.flush()?;
        let to = match to {
            SeekFrom::Current(offset) => {
                let ahead = (self.input.len() - self.taken) as i64;
                SeekFrom::Current(offset.checked_sub(ahead).ok_or(ErrorKind::InvalidInput)?)
            }
            other => other,
        };
        let place = self.file.seek(to)?;
        self.input.clear();
        self.taken = 0;
        Ok(place)
    }

    /// Closes the stream; for a pipe, waits for the process and tells how it ended.
    pub fn close(mut self) -> io::Result<Option<ExitStatus>> {
        let flushed = self.flush();
        let child = self.child.take();
        let mut hook = std::mem::replace(&mut self.hook, Box::new(|| true));
        // The process may wait for the end of its input.
        drop(self);
        let status = child.map(|child| wait::until_ended(child, &mut hook)).transpose()?;
        flushed.map(|()| status)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Nobody is left who could be told of an error.
        let _ = self.flush();
        if let Some(mut child) = self.child.take() {
            // It ends in its own time, and is not left as a zombie.
            std::thread::spawn(move || child.wait());
        }
    }
}

/// Writes all the bytes.
fn put_out(file: &mut File, waits: bool, hook: &mut Hook, bytes: &[u8]) -> io::Result<()> {
    if !waits {
        return file.write_all(bytes);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        wait::until_ready(file, true, hook)?;
        match file.write(&rest[..rest.len().min(PIPE_BYTES)]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            // Who interrupts has the hook say so.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The message of an error of the system, without the number that Rust adds, and the number.
pub fn error_text(error: &io::Error) -> (Vec<u8>, i64) {
    let code = error.raw_os_error().unwrap_or(0);
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    (text.as_bytes().to_vec(), code.into())
}

/// Whether `fopen` knows the mode.
pub fn is_mode(mode: &[u8]) -> bool {
    let [b'r' | b'w' | b'a', rest @ ..] = mode else { return false };
    let rest = rest.strip_prefix(b"+").unwrap_or(rest);
    matches!(rest, [] | [b'b'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reading function hands over, if it finds something.
    fn got(read: impl FnOnce(Put) -> io::Result<bool>) -> io::Result<Option<Vec<u8>>> {
        let mut got = Vec::new();
        let found = read(&mut |bytes| {
            got.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(found.then_some(got))
    }
    fn line(stream: &mut Stream, keep_newline: bool) -> Option<Vec<u8>> {
        got(|put| stream.read_line(keep_newline, put)).expect("a line")
    }
    fn bytes(stream: &mut Stream, count: usize) -> Option<Vec<u8>> {
        got(|put| stream.read_bytes(count, put)).expect("bytes")
    }

    /// A file in the temporary folder that is removed at the end.
    struct Scratch(std::path::PathBuf);
    impl Scratch {
        fn new(name: &str, content: &[u8]) -> Scratch {
            let path = std::env::temp_dir().join(format!("neap-{}-{name}", std::process::id()));
            std::fs::write(&path, content).expect("a file");
            Scratch(path)
        }
        fn open(&self, mode: &str) -> Stream {
            assert!(is_mode(mode.as_bytes()));
            Stream::open(&self.0, mode.as_bytes(), Box::new(|| true)).expect("a stream")
        }
        fn content(&self) -> Vec<u8> {
            std::fs::read(&self.0).expect("the file")
        }
    }
    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn lines_bytes_and_the_rest() {
        let scratch = Scratch::new("lines", b"one\ntwo\n\nlast");
        let mut stream = scratch.open("r");
        assert_eq!(line(&mut stream, false).as_deref(), Some(&b"one"[..]));
        assert_eq!(line(&mut stream, true).as_deref(), Some(&b"two\n"[..]));
        assert_eq!(line(&mut stream, false).as_deref(), Some(&b""[..]));
        assert_eq!(bytes(&mut stream, 2).as_deref(), Some(&b"la"[..]));
        assert!(!stream.at_end().expect("an answer"));
        assert_eq!(bytes(&mut stream, usize::MAX).as_deref(), Some(&b"st"[..]));
        assert!(stream.at_end().expect("an answer"));
        assert_eq!(line(&mut stream, false), None);
        assert_eq!(bytes(&mut stream, usize::MAX), None);
        assert_eq!(stream.seek(SeekFrom::Start(0)).expect("a place"), 0);
        assert!(stream.read_bytes(usize::MAX, &mut |_| Err(ErrorKind::OutOfMemory.into())).is_err());
    }

    #[test]
    fn long_lines_cross_buffers() {
        let long = vec![b'x'; 3 * BUFFER + 7];
        let scratch = Scratch::new("long", &[&long[..], b"\n", &long[..]].concat());
        let mut stream = scratch.open("rb");
        assert_eq!(line(&mut stream, false), Some(long.clone()));
        assert_eq!(stream.seek(SeekFrom::Current(0)).expect("a place"), long.len() as u64 + 1);
        assert_eq!(line(&mut stream, false), Some(long));
    }

    #[test]
    fn numerals() {
        let scratch = Scratch::new("numerals", b"  12 -0x1F.8p+2\n.5e3z 0xg 1e+ +-3");
        let mut stream = scratch.open("r");
        let numeral = |stream: &mut Stream| stream.read_numeral(&mut || true).expect("text");
        for expected in ["12", "-0x1F.8p+2", ".5e3", ""] {
            assert_eq!(numeral(&mut stream), expected.as_bytes());
        }
        assert_eq!(bytes(&mut stream, 1).as_deref(), Some(&b"z"[..]));
        for expected in ["0x", ""] {
            assert_eq!(numeral(&mut stream), expected.as_bytes());
        }
        bytes(&mut stream, 1);
        for expected in ["1e+", "+", "-3"] {
            assert_eq!(numeral(&mut stream), expected.as_bytes());
        }
        let scratch = Scratch::new("too-long", &[b'1'; 300]);
        assert_eq!(numeral(&mut scratch.open("r")), b"");
        let scratch = Scratch::new("blank", &[b' '; 3 * BUFFER]);
        assert_eq!(numeral(&mut scratch.open("r")), b"");
        let stopped = scratch.open("r").read_numeral(&mut || false);
        assert_eq!(stopped.expect_err("an error").kind(), ErrorKind::Interrupted);
    }

    #[test]
    fn reading_and_writing_take_turns() {
        let scratch = Scratch::new("turns", b"0123456789");
        let mut stream = scratch.open("r+");
        assert_eq!(bytes(&mut stream, 2).as_deref(), Some(&b"01"[..]));
        stream.write(b"ab").expect("written");
        assert_eq!(bytes(&mut stream, 2).as_deref(), Some(&b"45"[..]));
        assert_eq!(stream.seek(SeekFrom::Current(0)).expect("a place"), 6);
        stream.write(b"c").expect("written");
        assert_eq!(stream.close().expect("closed"), None);
        assert_eq!(scratch.content(), b"01ab45c789");
        let mut stream = scratch.open("a+");
        stream.write(b"!").expect("written");
        drop(stream);
        assert_eq!(scratch.content(), b"01ab45c789!");
        drop(scratch.open("w"));
        assert_eq!(scratch.content(), b"");
    }

    #[test]
    fn buffering() {
        let scratch = Scratch::new("buffering", b"");
        let mut stream = scratch.open("w");
        stream.write(b"a").expect("written");
        assert_eq!(scratch.content(), b"");
        stream.set_buffering(Buffering::Line).expect("set");
        stream.write(b"b").expect("written");
        assert_eq!(scratch.content(), b"a");
        stream.write(b"c\nd").expect("written");
        assert_eq!(scratch.content(), b"abc\nd");
        stream.set_buffering(Buffering::No).expect("set");
        stream.write(b"e").expect("written");
        assert_eq!(scratch.content(), b"abc\nde");
    }

    #[test]
    fn errors_and_modes() {
        let error = Stream::open("/nonexistent/file".as_ref(), b"r", Box::new(|| true)).err().expect("an error");
        assert_eq!(error_text(&error), (b"No such file or directory".to_vec(), 2));
        for mode in ["r", "w+", "ab", "r+b"] {
            assert!(is_mode(mode.as_bytes()));
        }
        for mode in ["", "x", "rb+", "r++", "rbb", "rw"] {
            assert!(!is_mode(mode.as_bytes()));
        }
        // Reading what is open for writing only is an error of the system.
        let scratch = Scratch::new("write-only", b"x");
        assert!(got(|put| scratch.open("a").read_bytes(1, put)).is_err());
        // So is the other way round, though nothing has gone out yet.
        assert_eq!(error_text(&scratch.open("r").write(b"x").expect_err("an error")).1, 9);
    }
}

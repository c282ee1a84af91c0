//! Lua patterns (§6.4.1) as a list of items, which the [`matcher`](super::matcher) runs.
//!
//! * **I1** A malformed pattern compiles: the item in the wrong place is a `Bad`, which fails only when the matcher
//!   comes to it. So a pattern is complained about exactly when the reference does.
//! * **I2** A pattern and what is searched for may be as long as a string: the hook is asked whether to go on (as in I2 of the matcher).
//!
//! May import `fault` alone.

use super::fault::Fault;
use memchr::{memchr, memmem};
use smallvec::SmallVec;

/// The most captures of a pattern.
pub const MAX_CAPTURES: usize = 32;

/// A set of bytes.
pub(super) type ByteSet = [u64; 4];

/// What matches one byte.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Single {
    Any,
    Byte(u8),
    /// Index into the sets of the pattern.
    Set(u16),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Item {
    One(Single),
    /// `?`
    Optional(Single),
    /// `*`
    Star(Single),
    /// `+`
    Plus(Single),
    /// `-`
    Lazy(Single),
    Open,
    /// `()`
    Position,
    Close,
    /// `%1` to `%9`, from 0; 255 for `%0`.
    Back(u8),
    /// `%bxy`
    Balance(u8, u8),
    /// `%f[set]`
    Frontier(u16),
    /// `$` at the end
    EndAnchor,
    /// I1
    Bad(Malformed),
    /// The end of the pattern.
    Done,
}

/// A compiled pattern.
pub struct Pattern {
    pub(super) items: SmallVec<[Item; 16]>,
    pub(super) sets: SmallVec<[ByteSet; 4]>,
    pub(super) anchored: bool,
}

/// What makes a pattern malformed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Malformed {
    Escape,
    Bracket,
    Balance,
    Frontier,
    TooManySets,
    /// Not read to its end: the hook asked to stop.
    Stopped,
}

impl Malformed {
    pub(super) fn message(self) -> &'static str {
        match self {
            Malformed::Escape => "malformed pattern (ends with '%')",
            Malformed::Bracket => "malformed pattern (missing ']')",
            Malformed::Balance => "malformed pattern (missing arguments to '%b')",
            Malformed::Frontier => "missing '[' after '%f' in pattern",
            Malformed::TooManySets => "pattern too complex",
            Malformed::Stopped => "stopped",
        }
    }
}

/// The bytes of a class, in the C locale.
const fn class(letter: u8) -> ByteSet {
    let mut set = [0; 4];
    let mut byte = 0u8;
    loop {
        let belongs = match letter {
            b'a' => byte.is_ascii_alphabetic(),
            b'c' => byte.is_ascii_control(),
            b'd' => byte.is_ascii_digit(),
            b'g' => byte.is_ascii_graphic(),
            b'l' => byte.is_ascii_lowercase(),
            b'p' => byte.is_ascii_punctuation(),
            // Unlike `is_ascii_whitespace`, `isspace` knows the vertical tab.
            b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
            b'u' => byte.is_ascii_uppercase(),
            b'w' => byte.is_ascii_alphanumeric(),
            b'x' => byte.is_ascii_hexdigit(),
            _ => byte == 0,
        };
        if belongs {
            set[(byte >> 6) as usize] |= 1 << (byte & 63);
        }
        if byte == 255 {
            return set;
        }
        byte += 1;
    }
}

/// The letters that name a class (`z` is deprecated), and the classes.
const LETTERS: &[u8; 11] = b"acdglpsuwxz";
static CLASSES: [ByteSet; 11] = {
    let mut classes = [[0; 4]; 11];
    let mut i = 0;
    while i < LETTERS.len() {
        classes[i] = class(LETTERS[i]);
        i += 1;
    }
    classes
};

/// What `%letter` stands for, or `None` if the letter stands for itself.
fn class_of(letter: u8) -> Option<ByteSet> {
    let index = LETTERS.iter().position(|&known| known == letter.to_ascii_lowercase())?;
    let set = CLASSES[index];
    Some(if letter.is_ascii_uppercase() { set.map(|word| !word) } else { set })
}

fn insert(set: &mut ByteSet, byte: u8) {
    set[usize::from(byte >> 6)] |= 1 << (byte & 63);
}

pub(super) fn holds(set: &ByteSet, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
}

/// Reads a source into a pattern; the hook is that of I2.
pub type Read = fn(&mut Pattern, &[u8], &mut dyn FnMut() -> bool) -> Result<(), Fault>;

struct Compiler<'p> {
    source: &'p [u8],
    at: usize,
    pattern: &'p mut Pattern,
    /// The end of the bytes that may be read before the hook is asked again.
    unasked: usize,
    go_on: &'p mut dyn FnMut() -> bool,
}

/// Bytes of a pattern that are read between two calls of the hook.
const ASK_BYTES: usize = 1 << 15;

/// A source up to so many bytes makes a pattern that is no matter for the heap's limit.
pub const SHORT: usize = 4096;
/// What a pattern may need for each byte of its source, beside its sets, which are bounded.
pub const ITEM_BYTES: usize = size_of::<Item>();

impl Compiler<'_> {
    /// I2. `false`: stop.
    #[inline]
    fn asks(&mut self, at: usize) -> bool {
        if at < self.unasked {
            return true;
        }
        self.unasked = at + ASK_BYTES;
        (self.go_on)()
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn add_set(&mut self, set: ByteSet) -> Result<u16, Malformed> {
        let index = self.pattern.sets.len();
        self.pattern.sets.push(set);
        u16::try_from(index).map_err(|_| Malformed::TooManySets)
    }

    /// A bracketed set; `at` is on the `[`.
    fn bracket(&mut self) -> Result<u16, Malformed> {
        let long = self.source.len() > ASK_BYTES;
        let negated = self.peek(1) == Some(b'^');
        let first = self.at + 1 + usize::from(negated);
        // Find the closing bracket: the first byte of the set is never it.
        let mut end = first;
        loop {
            match self.source.get(end) {
                None => return Err(Malformed::Bracket),
                _ if long && !self.asks(end) => return Err(Malformed::Stopped),
                Some(b']') if end > first => break,
                Some(b'%') => end += 2,
                Some(_) => end += 1,
            }
        }
        let mut set = [0; 4];
        let mut i = first;
        self.unasked = i;
        while i < end {
            if long && !self.asks(i) {
                return Err(Malformed::Stopped);
            }
            let byte = self.source[i];
            if byte == b'%' {
                let letter = self.source[i + 1];
                match class_of(letter) {
                    Some(class) => set.iter_mut().zip(class).for_each(|(word, more)| *word |= more),
                    None => insert(&mut set, letter),
                }
                i += 2;
            } else if i + 2 < end && self.source[i + 1] == b'-' {
                (byte..=self.source[i + 2]).for_each(|byte| insert(&mut set, byte));
                i += 3;
            } else {
                insert(&mut set, byte);
                i += 1;
            }
        }
        if negated {
            set = set.map(|word| !word);
        }
        self.at = end + 1;
        self.add_set(set)
    }

    fn single(&mut self) -> Result<Single, Malformed> {
        let byte = self.source[self.at];
        match byte {
            b'[' => return self.bracket().map(Single::Set),
            b'%' => {
                let letter = self.peek(1).ok_or(Malformed::Escape)?;
                self.at += 2;
                return match class_of(letter) {
                    Some(set) => self.add_set(set).map(Single::Set),
                    None => Ok(Single::Byte(letter)),
                };
            }
            _ => self.at += 1,
        }
        Ok(if byte == b'.' { Single::Any } else { Single::Byte(byte) })
    }

    fn item(&mut self) -> Result<Item, Malformed> {
        let item = match (self.source[self.at], self.peek(1)) {
            (b'(', Some(b')')) => {
                self.at += 2;
                Item::Position
            }
            (b'(', _) => {
                self.at += 1;
                Item::Open
            }
            (b')', _) => {
                self.at += 1;
                Item::Close
            }
            (b'$', None) => {
                self.at += 1;
                Item::EndAnchor
            }
            (b'%', Some(b'b')) => {
                let (Some(open), Some(close)) = (self.peek(2), self.peek(3)) else {
                    return Err(Malformed::Balance);
                };
                self.at += 4;
                Item::Balance(open, close)
            }
            (b'%', Some(b'f')) => {
                if self.peek(2) != Some(b'[') {
                    return Err(Malformed::Frontier);
                }
                self.at += 2;
                Item::Frontier(self.bracket()?)
            }
            (b'%', Some(digit @ b'0'..=b'9')) => {
                self.at += 2;
                Item::Back(digit.wrapping_sub(b'1'))
            }
            _ => {
                let single = self.single()?;
                let suffix = match self.peek(0) {
                    Some(b'?') => Item::Optional,
                    Some(b'*') => Item::Star,
                    Some(b'+') => Item::Plus,
                    Some(b'-') => Item::Lazy,
                    _ => return Ok(Item::One(single)),
                };
                self.at += 1;
                suffix(single)
            }
        };
        Ok(item)
    }
}

impl Pattern {
    /// A pattern to be read into: it is large for a value that is handed around.
    pub fn empty() -> Pattern {
        Pattern { items: SmallVec::new(), sets: SmallVec::new(), anchored: false }
    }

    /// Reads a pattern in which a `^` at the beginning is an anchor.
    pub fn read(&mut self, source: &[u8], go_on: &mut dyn FnMut() -> bool) -> Result<(), Fault> {
        match source {
            [b'^', rest @ ..] => {
                self.anchored = true;
                self.read_unanchored(rest, go_on)
            }
            _ => self.read_unanchored(source, go_on),
        }
    }

    /// Reads a pattern in which a `^` at the beginning is an ordinary character (`string.gmatch`).
    pub fn read_unanchored(&mut self, source: &[u8], go_on: &mut dyn FnMut() -> bool) -> Result<(), Fault> {
        if source.len() > SHORT {
            // No item takes less than a byte, and one stands at the end.
            self.items.try_reserve(source.len() + 1).map_err(|_| Fault::Memory)?;
        }
        let mut compiler = Compiler { source, at: 0, pattern: self, unasked: ASK_BYTES, go_on };
        while compiler.at < source.len() {
            if !compiler.asks(compiler.at) {
                return Err(Fault::Stopped);
            }
            match compiler.item() {
                Ok(item) => compiler.pattern.items.push(item),
                Err(Malformed::Stopped) => return Err(Fault::Stopped),
                Err(malformed) => {
                    compiler.pattern.items.push(Item::Bad(malformed));
                    return Ok(());
                }
            }
        }
        self.items.push(Item::Done);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn new(source: &[u8], go_on: &mut dyn FnMut() -> bool) -> Result<Pattern, Fault> {
        let mut pattern = Pattern::empty();
        pattern.read(source, go_on).map(|()| pattern)
    }

    /// Whether it needs no memory of its own.
    pub fn is_inline(&self) -> bool {
        !self.items.spilled() && !self.sets.spilled()
    }

    /// Whether it matches at the beginning only.
    pub fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// The byte that every match begins with, if there is one.
    pub(super) fn first_byte(&self) -> Option<u8> {
        // With more captures than can be, the complaint must come though no byte fits.
        match *self.items.iter().take(MAX_CAPTURES).find(|item| !matches!(item, Item::Open | Item::Position))? {
            Item::One(Single::Byte(byte)) | Item::Plus(Single::Byte(byte)) | Item::Balance(byte, _) => Some(byte),
            _ => None,
        }
    }
}

/// Whether the pattern has a character that means more than itself.
pub fn has_specials(pattern: &[u8], go_on: &mut dyn FnMut() -> bool) -> Result<bool, Fault> {
    for (i, piece) in pattern.chunks(ASK_BYTES).enumerate() {
        if i > 0 && !go_on() {
            return Err(Fault::Stopped);
        }
        if piece.iter().any(|byte| b"^$*+?.([%-".contains(byte)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes that a plain search looks at between two calls of the hook, and as many as the needle has, up to the longest head.
const SEARCH_BYTES: usize = 1 << 20;
/// A longer needle is found by so much of it; the rest is compared then.
const HEAD_BYTES: usize = 1 << 22;

/// Where `needle` first stands in `subject` at or after `from` (which is at most the length).
pub fn find_plain(subject: &[u8], needle: &[u8], from: usize, go_on: &mut dyn FnMut() -> bool) -> Result<Option<usize>, Fault> {
    let head = &needle[..needle.len().min(HEAD_BYTES)];
    if subject.len() - from < needle.len() {
        return Ok(None);
    }
    if subject.len() - from <= SEARCH_BYTES {
        let place = match needle {
            [byte] => memchr(*byte, &subject[from..]),
            _ => memmem::find(&subject[from..], needle),
        };
        return Ok(place.map(|place| place + from));
    }
    let finder = memmem::Finder::new(head);
    let mut from = from;
    while subject.len() - from >= needle.len() {
        if !go_on() {
            return Err(Fault::Stopped);
        }
        // Each piece has all of the head wherever that begins within `step`.
        let step = SEARCH_BYTES.max(head.len());
        let piece = &subject[..subject.len().min(from + step + head.len() - 1)];
        match finder.find(&piece[from..]) {
            Some(place) => {
                if matches_at(&subject[from + place..], needle, head.len(), go_on)? {
                    return Ok(Some(from + place));
                }
                from += place + 1;
            }
            None => from = (from + step).min(subject.len()),
        }
        if from == subject.len() {
            break;
        }
    }
    Ok(None)
}

/// Whether `subject` goes on with `needle`, of which the first `known` bytes are known to be there.
fn matches_at(subject: &[u8], needle: &[u8], known: usize, go_on: &mut dyn FnMut() -> bool) -> Result<bool, Fault> {
    let Some(subject) = subject.get(..needle.len()) else { return Ok(false) };
    for (a, b) in subject[known..].chunks(SEARCH_BYTES).zip(needle[known..].chunks(SEARCH_BYTES)) {
        if !go_on() {
            return Err(Fault::Stopped);
        }
        if a != b {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(subject: &[u8], needle: &[u8], from: usize) -> Option<usize> {
        find_plain(subject, needle, from, &mut || true).unwrap_or_else(|_| panic!("nobody stops it"))
    }

    #[test]
    fn plain_search() {
        assert_eq!(find(b"abcabc", b"ca", 0), Some(2));
        assert_eq!(find(b"abcabc", b"a", 1), Some(3));
        assert_eq!(find(b"abc", b"", 3), Some(3));
        assert_eq!(find(b"abc", b"d", 0), None);
        let has_specials = |pattern| has_specials(pattern, &mut || true);
        assert_eq!((has_specials(b"a.b"), has_specials(b"a b]")), (Ok(true), Ok(false)));
    }

    /// Subjects and needles of more than one piece, found across their borders, against the search in one go.
    #[test]
    fn long_searches() {
        let mut subject = vec![b'a'; 3 * SEARCH_BYTES + 100];
        for place in [SEARCH_BYTES - 1, SEARCH_BYTES, 2 * SEARCH_BYTES - 3, 3 * SEARCH_BYTES + 90] {
            subject[place..place + 3].copy_from_slice(b"xyz");
            for from in [0, 1, SEARCH_BYTES - 2, place, place + 1] {
                for needle in [&b"x"[..], b"xyz", b"axyz", b"yza", b"zaaa", b"xyzq", b""] {
                    let expected = memmem::find(&subject[from..], needle).map(|found| found + from);
                    assert_eq!(find(&subject, needle, from), expected, "{needle:?} from {from}");
                }
            }
            subject[place..place + 3].fill(b'a');
        }
        let long = [&vec![b'a'; SEARCH_BYTES + 10][..], b"z"].concat();
        assert_eq!(find(&subject, &long, 0), None);
        subject[2 * SEARCH_BYTES] = b'z';
        assert_eq!(find(&subject, &long, 3), Some(SEARCH_BYTES - 10));
        assert_eq!(find(&long, &subject, 0), None);
        // One that is longer than its head.
        let text: Vec<u8> = (0..HEAD_BYTES + 1000).map(|i| (i % 251) as u8).collect();
        let subject = [&text[..HEAD_BYTES + 500], &text].concat();
        assert_eq!(find(&subject, &text, 0), Some(HEAD_BYTES + 500));
    }

    #[test]
    fn reading_a_pattern_can_be_stopped() {
        for source in ["a".repeat(1 << 20), format!("[{}]", "a".repeat(1 << 20)), format!("[{}", "%".repeat(1 << 20))] {
            let mut asked = 0;
            let mut go_on = || {
                asked += 1;
                asked < 5
            };
            assert_eq!(Pattern::new(source.as_bytes(), &mut go_on).err(), Some(Fault::Stopped));
        }
        assert_eq!(has_specials(&[b'a'; 1 << 20], &mut || false), Err(Fault::Stopped));
        assert_eq!(find_plain(&[b'a'; 1 << 22], b"b", 0, &mut || false), Err(Fault::Stopped));
    }
}

//! Lua patterns (§6.4.1) as a list of items, which the [`matcher`](super::matcher) runs.
//!
//! * **I1** A malformed pattern compiles: the item in the wrong place is a `Bad`, which fails only when the matcher
//!   comes to it. So a pattern is complained about exactly when the reference does.
//!
//! Imports nothing of the project.

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
    pub(super) items: SmallVec<[Item; 12]>,
    pub(super) sets: SmallVec<[ByteSet; 2]>,
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
}

impl Malformed {
    pub(super) fn message(self) -> &'static str {
        match self {
            Malformed::Escape => "malformed pattern (ends with '%')",
            Malformed::Bracket => "malformed pattern (missing ']')",
            Malformed::Balance => "malformed pattern (missing arguments to '%b')",
            Malformed::Frontier => "missing '[' after '%f' in pattern",
            Malformed::TooManySets => "pattern too complex",
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

struct Compiler<'p> {
    source: &'p [u8],
    at: usize,
    pattern: Pattern,
}

impl Compiler<'_> {
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
        let negated = self.peek(1) == Some(b'^');
        let first = self.at + 1 + usize::from(negated);
        // Find the closing bracket: the first byte of the set is never it.
        let mut end = first;
        loop {
            match self.source.get(end) {
                None => return Err(Malformed::Bracket),
                Some(b']') if end > first => break,
                Some(b'%') => end += 2,
                Some(_) => end += 1,
            }
        }
        let mut set = [0; 4];
        let mut i = first;
        while i < end {
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
    /// Compiles a pattern in which a `^` at the beginning is an anchor.
    pub fn new(source: &[u8]) -> Pattern {
        match source {
            [b'^', rest @ ..] => Pattern { anchored: true, ..Pattern::unanchored(rest) },
            _ => Pattern::unanchored(source),
        }
    }

    /// Compiles a pattern in which a `^` at the beginning is an ordinary character (`string.gmatch`).
    pub fn unanchored(source: &[u8]) -> Pattern {
        let pattern = Pattern { items: SmallVec::new(), sets: SmallVec::new(), anchored: false };
        let mut compiler = Compiler { source, at: 0, pattern };
        while compiler.at < source.len() {
            match compiler.item() {
                Ok(item) => compiler.pattern.items.push(item),
                Err(malformed) => {
                    compiler.pattern.items.push(Item::Bad(malformed));
                    return compiler.pattern;
                }
            }
        }
        compiler.pattern.items.push(Item::Done);
        compiler.pattern
    }

    /// Whether it matches at the beginning only.
    pub fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// The byte that every match begins with, if there is one.
    pub(super) fn first_byte(&self) -> Option<u8> {
        // With more captures than can be, the complaint must come though no byte fits.
        match *self.items.iter().take(MAX_CAPTURES).find(|item| !matches!(item, Item::Open | Item::Position))? {
            Item::One(Single::Byte(byte)) | Item::Plus(Single::Byte(byte)) => Some(byte),
            _ => None,
        }
    }
}

/// Whether the pattern has a character that means more than itself.
pub fn has_specials(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))
}

/// Where `needle` first stands in `subject` at or after `from` (which is at most the length).
pub fn find_plain(subject: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let place = match needle {
        [byte] => memchr(*byte, &subject[from..]),
        _ => memmem::find(&subject[from..], needle),
    };
    place.map(|place| place + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_search() {
        assert_eq!(find_plain(b"abcabc", b"ca", 0), Some(2));
        assert_eq!(find_plain(b"abcabc", b"a", 1), Some(3));
        assert_eq!(find_plain(b"abc", b"", 3), Some(3));
        assert_eq!(find_plain(b"abc", b"d", 0), None);
        assert!(has_specials(b"a.b") && !has_specials(b"a b]"));
    }
}

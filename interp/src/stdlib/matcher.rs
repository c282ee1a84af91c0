//! The backtracking matcher of Lua patterns.
//!
//! * **I1** The matcher recurses only for captures and for items with a choice, at most [`MAX_DEPTH`] deep. Runs of one
//!   item, and sequences, are loops.
//! * **I2** Every [`POLL_STEPS`] steps the hook is asked whether to go on: a match may take exponential time, but it can be stopped.
//!
//! May import `fault`, `pattern`, and the text of numbers from `format`.

use super::fault::Fault;
use super::pattern::{Item, MAX_CAPTURES, Pattern, Single, holds};
use memchr::memchr;
use smallvec::SmallVec;
use std::ops::Range;

/// How deep the matcher recurses before the pattern is "too complex".
pub const MAX_DEPTH: u32 = 200;
/// Steps between two calls of the hook.
pub const POLL_STEPS: usize = 1 << 16;
/// Bytes that are searched or compared as a whole count as one step.
const BYTES_PER_STEP: usize = 16;

/// What a capture holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Capture {
    /// These bytes of the subject.
    Text(Range<usize>),
    /// `()`: the position, counted from 1.
    Position(usize),
}

#[derive(Clone, Copy, Debug)]
enum Extent {
    Unfinished,
    Position,
    Length(usize),
}

/// A pattern at work on a subject; after a match it knows the captures.
pub struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a Pattern,
    captures: SmallVec<[(usize, Extent); MAX_CAPTURES]>,
    depth: u32,
    steps: usize,
    go_on: &'a mut dyn FnMut() -> bool,
}

impl<'a> Matcher<'a> {
    /// `go_on` is the hook of I2: `false` ends the match with [`Fault::Stopped`].
    pub fn new(subject: &'a [u8], pattern: &'a Pattern, go_on: &'a mut dyn FnMut() -> bool) -> Matcher<'a> {
        Matcher { subject, pattern, captures: SmallVec::new(), depth: 0, steps: 0, go_on }
    }

    /// The first match that begins at or after `from` (at most the length of the subject).
    pub fn search(&mut self, from: usize) -> Result<Option<Range<usize>>, Fault> {
        if self.pattern.anchored {
            return Ok(self.match_at(from)?.map(|end| from..end));
        }
        let first = self.pattern.first_byte();
        let mut start = from;
        while start <= self.subject.len() {
            if let Some(byte) = first {
                match self.find_byte(byte, start)? {
                    Some(place) => start = place,
                    None => return Ok(None),
                }
            }
            if let Some(end) = self.match_at(start)? {
                return Ok(Some(start..end));
            }
            start += 1;
        }
        Ok(None)
    }

    /// Where a byte stands at or after `start`.
    #[inline]
    fn find_byte(&mut self, byte: u8, mut start: usize) -> Result<Option<usize>, Fault> {
        loop {
            let piece = self.piece(start, POLL_STEPS * BYTES_PER_STEP);
            match memchr(byte, piece) {
                Some(place) => {
                    self.spend(place / BYTES_PER_STEP)?;
                    return Ok(Some(start + place));
                }
                None if start + piece.len() == self.subject.len() => return Ok(None),
                None => {
                    self.spend(piece.len() / BYTES_PER_STEP)?;
                    start += piece.len();
                }
            }
        }
    }

    /// The bytes from `at` on, no more than `most`.
    #[inline]
    fn piece(&self, at: usize, most: usize) -> &'a [u8] {
        let rest = &self.subject[at..];
        &rest[..rest.len().min(most)]
    }

    /// The end of the match that begins at `start`.
    pub fn match_at(&mut self, start: usize) -> Result<Option<usize>, Fault> {
        self.captures.clear();
        self.depth = 0;
        self.run(start, 0)
    }

    /// How many values a match gives: its captures, or the whole match if it has none.
    pub fn values(&self) -> usize {
        self.captures.len().max(1)
    }

    /// How many captures the last match has.
    pub fn captures(&self) -> usize {
        self.captures.len()
    }

    /// Capture `index` (from 0) of the last match, which was `whole`; without captures, number 0 is the whole match.
    pub fn capture(&self, index: usize, whole: &Range<usize>) -> Result<Capture, Fault> {
        match self.captures.get(index) {
            None if index == 0 => Ok(Capture::Text(whole.clone())),
            None => Err(bad_index(index + 1)),
            Some((_, Extent::Unfinished)) => Err(Fault::error("unfinished capture")),
            Some((start, Extent::Position)) => Ok(Capture::Position(start + 1)),
            Some((start, Extent::Length(length))) => Ok(Capture::Text(*start..start + length)),
        }
    }

    /// Hands over the replacement text of `string.gsub` for the match `whole`, piece by piece.
    pub fn expand(
        &self,
        replacement: &[u8],
        whole: &Range<usize>,
        mut put: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut rest = replacement;
        while let Some(place) = memchr(b'%', rest) {
            put(&rest[..place])?;
            match rest.get(place + 1) {
                Some(b'%') => put(b"%")?,
                Some(b'0') => put(&self.subject[whole.clone()])?,
                Some(digit @ b'1'..=b'9') => match self.capture(usize::from(digit - b'1'), whole)? {
                    Capture::Text(range) => put(&self.subject[range])?,
                    Capture::Position(position) => put(itoa::Buffer::new().format(position).as_bytes())?,
                },
                _ => return Err(Fault::error("invalid use of '%' in replacement string")),
            }
            rest = &rest[place + 2..];
        }
        put(rest)
    }

    /// I2.
    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps += steps;
        if self.steps >= POLL_STEPS {
            self.steps = 0;
            if !(self.go_on)() {
                return Err(Fault::Stopped);
            }
        }
        Ok(())
    }

    fn matches(&self, single: Single, at: usize) -> bool {
        self.subject.get(at).is_some_and(|&byte| match single {
            Single::Any => true,
            Single::Byte(expected) => byte == expected,
            Single::Set(set) => holds(&self.pattern.sets[usize::from(set)], byte),
        })
    }

    /// How many bytes from `at` on match.
    #[inline]
    fn run_length(&mut self, single: Single, at: usize) -> Result<usize, Fault> {
        if let Single::Any = single {
            return Ok(self.subject.len() - at);
        }
        let piece = self.piece(at, POLL_STEPS);
        let length = self.run_within(single, piece);
        self.spend(length)?;
        if length == POLL_STEPS { self.long_run(single, at) } else { Ok(length) }
    }

    /// The same after the first piece, all of which does.
    #[cold]
    fn long_run(&mut self, single: Single, at: usize) -> Result<usize, Fault> {
        let mut from = at + POLL_STEPS;
        loop {
            let piece = self.piece(from, POLL_STEPS);
            let length = self.run_within(single, piece);
            self.spend(length)?;
            from += length;
            if length < POLL_STEPS {
                return Ok(from - at);
            }
        }
    }

    /// How many bytes at the beginning of a piece match.
    #[inline]
    fn run_within(&self, single: Single, piece: &[u8]) -> usize {
        let end = match single {
            Single::Any => None,
            Single::Byte(expected) => piece.iter().position(|&byte| byte != expected),
            Single::Set(set) => {
                let set = &self.pattern.sets[usize::from(set)];
                piece.iter().position(|&byte| !holds(set, byte))
            }
        };
        end.unwrap_or(piece.len())
    }

    /// Matches the items from `item` on at `at`: one level of recursion (I1).
    fn run(&mut self, mut at: usize, mut item: usize) -> Result<Option<usize>, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::error("pattern too complex"));
        }
        self.depth += 1;
        let end = loop {
            self.spend(1)?;
            let pattern = self.pattern;
            match pattern.items[item] {
                Item::Done => break Some(at),
                Item::One(single) => {
                    if !self.matches(single, at) {
                        break None;
                    }
                    at += 1;
                }
                Item::Optional(single) => {
                    if self.matches(single, at)
                        && let Some(end) = self.run(at + 1, item + 1)?
                    {
                        break Some(end);
                    }
                }
                Item::Star(single) => break self.longest(single, at, 0, item + 1)?,
                Item::Plus(single) => break self.longest(single, at, 1, item + 1)?,
                Item::Lazy(single) => break self.shortest(single, at, item + 1)?,
                Item::Open => break self.open(Extent::Unfinished, at, item + 1)?,
                Item::Position => break self.open(Extent::Position, at, item + 1)?,
                Item::Close => {
                    let innermost = self.captures.iter().rposition(|(_, extent)| matches!(extent, Extent::Unfinished));
                    let Some(level) = innermost else {
                        return Err(Fault::error("invalid pattern capture"));
                    };
                    self.captures[level].1 = Extent::Length(at - self.captures[level].0);
                    let end = self.run(at, item + 1)?;
                    if end.is_none() {
                        self.captures[level].1 = Extent::Unfinished;
                    }
                    break end;
                }
                Item::Back(index) => match self.again(index, at)? {
                    Some(end) => at = end,
                    None => break None,
                },
                Item::Balance(open, close) => match self.balance(open, close, at)? {
                    Some(end) => at = end,
                    None => break None,
                },
                Item::Frontier(set) => {
                    let set = &pattern.sets[usize::from(set)];
                    let before = if at == 0 { 0 } else { self.subject[at - 1] };
                    let after = self.subject.get(at).copied().unwrap_or(0);
                    if holds(set, before) || !holds(set, after) {
                        break None;
                    }
                }
                Item::EndAnchor => break (at == self.subject.len()).then_some(at),
                Item::Bad(malformed) => return Err(Fault::error(malformed.message())),
            }
            item += 1;
        };
        self.depth -= 1;
        Ok(end)
    }

    /// As many of `single` as possible, at least `least`, then the items from `next` on.
    fn longest(&mut self, single: Single, at: usize, least: usize, next: usize) -> Result<Option<usize>, Fault> {
        let mut count = self.run_length(single, at)?;
        if count < least {
            return Ok(None);
        }
        // What must come next is looked at before the recursion.
        let pattern = self.pattern;
        let needed = match pattern.items[next] {
            Item::Done => return Ok(Some(at + count)),
            Item::One(needed @ (Single::Byte(_) | Single::Set(_))) => Some(needed),
            _ => None,
        };
        loop {
            self.spend(1)?;
            if needed.is_none_or(|needed| self.matches(needed, at + count))
                && let Some(end) = self.run(at + count, next)?
            {
                return Ok(Some(end));
            }
            if count == least {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// As few of `single` as possible, then the items from `next` on.
    fn shortest(&mut self, single: Single, mut at: usize, next: usize) -> Result<Option<usize>, Fault> {
        let needed = match self.pattern.items[next] {
            Item::One(needed) => Some(needed),
            _ => None,
        };
        loop {
            self.spend(1)?;
            if needed.is_none_or(|needed| self.matches(needed, at))
                && let Some(end) = self.run(at, next)?
            {
                return Ok(Some(end));
            }
            if !self.matches(single, at) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn open(&mut self, extent: Extent, at: usize, next: usize) -> Result<Option<usize>, Fault> {
        if self.captures.len() == MAX_CAPTURES {
            return Err(Fault::error("too many captures"));
        }
        self.captures.push((at, extent));
        let end = self.run(at, next)?;
        if end.is_none() {
            self.captures.pop();
        }
        Ok(end)
    }

    /// The text of an earlier capture once more.
    #[inline(never)]
    fn again(&mut self, index: u8, at: usize) -> Result<Option<usize>, Fault> {
        match self.captures.get(usize::from(index)) {
            None | Some((_, Extent::Unfinished)) => Err(bad_index(usize::from(index.wrapping_add(1)))),
            // A position has no text that could come again.
            Some((_, Extent::Position)) => Ok(None),
            Some(&(start, Extent::Length(length))) => {
                if length > self.subject.len() - at {
                    return Ok(None);
                }
                let most = POLL_STEPS * BYTES_PER_STEP;
                let (earlier, here) = (&self.subject[start..start + length], &self.subject[at..at + length]);
                for (a, b) in earlier.chunks(most).zip(here.chunks(most)) {
                    self.spend(a.len() / BYTES_PER_STEP)?;
                    if a != b {
                        return Ok(None);
                    }
                }
                Ok(Some(at + length))
            }
        }
    }

    #[inline]
    fn balance(&mut self, open: u8, close: u8, at: usize) -> Result<Option<usize>, Fault> {
        if self.subject.get(at) == Some(&open) { self.balance_from(open, close, at) } else { Ok(None) }
    }

    #[inline(never)]
    fn balance_from(&mut self, open: u8, close: u8, at: usize) -> Result<Option<usize>, Fault> {
        let mut nested = 1usize;
        let mut from = at + 1;
        while from < self.subject.len() {
            let piece = self.piece(from, POLL_STEPS);
            for (i, &byte) in piece.iter().enumerate() {
                if byte == close {
                    nested -= 1;
                    if nested == 0 {
                        self.spend(i)?;
                        return Ok(Some(from + i + 1));
                    }
                } else if byte == open {
                    nested += 1;
                }
            }
            self.spend(piece.len())?;
            from += piece.len();
        }
        Ok(None)
    }
}

#[cold]
fn bad_index(index: usize) -> Fault {
    Fault::composed(format!("invalid capture index %{index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(subject: &str, pattern: &str) -> Result<Option<Vec<String>>, Fault> {
        let mut go_on = || true;
        let compiled = Pattern::new(pattern.as_bytes(), &mut go_on)?;
        let mut matcher = Matcher::new(subject.as_bytes(), &compiled, &mut go_on);
        let Some(whole) = matcher.search(0)? else { return Ok(None) };
        let values = (0..matcher.values()).map(|i| {
            Ok(match matcher.capture(i, &whole)? {
                Capture::Text(range) => subject[range].to_string(),
                Capture::Position(position) => position.to_string(),
            })
        });
        values.collect::<Result<_, _>>().map(Some)
    }

    #[track_caller]
    fn gives(subject: &str, pattern: &str, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|text| text.to_string()).collect();
        assert_eq!(texts(subject, pattern), Ok(Some(expected)), "{subject:?} {pattern:?}");
    }

    #[track_caller]
    fn fails(subject: &str, pattern: &str, message: &str) {
        assert_eq!(texts(subject, pattern).expect_err("an error").message(), message, "{subject:?} {pattern:?}");
    }

    #[test]
    fn items_and_suffixes() {
        gives("alo", "", &[""]);
        gives("aaab", "a*", &["aaa"]);
        gives("aaab", "^.*$", &["aaab"]);
        gives("baaab", "a+b", &["aaab"]);
        gives("aaab", "a-b", &["aaab"]);
        gives("aXb", "a%u?b", &["aXb"]);
        gives("ab", "a%u?b", &["ab"]);
        gives("hello world", "o w", &["o w"]);
        gives("a$a", "a$a", &["a$a"]);
        gives("x^y", "x^y", &["x^y"]);
        gives("0123456789", "(.+(.?)())", &["0123456789", "", "11"]);
        gives("alo xyzK", "(%w+)K", &["xyz"]);
        assert_eq!(texts("aaa", "^.-b"), Ok(None));
        assert_eq!(texts("aaa", "a-$b"), Ok(None));
    }

    #[test]
    fn sets() {
        gives("a]b", "[]]", &["]"]);
        gives("a-b", "[a-]+", &["a-"]);
        gives("x-y", "[%w-]+", &["x-y"]);
        gives("^a", "[a^]+", &["^a"]);
        gives("]^", "[^a]+", &["]^"]);
        gives("%d7", "[%%%d]+", &["%"]);
        gives("q7%", "[^%D]", &["7"]);
        gives("\u{b}\t x", "%s+", &["\u{b}\t "]);
        gives("héllo", "[\u{80}-\u{ff}]*llo", &["éllo"]);
    }

    #[test]
    fn captures_references_balance_frontier() {
        gives("hello \"world's\" x", "([\"'])(.-)%1", &["\"", "world's"]);
        gives("f(a(b)c) d)", "%b()", &["(a(b)c)"]);
        gives("THE (quick) fox", "%f[%a]%a+%f[%A]", &["THE"]);
        gives("aba", "%f[%z]", &[""]);
        gives("alo alo", "^(((.).).* (%w*))$", &["alo alo", "al", "a", "alo"]);
        gives("  flaws", "()%a", &["3"]);
        assert_eq!(texts("aa", "()%1"), Ok(None));
    }

    #[test]
    fn errors_in_the_words_of_the_reference() {
        fails("a", "%", "malformed pattern (ends with '%')");
        fails("a", "[a", "malformed pattern (missing ']')");
        fails("a", "[]", "malformed pattern (missing ']')");
        fails("a", "[^]", "malformed pattern (missing ']')");
        fails("a", "[a%]", "malformed pattern (missing ']')");
        fails("a", "[a%", "malformed pattern (missing ']')");
        fails("a", "%b", "malformed pattern (missing arguments to '%b')");
        fails("a", "%ba", "malformed pattern (missing arguments to '%b')");
        fails("a", "%f", "missing '[' after '%f' in pattern");
        fails("a", ")", "invalid pattern capture");
        fails("a", "(a", "unfinished capture");
        fails("a", "%1", "invalid capture index %1");
        fails("a", "(a%1)", "invalid capture index %1");
        fails("a", "a%0", "invalid capture index %0");
        fails("b", &"(".repeat(33), "too many captures");
        // Nobody complains of what is not reached.
        assert_eq!(texts("b", "a["), Ok(None));
        assert_eq!(texts("b", "a)"), Ok(None));
    }

    #[test]
    fn depth_is_bounded() {
        gives(&"a".repeat(199), &"a?".repeat(199), &[&"a".repeat(199)]);
        fails(&"a".repeat(300), &"a?".repeat(300), "pattern too complex");
        // Long runs need no depth.
        let long = "a".repeat(300_000);
        gives(&long, ".-b?$", &[&long]);
        gives(&long, "^a*$", &[&long]);
    }

    #[test]
    fn a_bomb_can_be_stopped() {
        let pattern = Pattern::new(format!("{}b", "a*".repeat(30)).as_bytes(), &mut || true).expect("a pattern");
        let subject = "a".repeat(200);
        let mut polls = 0;
        let mut go_on = || {
            polls += 1;
            polls < 5
        };
        let result = Matcher::new(subject.as_bytes(), &pattern, &mut go_on).search(0);
        assert_eq!(result, Err(Fault::Stopped));
    }

    /// What is one step of the pattern is many of the hook's if the subject is long.
    #[test]
    fn long_steps_can_be_stopped() {
        let long = "a".repeat(16 << 20);
        let nested = "(".repeat(1 << 20);
        for (subject, pattern) in
            [(&long, "b"), (&long, "^a*b"), (&long, "^[ab]+"), (&long, "^a-b"), (&long, "^(a*)%1b"), (&nested, "^%b()")]
        {
            let compiled = Pattern::new(pattern.as_bytes(), &mut || true).expect("a pattern");
            let mut asked = 0;
            let mut go_on = || {
                asked += 1;
                asked < 5
            };
            let result = Matcher::new(subject.as_bytes(), &compiled, &mut go_on).search(0);
            assert_eq!(result, Err(Fault::Stopped), "{pattern}");
        }
    }

    #[test]
    fn replacements() {
        let replace = |subject: &str, pattern: &str, replacement: &str| {
            let mut go_on = || true;
            let compiled = Pattern::new(pattern.as_bytes(), &mut go_on)?;
            let mut matcher = Matcher::new(subject.as_bytes(), &compiled, &mut go_on);
            let whole = matcher.search(0)?.expect("a match");
            let mut out = Vec::new();
            matcher.expand(replacement.as_bytes(), &whole, |bytes| {
                out.extend_from_slice(bytes);
                Ok(())
            })?;
            Ok::<_, Fault>(String::from_utf8(out).expect("text"))
        };
        assert_eq!(replace("hello world", "(%w+) (%w+)", "%2 %1 %% %0"), Ok("world hello % hello world".into()));
        assert_eq!(replace("abc", "b", "<%1>"), Ok("<b>".into()));
        assert_eq!(replace("abc", "()b", "%1"), Ok("2".into()));
        assert_eq!(replace("abc", "b", "%2").unwrap_err().message(), "invalid capture index %2");
        assert_eq!(replace("abc", "b", "%x").unwrap_err().message(), "invalid use of '%' in replacement string");
        assert_eq!(replace("abc", "b", "%").unwrap_err().message(), "invalid use of '%' in replacement string");
    }
}

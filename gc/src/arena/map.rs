//! Where in a type its references lie, found out while the program is compiled.
//!
//! A type whose references are whole words at fixed places among its first eight is described by a byte in the header of its cells: such a cell needs no
//! word of its own for its type, and the collector finds the references without calling anything. Any other type is visited by its `trace`.
//!
//! Invariants:
//! * **map-is-exact** A word of the map holds, in every value of the type, null or the address of a cell that `trace` visits; `trace` visits no other.
//!
//! Imports nothing.

/// Where the references of a type lie: [`Trace::MAP`](super::Trace::MAP).
///
/// ```
/// use neap_gc::arena::{Gc, Map, Trace};
///
/// // No references; two of them at known places; some at a place that only `trace` finds.
/// assert_eq!(<(u64, String)>::MAP, Map::NONE);
/// assert!(<(u64, Gc<'_, u8>, Option<Gc<'_, u8>>)>::MAP.is_words());
/// assert_eq!(<Vec<Gc<'_, u8>>>::MAP, Map::ANY);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Map {
    kind: MapKind,
    /// Bit n: the n-th word is a reference or null.
    words: u8,
    /// The one reference is never null, so that `Option` of the type has null for `None`.
    never_null: bool,
    /// Said by somebody who has written a `Trace`: the checks look closely at such types.
    by_hand: bool,
}

impl PartialEq for Map {
    fn eq(&self, other: &Map) -> bool {
        (self.kind, self.words) == (other.kind, other.words)
    }
}
impl Eq for Map {}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MapKind {
    None,
    Words,
    Any,
}

const WORD: usize = size_of::<usize>();

impl Map {
    /// No references.
    pub const NONE: Map = Map { by_hand: true, ..Map::EMPTY };
    /// References at places that only `trace` knows. Always right, and slower than what the others say.
    pub const ANY: Map = Map { by_hand: true, ..Map::FOUND };
    /// The two as derived implementations say it.
    #[doc(hidden)]
    pub const EMPTY: Map = Map { kind: MapKind::None, words: 0, never_null: false, by_hand: false };
    #[doc(hidden)]
    pub const FOUND: Map = Map { kind: MapKind::Any, ..Map::EMPTY };
    /// One word: a reference.
    pub(super) const REFERENCE: Map = Map { kind: MapKind::Words, words: 1, never_null: true, by_hand: false };

    /// The map of a type with one more field at `offset` bytes.
    pub const fn with(self, field: Map, offset: usize) -> Map {
        let by_hand = self.by_hand || field.by_hand;
        match (self.kind, field.kind) {
            (_, MapKind::None) => Map { by_hand, ..self },
            (MapKind::Any, _) | (_, MapKind::Any) => Map { by_hand, ..Map::FOUND },
            (_, MapKind::Words) => {
                let shift = offset / WORD;
                if !offset.is_multiple_of(WORD) || shift > 7 || (field.words as usize) << shift > u8::MAX as usize {
                    return Map { by_hand, ..Map::FOUND };
                }
                let words = self.words | field.words << shift;
                Map { kind: MapKind::Words, words, never_null: field.never_null && words == 1, by_hand }
            }
        }
    }

    /// The map of an enum whose variants have such fields: the tag decides what a word is, so a map of words can't tell.
    pub const fn of_variants(fields: &[Map]) -> Map {
        let (mut map, mut at) = (Map::EMPTY, 0);
        while at < fields.len() {
            let by_hand = map.by_hand || fields[at].by_hand;
            map = Map { by_hand, ..if fields[at].is_none() { map } else { Map::FOUND } };
            at += 1;
        }
        map
    }

    /// The map of `Option<T>`, if this is that of `T`.
    pub(super) const fn optional<T>(self) -> Map {
        // The one word of `T` is the only place where `None` can be told, and only null is no reference.
        let null_is_none = self.never_null && size_of::<T>() == WORD && size_of::<Option<T>>() == WORD;
        match self.kind {
            MapKind::None => self,
            MapKind::Words if null_is_none => self.nullable(),
            _ => Map { by_hand: self.by_hand, ..Map::FOUND },
        }
    }
    /// The same references, of which none says that it is never null: what hides its contents from `Option`.
    pub(super) const fn nullable(self) -> Map {
        Map { never_null: false, ..self }
    }
    /// The map of `[T; N]`, if this is that of `T`.
    pub(super) const fn repeated<T>(self, count: usize) -> Map {
        let (mut map, mut n) = (Map::EMPTY, 0);
        while n < count && !self.is_none() && !matches!(map.kind, MapKind::Any) {
            map = map.with(self, n * size_of::<T>());
            n += 1;
        }
        map
    }

    pub(super) const fn is_by_hand(self) -> bool {
        self.by_hand
    }
    pub const fn is_none(self) -> bool {
        matches!(self.kind, MapKind::None)
    }
    pub const fn is_words(self) -> bool {
        matches!(self.kind, MapKind::Words)
    }
    /// The words that are references, as bits, if the map has that form and they still are among the first eight when the value begins at word `first`.
    pub(super) const fn words_from(self, first: usize) -> Option<u8> {
        if self.is_words() && (self.words as usize) << first <= u8::MAX as usize { Some(self.words << first) } else { None }
    }
}

//! What can't be seen from outside: where values and references lie in their cells. All else is tested in `gc/tests/arena`.

use super::descriptor::{LEAF, Layout, OBJECT, OBJECT_DROP, OWNER, WORDS};
use super::*;

#[derive(Trace)]
struct Tree<'gc> {
    left: Option<Gc<'gc, Tree<'gc>>>,
    number: u64,
    right: Lock<Option<Gc<'gc, Tree<'gc>>>>,
}

#[derive(Trace)]
#[allow(dead_code, reason = "only its layout is looked at")]
enum Value<'gc> {
    Nil,
    Number(f64),
    Text(Gc<'gc, str>),
}

fn layout<'gc, T: Trace<'gc>>() -> (u8, u8, usize) {
    (Layout::<T>::KIND, Layout::<T>::AUX, Layout::<T>::OFFSET)
}

#[test]
fn what_the_header_describes_has_no_word_for_its_type() {
    assert_eq!(layout::<u8>(), (LEAF, 0, 8));
    // Fields are laid out as the compiler likes: two words of three are references.
    let (kind, words, offset) = layout::<Tree>();
    assert_eq!((kind, words.count_ones(), offset), (WORDS, 2, 8));
    assert_eq!(layout::<Lock<Option<Gc<u8>>>>(), (WORDS, 1, 8));
    assert_eq!(layout::<OnceLock<Gc<u8>>>(), (WORDS, 1, 8));
    assert_eq!(layout::<[Gc<u8>; 8]>(), (WORDS, 0xff, 8));
    assert_eq!(layout::<[Option<Weak<u8>>; 3]>(), (WORDS, 0b111, 8));
    // Alignment puts the value behind a gap.
    let (kind, words, offset) = layout::<(Gc<u8>, u128)>();
    assert_eq!((kind, words.count_ones(), offset), (WORDS, 1, 16));
    assert!(words & 1 == 0, "the gap is no reference");
}

#[test]
fn what_it_can_not_describe_has_a_descriptor() {
    assert_eq!(layout::<Value>(), (OBJECT, 0, 16));
    assert_eq!(layout::<Option<(Gc<u8>, u64)>>(), (OBJECT, 0, 16));
    assert_eq!(layout::<[Gc<u8>; 9]>(), (OBJECT, 0, 16));
    assert_eq!(layout::<Vec<Gc<u8>>>(), (OBJECT_DROP, 0, 16));
    assert_eq!(layout::<RefLock<Option<Gc<u8>>>>(), (OBJECT, 0, 16));
    assert_eq!(layout::<String>(), (OWNER, 0, 16));
    assert_eq!(layout::<(String, Gc<u8>)>(), (OBJECT_DROP, 0, 16));
}

#[test]
fn null_stands_for_none_only_where_nothing_else_could() {
    let references = |map: Map| map.words_from(0).map(u8::count_ones);
    assert_eq!(references(<Option<Gc<u8>>>::MAP), Some(1));
    // A second `Option` has a word of its own, and a lock hides the first one's null.
    assert_eq!(references(<Option<Option<Gc<u8>>>>::MAP), None);
    assert_eq!(references(<Option<Lock<Gc<u8>>>>::MAP), None);
    assert_eq!(references(<Lock<Option<Gc<u8>>>>::MAP), Some(1));
    #[derive(Trace)]
    struct Wrapped<'gc>(Gc<'gc, u8>, ());
    assert_eq!(size_of::<Option<Wrapped>>(), 8);
    assert_eq!(references(<Option<Wrapped>>::MAP), Some(1));
    #[derive(Trace)]
    struct Wide<'gc>(Gc<'gc, u8>, bool);
    assert_eq!(references(<Option<Wide>>::MAP), None);
}

#[test]
fn an_element_of_a_slice_may_be_of_any_size() {
    assert_eq!(Layout::<u8>::SLICE_OFFSET, 16);
    assert_eq!(Layout::<Gc<u8>>::SLICE_OFFSET, 24);
    assert_eq!(Layout::<(Gc<u8>, u128)>::SLICE_OFFSET, 32);
    assert_eq!(Layout::<u128>::SLICE_OFFSET, 16);
}

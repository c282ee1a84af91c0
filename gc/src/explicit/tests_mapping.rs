//! Mappings against files read the ordinary way, and the break region against a vector.

use super::*;
use crate::memory::tests::Random;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;

/// A file that goes when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> (Scratch, File) {
        let path = std::env::temp_dir().join(format!("neap-gc-{}-{name}", std::process::id()));
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
        file.write_all(content).expect("room");
        (Scratch(path), file)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn get(mapping: &Mapping, offset: usize, len: usize) -> Result<Vec<u8>, MapError> {
    let mut bytes = vec![0; len];
    mapping.read(offset, &mut bytes).map(|()| bytes)
}

#[test]
fn a_shared_mapping_is_the_file() {
    let (_scratch, mut file) = Scratch::new("shared", b"0123456789");
    let handle = file.try_clone().unwrap();
    let mut mapping = Mapping::of_file(handle, 0, 10, Protection::ReadWrite, true).unwrap();
    assert_eq!(get(&mapping, 3, 4), Ok(b"3456".to_vec()));
    mapping.write(8, b"xy").unwrap();
    mapping.sync(0, 10, true).unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "01234567xy");
    // The page goes on, the mapping does not.
    for (offset, len) in [(10, 1), (9, 2), (usize::MAX, 1), (0, 11)] {
        assert_eq!(get(&mapping, offset, len), Err(MapError::OutOfBounds));
        assert_eq!(mapping.write(offset, &vec![0; len]), Err(MapError::OutOfBounds));
    }
    // It grows with its file, and shrinks with it.
    mapping.resize(20_000).unwrap();
    mapping.write(19_996, b"last").unwrap();
    assert_eq!(file.metadata().unwrap().len(), 20_000);
    assert_eq!(get(&mapping, 0, 10), Ok(b"01234567xy".to_vec()));
    mapping.resize(5).unwrap();
    assert_eq!((file.metadata().unwrap().len(), get(&mapping, 5, 1)), (5, Err(MapError::OutOfBounds)));
    assert!(mapping.resize(0).is_err() && get(&mapping, 0, 5).is_ok());
}

#[test]
fn a_private_mapping_leaves_the_file_alone() {
    let (_scratch, mut file) = Scratch::new("private", b"abc");
    let mut mapping = Mapping::of_file(file.try_clone().unwrap(), 0, 3, Protection::ReadWrite, false).unwrap();
    mapping.write(1, b"X").unwrap();
    assert_eq!(get(&mapping, 0, 3), Ok(b"aXc".to_vec()));
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc");
    // What is given up of it is what the file has.
    mapping.advise(0, 3, Advice::DontNeed).unwrap();
    assert_eq!(get(&mapping, 0, 3), Ok(b"abc".to_vec()));
}

#[test]
fn protection_is_asked_for_first() {
    let mut mapping = Mapping::anonymous(100, false).unwrap();
    mapping.write(0, b"kept").unwrap();
    mapping.protect(Protection::Read).unwrap();
    assert_eq!((mapping.write(0, b"x"), get(&mapping, 0, 4)), (Err(MapError::Protected), Ok(b"kept".to_vec())));
    mapping.protect(Protection::None).unwrap();
    assert_eq!(get(&mapping, 0, 4), Err(MapError::Protected));
    mapping.protect(Protection::ReadWrite).unwrap();
    assert_eq!((mapping.write(0, b"x"), get(&mapping, 0, 4)), (Ok(()), Ok(b"xept".to_vec())));
    assert!(Mapping::anonymous(0, false).is_err() && Mapping::anonymous(usize::MAX, false).is_err());
}

#[test]
fn a_file_that_was_cut_short_is_an_error() {
    let page = rustix::param::page_size();
    let (_scratch, file) = Scratch::new("short", &vec![7; 4 * page]);
    let mut mapping = Mapping::of_file(file.try_clone().unwrap(), 0, 4 * page, Protection::ReadWrite, true).unwrap();
    assert_eq!(get(&mapping, 3 * page, 1), Ok(vec![7]));
    file.set_len(page as u64).unwrap();
    for _ in 0..2 {
        assert_eq!(get(&mapping, page + 5, 1), Err(MapError::CutShort(page)));
        assert_eq!(get(&mapping, 0, 4 * page), Err(MapError::CutShort(page)));
        assert_eq!(mapping.write(2 * page, b"lost"), Err(MapError::CutShort(2 * page)));
        assert_eq!(get(&mapping, 0, 3), Ok(vec![7; 3]));
    }
    // When the file is as long again, the mapping is whole: with zeros where it was cut, and nothing of what was lost.
    file.set_len(4 * page as u64).unwrap();
    assert_eq!(get(&mapping, 2 * page, 4), Ok(vec![0; 4]));
    mapping.write(3 * page, b"kept").unwrap();
    let mut other = file.try_clone().unwrap();
    let mut text = [0; 4];
    other.seek(std::io::SeekFrom::Start(3 * page as u64)).unwrap();
    other.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"kept");
}

#[test]
fn pages_that_are_touched_are_resident() {
    let page = rustix::param::page_size();
    let mut mapping = Mapping::anonymous(64 * page, false).unwrap();
    mapping.advise(0, 64 * page, Advice::NoHugePages).unwrap();
    assert_eq!(mapping.resident_bytes().unwrap(), 0);
    for n in 0..10 {
        mapping.write(n * 5 * page, b"!").unwrap();
    }
    assert_eq!(mapping.resident_bytes().unwrap(), 10 * page);
}

#[test]
fn the_break_moves_as_a_vector_grows() {
    let mut region = BreakRegion::new().unwrap();
    let mut model: Vec<u8> = Vec::new();
    let mut random = Random::new(11);
    for round in 0..2000 {
        match random.below(4) {
            0 => {
                let to = random.below(40_000);
                assert_eq!(region.sbrk(to as i64 - model.len() as i64).unwrap(), model.len());
                model.resize(to, 0);
            }
            1 if !model.is_empty() => {
                let at = random.below(model.len());
                let len = random.below(300).min(model.len() - at);
                region.write(at, &vec![round as u8 | 1; len]).unwrap();
                model[at..at + len].fill(round as u8 | 1);
            }
            _ => {
                let at = random.below(40_000);
                let len = random.below(5000);
                let mut bytes = vec![0; len];
                let read = region.read(at, &mut bytes);
                match model.get(at..at + len) {
                    Some(expected) => assert_eq!((read, &bytes[..]), (Ok(()), expected)),
                    None => assert_eq!(read, Err(MapError::OutOfBounds)),
                }
            }
        }
        assert_eq!(region.len(), model.len());
    }
    for wrong in [-1 - model.len() as i64, i64::MIN, i64::MAX, BREAK_BYTES as i64 + 1] {
        assert!(region.sbrk(wrong).is_err());
    }
    assert_eq!(region.len(), model.len());
}

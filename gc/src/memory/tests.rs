//! Random programs against a naive model: no overlap, contents kept, counts equal; limits, faults, and memory given back.

use super::*;

#[test]
fn cells_are_distinct_and_keep_their_contents() {
    let mut memory = Memory::new(usize::MAX);
    let mut cells = Vec::new();
    for n in 0..20_000usize {
        let size = 8 + n * 7919 % 20_000;
        let cell = memory.alloc(size).unwrap();
        assert_eq!(cell.as_ptr().addr() % 16, 0);
        // SAFETY: a cell of that size.
        unsafe {
            assert!(!memory.is_live(cell));
            cell.write_bytes(n as u8, size);
        }
        cells.push((cell, size, n as u8));
    }
    for (cell, size, byte) in cells {
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts(cell.as_ptr(), size) };
        assert!(bytes.iter().all(|b| *b == byte));
    }
}

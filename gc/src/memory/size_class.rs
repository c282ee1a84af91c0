//! Size classes of small cells: steps of 16 bytes up to 128, then eight per doubling up to 8 KiB.
//!
//! * **smallest-class-that-holds** A cell of class `class_of(n)` holds `n` bytes, and no smaller class does.
//! * **rounding-below-an-eighth** Above 128 bytes a cell is less than 12.5 % larger than what was asked for.
//!
//! Pure; imports nothing.

/// Cells start at multiples of this.
pub const GRANULE: usize = 16;
/// The largest small cell; above it stand large runs.
pub const MAX_SMALL: usize = 8 << 10;
/// The number of classes.
pub const CLASSES: usize = 56;

const MAX_GRANULES: usize = MAX_SMALL / GRANULE;

/// The class by arithmetic, for sizes up to [`MAX_SMALL`].
const fn class_of_granules(granules: usize) -> usize {
    if granules <= 8 {
        return granules.saturating_sub(1);
    }
    // The doubling that `granules - 1` lies in has eight classes, chosen by its three bits below the highest.
    let shift = (granules - 1).ilog2() as usize - 3;
    shift * 8 + ((granules - 1) >> shift)
}

const fn granules_of_class(class: usize) -> usize {
    if class < 8 {
        return class + 1;
    }
    let shift = (class - 8) / 8;
    (class - shift * 8 + 1) << shift
}

static CLASS: [u8; MAX_GRANULES + 1] = {
    let mut table = [0; MAX_GRANULES + 1];
    let mut granules = 0;
    while granules <= MAX_GRANULES {
        table[granules] = class_of_granules(granules) as u8;
        granules += 1;
    }
    table
};

static SIZE: [u16; CLASSES] = {
    let mut table = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        table[class] = (granules_of_class(class) * GRANULE) as u16;
        class += 1;
    }
    table
};

/// The class of cells for `size` bytes (at most [`MAX_SMALL`]). Folds to a constant where `size` is one.
#[inline(always)]
pub fn class_of(size: usize) -> usize {
    debug_assert!(size <= MAX_SMALL);
    CLASS[size.div_ceil(GRANULE)] as usize
}

/// The bytes of a cell of `class`.
#[inline(always)]
pub const fn size_of_class(class: usize) -> usize {
    SIZE[class] as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_the_smallest_class_that_holds_it() {
        assert_eq!(size_of_class(CLASSES - 1), MAX_SMALL);
        for class in 1..CLASSES {
            assert!(size_of_class(class) > size_of_class(class - 1));
            assert_eq!(size_of_class(class) % GRANULE, 0);
        }
        for size in 0..=MAX_SMALL {
            let class = class_of(size);
            assert!(size_of_class(class) >= size);
            assert!(class == 0 || size_of_class(class - 1) < size);
        }
    }

    #[test]
    fn waste_is_bounded() {
        for size in 1..=MAX_SMALL {
            let waste = size_of_class(class_of(size)) - size;
            if size <= 128 {
                assert!(waste < GRANULE);
            } else {
                assert!((waste as f64) < 0.125 * size as f64, "{size}: {waste}");
            }
        }
    }
}

//! What the heap's memory is used for: figures of fragmentation, and pictures for the terminal and as SVG.

use crate::stdlib::os::{file_result, path};
use crate::stdlib::support::text;
use crate::value::{Gc, Table, Value};
use crate::vm::{Args, Throw, Vm};
use neap_gc::observe::{Extent, Use};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The unit of pictures: a block of the heap.
const BLOCK: usize = 32 << 10;
/// Blocks in a row: a segment.
const ROW: usize = 128;
/// Rows of a picture; of a larger heap the rest is left out, and counted.
const ROWS: usize = 512;

/// The parts of the heap, as they are after an epoch end.
fn extents(vm: &mut Vm) -> Result<Vec<Extent>, Throw> {
    super::settle(vm);
    vm.collect_step(0);
    let (mut all, mut enough) = (Vec::new(), true);
    vm.heap.layout(&mut |extent| {
        enough &= all.try_reserve(1).is_ok();
        if enough {
            all.push(extent);
        }
    });
    if enough { Ok(all) } else { Err(vm.memory_error()) }
}

/// Bytes of one side, the collector's or the explicit one.
#[derive(Default)]
struct Side {
    /// Of blocks and runs.
    bytes: usize,
    /// Of cells that live, as large as they are.
    live: usize,
    /// Of free cells in blocks.
    free: usize,
    /// What large cells were asked for is less than they have: the rest of their last pages.
    slack: usize,
}

/// Of cells of one size.
#[derive(Default)]
struct Class {
    blocks: usize,
    cells: usize,
    live: usize,
}

fn set_fields(vm: &mut Vm, table: Gc<Table>, fields: &[(&str, usize)]) -> Result<(), Throw> {
    fields.iter().try_for_each(|&(name, number)| vm.set_field(table, name, Value::int(number as i64)))
}

/// `mem.fragmentation()`: a table of bytes. `collected` and `explicit` are tables of `bytes`, `live`, `free` (cells that only requests of their size can use) and `slack`; `idle` pages
/// are free and kept, `returned` ones the system's; `largest` is the longest run of free pages; `asked` is what the live blocks of scripts were asked for, `given` what
/// they take with fences and bookkeeping; `classes` lists `cell`, `explicit`, `blocks`, `cells`, `live`.
pub(super) fn fragmentation(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let (mut sides, mut classes) = ([Side::default(), Side::default()], BTreeMap::<(bool, usize), Class>::new());
    let (mut idle, mut returned, mut metadata, mut largest, mut run, mut next) = (0, 0, 0, 0, 0, 0);
    for extent in extents(vm)? {
        // Free pages side by side make one run.
        let free = matches!(extent.use_, Use::Idle | Use::Returned);
        run = if !free {
            0
        } else if extent.address == next {
            run + extent.bytes
        } else {
            extent.bytes
        };
        (largest, next) = (largest.max(run), extent.address + extent.bytes);
        match extent.use_ {
            Use::Metadata => metadata += extent.bytes,
            Use::Idle => idle += extent.bytes,
            Use::Returned => returned += extent.bytes,
            Use::Run { explicit, bytes } => {
                let side = &mut sides[usize::from(explicit)];
                (side.bytes, side.live) = (side.bytes + extent.bytes, side.live + extent.bytes);
                side.slack += extent.bytes.saturating_sub(bytes);
            }
            Use::Block { explicit, cell_bytes, cells, live } => {
                let side = &mut sides[usize::from(explicit)];
                (side.bytes, side.live) = (side.bytes + extent.bytes, side.live + live * cell_bytes);
                side.free += cells.saturating_sub(live) * cell_bytes;
                let class = classes.entry((explicit, cell_bytes)).or_default();
                (class.blocks, class.cells, class.live) = (class.blocks + 1, class.cells + cells, class.live + live);
            }
        }
    }
    let (asked, given) = {
        let checked = vm.heap.checked();
        (checked.bytes(), checked.given_bytes())
    };
    let result = vm.new_table(0, 8)?;
    vm.push(Value::table(result))?;
    for (name, side) in ["collected", "explicit"].into_iter().zip(&sides) {
        let table = vm.new_table(0, 4)?;
        vm.set_field(result, name, Value::table(table))?;
        set_fields(vm, table, &[("bytes", side.bytes), ("live", side.live), ("free", side.free), ("slack", side.slack)])?;
    }
    let totals = [
        ("idle", idle),
        ("returned", returned),
        ("metadata", metadata),
        ("largest", largest),
        ("asked", asked),
        ("given", given),
    ];
    set_fields(vm, result, &totals)?;
    let list = vm.new_table(classes.len(), 0)?;
    vm.set_field(result, "classes", Value::table(list))?;
    for (n, ((explicit, cell), class)) in classes.into_iter().enumerate() {
        let table = vm.new_table(0, 5)?;
        vm.raw_set(list, Value::int(n as i64 + 1), Value::table(table))?;
        vm.set_field(table, "explicit", Value::bool(explicit))?;
        set_fields(vm, table, &[("cell", cell), ("blocks", class.blocks), ("cells", class.cells), ("live", class.live)])?;
    }
    Ok(1)
}

/// What a unit of a picture shows.
#[derive(Clone, Copy, PartialEq)]
enum Shade {
    Outside,
    Metadata,
    Returned,
    Idle,
    /// The part of it that lives, in tenths, of blocks; large cells live whole.
    Collected(u8),
    Explicit(u8),
    CollectedRun,
    ExplicitRun,
}

impl Shade {
    fn letter(self) -> char {
        match self {
            Shade::Outside => ' ',
            Shade::Metadata => ':',
            Shade::Returned => '.',
            Shade::Idle => '-',
            Shade::Collected(tenths) => char::from_digit(u32::from(tenths.min(9)), 10).unwrap_or('9'),
            // a for empty to j for full.
            Shade::Explicit(tenths) => char::from(b'a' + tenths.min(9)),
            Shade::CollectedRun => '#',
            Shade::ExplicitRun => '@',
        }
    }
}

/// The rows of a picture: where each begins, and its units.
fn rows(extents: &[Extent]) -> Vec<(usize, [Shade; ROW])> {
    let mut rows: Vec<(usize, [Shade; ROW])> = Vec::new();
    for extent in extents {
        let shade = match extent.use_ {
            Use::Metadata => Shade::Metadata,
            Use::Idle => Shade::Idle,
            Use::Returned => Shade::Returned,
            Use::Run { explicit: false, .. } => Shade::CollectedRun,
            Use::Run { explicit: true, .. } => Shade::ExplicitRun,
            Use::Block { explicit, cells, live, .. } => {
                let tenths = (live * 10 / cells.max(1)).min(9) as u8;
                if explicit { Shade::Explicit(tenths) } else { Shade::Collected(tenths) }
            }
        };
        let mut address = extent.address;
        while address < extent.address + extent.bytes {
            let start = address / (ROW * BLOCK) * (ROW * BLOCK);
            if rows.last().is_none_or(|(last, _)| *last != start) {
                if rows.len() == ROWS {
                    return rows;
                }
                rows.push((start, [Shade::Outside; ROW]));
            }
            if let Some((start, units)) = rows.last_mut() {
                let unit = (address - *start) / BLOCK;
                // Where several things share a unit the one that is used is shown.
                let shown = matches!(units[unit], Shade::Outside | Shade::Returned | Shade::Idle);
                if shown {
                    units[unit] = shade;
                }
                address = *start + (unit + 1) * BLOCK;
            }
        }
    }
    rows
}

/// `mem.map_picture(path)` writes an SVG, `mem.map_picture()` returns a text: a row for each segment, a unit for each 32 KiB.
pub(super) fn map_picture(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let all = extents(vm)?;
    let rows = rows(&all);
    if vm.arg(args, 0).is_nil() {
        return vm.ret_text(|vm, out| {
            vm.append(out, LEGEND.as_bytes())?;
            for (start, units) in rows {
                vm.work(ROW)?;
                let units: String = units.iter().map(|unit| unit.letter()).collect();
                vm.append(out, format!("{start:012x} {}\n", units.trim_end()).as_bytes())?;
            }
            Ok(())
        });
    }
    let path = path(text(vm, args, 0)?);
    file_result(vm, std::fs::write(path, picture(&rows)), None)
}

const LEGEND: &str = "\
A row is a segment of 4 MiB, a letter 32 KiB.
: bookkeeping   . returned to the system   - idle   0-9 cells of the collector, tenths that live   # a large one
a-j explicit cells, a few to all taken   @ a large one
";

/// Colours: of what, light and dark.
const COLOURS: [(&str, &str, &str, &str); 5] = [
    ("m", "bookkeeping", "#8a8f98", "#7d838c"),
    ("r", "returned to the system", "#e6e8eb", "#2a2f36"),
    ("i", "idle", "#c3cad3", "#454c56"),
    ("c", "cells of the collector", "#2f6fb7", "#5b9be0"),
    ("e", "explicit cells", "#c05a1c", "#e58a4e"),
];

fn picture(rows: &[(usize, [Shade; ROW])]) -> String {
    const UNIT: usize = 8;
    const LEFT: usize = 120;
    const TOP: usize = 56;
    let (width, height) = (LEFT + ROW * UNIT + 16, TOP + rows.len() * (UNIT + 4) + 16);
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"The memory of the heap: a row is a segment of 4 MiB, a unit 32 KiB\">\n<style>\n\
         svg{{background:#fff;font:12px sans-serif}}text{{fill:#1d2127}}.a{{font:10px monospace;fill:#5a616b}}\n"
    );
    for (class, _, light, _) in COLOURS {
        let _ = writeln!(svg, ".{class}{{fill:{light}}}");
    }
    svg += "@media (prefers-color-scheme:dark){svg{background:#14181d}text{fill:#e8eaed}.a{fill:#9aa2ad}\n";
    for (class, _, _, dark) in COLOURS {
        let _ = writeln!(svg, ".{class}{{fill:{dark}}}");
    }
    svg += "}\n</style>\n<text x=\"16\" y=\"20\">A row is a segment of 4 MiB, a unit 32 KiB; a block is filled as far as its cells are taken.</text>\n";
    let mut x = 16;
    for (class, name, ..) in &COLOURS {
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"30\" width=\"10\" height=\"10\"/><text x=\"{}\" y=\"39\">{name}</text>",
            x + 14
        );
        x += 34 + name.len() * 7;
    }
    for (n, (start, units)) in rows.iter().enumerate() {
        let y = TOP + n * (UNIT + 4);
        let _ = writeln!(svg, "<text class=\"a\" x=\"16\" y=\"{}\">{start:012x}</text>", y + UNIT);
        // What is alike side by side is one rectangle.
        let mut at = 0;
        while at < ROW {
            let shade = units[at];
            let len = units[at..].iter().take_while(|&&other| other == shade).count();
            let (class, tenths) = match shade {
                Shade::Outside => {
                    at += len;
                    continue;
                }
                Shade::Metadata => ("m", 10),
                Shade::Returned => ("r", 10),
                Shade::Idle => ("i", 10),
                Shade::Collected(tenths) => ("c", usize::from(tenths) + 1),
                Shade::Explicit(tenths) => ("e", usize::from(tenths) + 1),
                Shade::CollectedRun => ("c", 10),
                Shade::ExplicitRun => ("e", 10),
            };
            let (x, w) = (LEFT + at * UNIT, len * UNIT);
            if tenths < 10 {
                let _ =
                    write!(svg, "<rect class=\"{class}\" opacity=\".25\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{UNIT}\"/>");
            }
            let h = (UNIT * tenths).div_ceil(10);
            let _ = writeln!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"{w}\" height=\"{h}\"/>", y + UNIT - h);
            at += len;
        }
    }
    svg += "</svg>\n";
    svg
}

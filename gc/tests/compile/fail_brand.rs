//! A type that says it is traced for one brand, and has a `Gc` of another; one that fits no brand at all.
use neap_gc::arena::{Arena, Gc, Trace};

#[derive(Trace)]
#[trace(gc = 'a)]
struct Foreign<'a, 'b>(Gc<'a, u32>, Gc<'b, u32>);

struct NotRootable<'gc>(Gc<'gc, u32>);

fn lengthen<'short, 'long: 'short>(gc: Gc<'long, u32>) -> Gc<'short, u32> {
    gc
}

fn shorten<'short, 'long: 'short>(gc: Gc<'short, u32>) -> Gc<'long, u32> {
    gc
}

fn main() {
    let arena = Arena::<NotRootable>::new(|mc| NotRootable(mc.alloc(1)));
}

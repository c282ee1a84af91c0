//! The arena face as its users see it: in safe Rust, with the auditor behind every safepoint, and under stress.

#![forbid(unsafe_code)]

mod derive;
mod objects;
mod roots;
mod weak;

use neap_gc::arena::{Arena, Config, Mutation, Rootable};

/// Every safepoint is an epoch end, every fifth a whole collection; the auditor looks at the heap after each, and what dies is overwritten.
fn stressed() -> Config {
    Config { stress_cycle: 5, audit: 1, poison: true, ..Config::default() }
}

/// An arena under stress.
fn arena<R: Rootable>(root: impl for<'gc> FnOnce(&'gc Mutation<'gc>) -> R::Root<'gc>) -> Arena<R> {
    Arena::with_config(stressed(), root)
}

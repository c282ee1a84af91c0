//! Every request for memory to the operating system is refused in turn, one alone and it with all after it: what returns an error changes nothing, and what was
//! there stays.

use neap_gc::arena::{Arena, Config, DynamicRoot, Ephemeron, Gc, GcHashMap, GcTreeMap, GcVec, Rootable, Trace, Weak, WeakMap};
use neap_gc::heap::Faults;
use std::collections::BTreeMap;

#[derive(Trace, Rootable)]
struct Root<'gc> {
    list: GcVec<'gc, Gc<'gc, u64>>,
    hashed: GcHashMap<'gc, u64, Gc<'gc, str>>,
    ordered: GcTreeMap<'gc, u64, Gc<'gc, [u64]>>,
    weak: WeakMap<'gc, u64, str>,
    weakly: GcVec<'gc, Weak<'gc, u64>>,
    entries: GcVec<'gc, Ephemeron<'gc, u64, str>>,
}

/// What of it came to pass.
#[derive(Default)]
struct Model {
    list: Vec<u64>,
    hashed: BTreeMap<u64, String>,
    ordered: BTreeMap<u64, usize>,
    weak: BTreeMap<u64, String>,
    weakly: usize,
    entries: usize,
    refused: usize,
}

fn step(arena: &mut Arena<Root<'static>>, model: &mut Model, n: u64) -> Result<(), neap_gc::OutOfMemory> {
    arena.mutate(|mc, root| {
        let number = mc.try_alloc(n)?;
        root.list.try_push(mc, number)?;
        model.list.push(n);
        let text = "text ".repeat(1 + n as usize % 100);
        let string = mc.try_alloc_str(&text)?;
        root.hashed.try_insert(mc, n * n, string)?;
        model.hashed.insert(n * n, text.clone());
        let length = if n.is_multiple_of(50) { 3_000 } else { n as usize % 7 };
        let slice = mc.try_alloc_slice_with(length, |at| at as u64)?;
        root.ordered.try_insert(mc, n % 97 * 100 + n, slice)?;
        model.ordered.insert(n % 97 * 100 + n, length);
        root.weak.try_insert(mc, number, string)?;
        model.weak.insert(n, text);
        root.weakly.try_push(mc, Gc::try_downgrade(number, mc)?)?;
        model.weakly += 1;
        root.entries.try_push(mc, Ephemeron::try_new(mc, number, string)?)?;
        model.entries += 1;
        Ok(())
    })
}

fn compare(arena: &mut Arena<Root<'static>>, model: &Model) {
    arena.mutate(|mc, root| {
        assert!(root.list.iter().map(|number| *number).eq(model.list.iter().copied()));
        assert_eq!((root.hashed.len(), root.ordered.len()), (model.hashed.len(), model.ordered.len()));
        assert!(model.hashed.iter().all(|(key, text)| *root.hashed.get(key).unwrap() == **text));
        assert!(root.ordered.iter().map(|(key, slice)| (key, slice.len())).eq(model.ordered.iter().map(|(k, v)| (*k, *v))));
        let mut weak: Vec<_> = root.weak.iter(mc).map(|(key, text)| (*key, text.to_string())).collect();
        weak.sort_unstable();
        assert!(weak.iter().map(|(key, text)| (key, text)).eq(&model.weak));
        // All numbers are in the list.
        assert_eq!(root.weakly.iter().filter(|weak| weak.upgrade(mc).is_some()).count(), model.weakly);
        assert_eq!(root.entries.iter().filter(|entry| entry.get(mc).is_some()).count(), model.entries);
    });
}

#[test]
fn every_refusal_is_an_error_that_changes_nothing() {
    let (mut cases, mut refused) = (0, 0);
    for faults in [Faults::At as fn(usize) -> Faults, Faults::From] {
        for nth in 0.. {
            let mut arena = Arena::<Root>::try_new::<_, neap_gc::OutOfMemory>(Config { audit: 7, ..Config::default() }, |mc| {
                Ok(Root {
                    list: GcVec::try_new(mc)?,
                    hashed: GcHashMap::try_new(mc)?,
                    ordered: GcTreeMap::try_new(mc)?,
                    weak: WeakMap::try_new(mc)?,
                    weakly: GcVec::try_new(mc)?,
                    entries: GcVec::try_new(mc)?,
                })
            })
            .unwrap();
            let mut model = Model::default();
            let held: DynamicRoot<u64> = arena.mutate(|mc, _| mc.hold(mc.alloc(7)));
            arena.inject(faults(nth));
            for n in 0..600 {
                model.refused += usize::from(step(&mut arena, &mut model, n).is_err());
                if n.is_multiple_of(150) {
                    arena.collect_cycles();
                }
            }
            let reached = !matches!(arena.inject(Faults::None), Faults::At(_) | Faults::From(1..));
            compare(&mut arena, &model);
            arena.collect_cycles();
            arena.audit().unwrap();
            compare(&mut arena, &model);
            assert_eq!(arena.mutate(|mc, _| *mc.fetch(&held)), 7);
            // It goes on.
            step(&mut arena, &mut model, 1_000_000).unwrap();
            compare(&mut arena, &model);
            if !reached {
                break;
            }
            cases += 1;
            refused += model.refused;
        }
    }
    assert!(cases > 20 && refused > 1_000, "{cases} requests to refuse, {refused} errors");
}

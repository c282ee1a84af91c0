//! A `Gc` of one arena is put into another.
use neap_gc::arena::{Arena, Gc, Lock, RefLock};

fn main() {
    let mut one = Arena::<Gc<Lock<Option<Gc<u32>>>>>::new(|mc| mc.alloc(Lock::new(None)));
    let mut other = Arena::<Gc<RefLock<Vec<Gc<u32>>>>>::new(|mc| mc.alloc(RefLock::new(Vec::new())));
    one.mutate(|mc, a| {
        other.mutate(|mc_other, b| {
            a.set(mc, Some(mc_other.alloc(5)));
            b.borrow_mut(mc_other).push(mc.alloc(5));
        });
    });
}

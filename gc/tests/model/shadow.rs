//! The naive oracle: the same graph in plain vectors, searched from the roots whenever a question comes up.

use super::toy;
use neap_gc::Ref;

pub type Id = usize;
pub const FRAME: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Suspended,
    Active,
    Ended,
}

pub struct Object {
    pub kind: u8,
    /// Where the object stands; looked at only while it must be there.
    pub cell: Ref,
    pub slots: Vec<Option<Id>>,
    pub pairs: Vec<(Option<Id>, Option<Id>)>,
    pub body: Option<Id>,
    pub frames: Vec<[Option<Id>; FRAME]>,
    pub state: State,
    pub content: u64,
    /// Has a finalizer that has not been handed over.
    pub finalizer: bool,
    /// It got that from a finalizer, and the heap holds it for so many epoch ends at least.
    pub held: u8,
    /// Was unreachable at some safepoint since the finalizer was set.
    pub was_unreachable: bool,
    /// After that the program has come by it through a weak key, and has made it a weak value anew.
    pub stored_since: bool,
    /// The comparisons (by number) at which the object was last unreachable, was so even through finalizers, and was last looked at.
    pub unreachable_at: usize,
    pub lost_at: usize,
    pub seen_at: usize,
}

#[derive(Default)]
pub struct Shadow {
    pub objects: Vec<Object>,
    pub globals: [Option<Id>; 3],
    pub handles: [Option<Id>; 3],
    /// The running chain, main thread first.
    pub chain: Vec<Id>,
}

impl Shadow {
    pub fn add(&mut self, kind: u8, cell: Ref, len: usize) -> Id {
        let pairs = match kind {
            toy::WEAK | toy::EPHEMERON | toy::ALL_WEAK => len,
            toy::FIELDS => toy::WEAK_FIELDS,
            _ => 0,
        };
        let slots = match kind {
            toy::PLAIN | toy::GUARD | toy::FIELDS => toy::PLAIN_SLOTS,
            toy::ARRAY => len,
            _ => 0,
        };
        self.objects.push(Object {
            kind,
            cell,
            slots: vec![None; slots],
            pairs: vec![(None, None); pairs],
            body: None,
            frames: if kind == toy::THREAD { vec![[None; FRAME]] } else { vec![] },
            state: State::Suspended,
            content: 0,
            finalizer: false,
            held: 0,
            was_unreachable: false,
            stored_since: false,
            unreachable_at: 0,
            lost_at: 0,
            seen_at: 0,
        });
        self.objects.len() - 1
    }

    /// The objects that the heap holds for their finalizers' sake.
    pub fn held(&self) -> impl Iterator<Item = Id> + '_ {
        (0..self.objects.len()).filter(|&id| self.objects[id].held != 0)
    }

    /// What can be reached from the roots; with `finalizers`, also from the objects that are still to be finalized.
    pub fn reach(&self, finalizers: bool) -> Vec<bool> {
        let mut seen = vec![false; self.objects.len()];
        let mut work: Vec<Id> = Vec::new();
        work.extend(self.globals.iter().chain(&self.handles).flatten());
        work.extend(&self.chain);
        work.extend(self.held());
        if finalizers {
            work.extend((0..self.objects.len()).filter(|&id| self.objects[id].finalizer));
        }
        loop {
            while let Some(id) = work.pop() {
                if std::mem::replace(&mut seen[id], true) {
                    continue;
                }
                let object = &self.objects[id];
                work.extend(object.slots.iter().flatten().chain(&object.body));
                work.extend(object.frames.iter().flatten().flatten());
                if object.kind == toy::WEAK {
                    // While only a finalizer keeps the holder, entries whose value was unreachable may be gone, keys and all.
                    let stays = |value: Option<Id>| value.is_none_or(|v| self.objects[v].unreachable_at <= object.seen_at);
                    work.extend(object.pairs.iter().filter(|e| !finalizers || stays(e.1)).filter_map(|e| e.0));
                }
            }
            for (id, object) in self.objects.iter().enumerate() {
                if seen[id] && object.kind == toy::EPHEMERON {
                    for (key, value) in &object.pairs {
                        if let (Some(k), Some(v)) = (key, value)
                            && seen[*k]
                            && !seen[*v]
                        {
                            work.push(*v);
                        }
                    }
                }
            }
            if work.is_empty() {
                return seen;
            }
        }
    }
}

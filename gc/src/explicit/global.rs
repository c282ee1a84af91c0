//! The allocator for a whole Rust program.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: neap_gc::explicit::Global = neap_gc::explicit::Global;
//!
//! let handle = std::thread::spawn(|| vec![1, 2, 3]);
//! // What one thread has allocated another may free.
//! assert_eq!(handle.join().unwrap(), [1, 2, 3]);
//! ```
//! Each thread allocates from segments of its own, without a lock. A block that another thread frees goes to a list of its owner's, which the owner takes back now and then
//! (remote-free lists: mimalloc, Leijen, Zorn, de Moura 2019). When a thread ends, what it owns waits for the next thread that begins. Memory that has been idle for a while
//! goes back to the system as the program allocates.
//!
//! The bookkeeping of an owner is not on its own segments: what it asks for while it works has mappings of its own (`backing`), as have blocks whose alignment is larger than the
//! heap's.
//!
//! * **owner-alone** The parts of an owner are used by the thread that has it, and by nobody while it is abandoned; others touch `remote` alone.
//! * **claimed-has-owner** A segment that is claimed has its owner in its head, for ever: owners are never freed.
//! * **remote-is-free** A cell in `remote` was freed: its first word is the list's.
//!
//! Imports `explicit`, `memory`, `backing`, `libc`.

use super::backing;
use super::{Explicit, MAX_ALIGN};
use crate::memory::segment::Segment;
use crate::memory::size_class::GRANULE;
use crate::memory::{Memory, claims};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// Allocations after which an owner looks at what others have freed, and takes that many looks before it gives idle memory back.
const LOOK_EVERY: u32 = 64;
const PURGE_LOOKS: u32 = 256;
/// Given back at a time.
const PURGE_BYTES: usize = 1 << 20;

/// What a thread allocates from.
struct Owner {
    /// Cells that other threads have freed (remote-is-free).
    remote: AtomicPtr<u8>,
    /// Another owner that is abandoned.
    next: Cell<*mut Owner>,
    /// The thread is in here already: what is asked for meanwhile has a mapping of its own.
    busy: Cell<bool>,
    /// Allocations until the next look, and looks until the next purge.
    countdown: Cell<(u32, u32)>,
    parts: UnsafeCell<(Memory, Explicit)>,
}

/// Owners whose threads have ended, the last one first.
struct Abandoned(*mut Owner);
// SAFETY: owner-alone: who takes one out of the list has it.
unsafe impl Send for Abandoned {}
static ABANDONED: Mutex<Abandoned> = Mutex::new(Abandoned(null_mut()));

thread_local! {
    static OWN: Cell<*mut Owner> = const { Cell::new(null_mut()) };
}

/// The key whose destructor notices the end of a thread. (One of the standard library's would ask the global allocator for memory.)
static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

/// The thread ends, all but for other destructors: these get another owner, if they need one.
extern "C" fn leave(owner: *mut libc::c_void) {
    OWN.set(null_mut());
    abandon(owner.cast());
}

/// `false`: the end of the thread would go unnoticed.
fn notice_end(owner: NonNull<Owner>) -> bool {
    let key = KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the destructor gets what was set below.
        (unsafe { libc::pthread_key_create(&mut key, Some(leave)) } == 0).then_some(key)
    });
    // SAFETY: a key that was made.
    key.is_some_and(|key| unsafe { libc::pthread_setspecific(key, owner.as_ptr().cast()) } == 0)
}

fn abandon(owner: *mut Owner) {
    let mut list = ABANDONED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // SAFETY: an owner is never freed, and this thread has it.
    unsafe { (*owner).next.set(list.0) };
    list.0 = owner;
}

/// An owner for this thread. `None`: there is no memory for one.
#[cold]
fn begin() -> Option<NonNull<Owner>> {
    let taken = {
        let mut list = ABANDONED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let taken = NonNull::new(list.0);
        if let Some(owner) = taken {
            // SAFETY: as in `abandon`.
            list.0 = unsafe { owner.as_ref().next.get() };
        }
        taken
    };
    let owner = match taken {
        Some(owner) => owner,
        None => {
            let owner = NonNull::new(backing::alloc(Layout::new::<Owner>()).cast::<Owner>())?;
            let mut memory = Memory::new(usize::MAX);
            memory.pages.owner = owner.as_ptr().addr();
            let parts = UnsafeCell::new((memory, Explicit::new()));
            let countdown = Cell::new((LOOK_EVERY, PURGE_LOOKS));
            let new = Owner {
                remote: AtomicPtr::new(null_mut()),
                next: Cell::new(null_mut()),
                busy: Cell::new(false),
                countdown,
                parts,
            };
            // SAFETY: memory for one.
            unsafe { owner.as_ptr().write(new) };
            owner
        }
    };
    if !notice_end(owner) {
        abandon(owner.as_ptr());
        return None;
    }
    OWN.set(owner.as_ptr());
    Some(owner)
}

impl Owner {
    /// Works with the parts. `None`: the thread is in here already.
    #[inline(always)]
    fn with<T>(&self, work: impl FnOnce(&mut Memory, &mut Explicit) -> T) -> Option<T> {
        if self.busy.replace(true) {
            return None;
        }
        // SAFETY: owner-alone, and not twice.
        let (memory, explicit) = unsafe { &mut *self.parts.get() };
        let result = work(memory, explicit);
        self.busy.set(false);
        Some(result)
    }

    #[inline(always)]
    fn count_down(&self, memory: &mut Memory, explicit: &mut Explicit) {
        let (allocations, looks) = self.countdown.get();
        if allocations > 1 {
            return self.countdown.set((allocations - 1, looks));
        }
        self.look(memory, explicit, looks);
    }

    #[cold]
    #[inline(never)]
    fn look(&self, memory: &mut Memory, explicit: &mut Explicit, looks: u32) {
        self.take_back(memory, explicit);
        if looks == 1 {
            memory.purge(Instant::now(), PURGE_BYTES);
        }
        self.countdown.set((LOOK_EVERY, if looks == 1 { PURGE_LOOKS } else { looks - 1 }));
    }

    /// Frees what others have freed.
    fn take_back(&self, memory: &mut Memory, explicit: &mut Explicit) {
        let mut next = self.remote.swap(null_mut(), Ordering::Acquire);
        while let Some(cell) = NonNull::new(next) {
            // SAFETY: remote-is-free, and the list is this thread's now.
            unsafe {
                next = cell.cast::<*mut u8>().read();
                explicit.free(memory, cell);
            }
        }
    }

    /// Another thread has freed a cell.
    fn push(&self, cell: NonNull<u8>) {
        let mut first = self.remote.load(Ordering::Relaxed);
        loop {
            // SAFETY: remote-is-free: a cell has room for a word.
            unsafe { cell.cast::<*mut u8>().write(first) };
            match self.remote.compare_exchange_weak(first, cell.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }
}

/// The owner of an allocated cell.
///
/// # Safety
/// Its segment is claimed.
#[inline(always)]
unsafe fn owner_of<'a>(cell: NonNull<u8>) -> &'a Owner {
    // SAFETY: claimed-has-owner.
    unsafe { &*((*Segment::of(cell).head()).owner as *const Owner) }
}

#[inline(always)]
fn own() -> Option<NonNull<Owner>> {
    NonNull::new(OWN.get()).or_else(begin)
}

/// An allocator for `#[global_allocator]`; see the module.
#[derive(Clone, Copy, Default, Debug)]
pub struct Global;

// SAFETY: blocks are as large and aligned as asked for, and nobody else's until they are freed (owner-alone, live-while-taken); it does not unwind.
unsafe impl GlobalAlloc for Global {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let cell = own().and_then(|owner| {
            // SAFETY: an owner is never freed, and this thread has it.
            let owner = unsafe { owner.as_ref() };
            owner.with(|memory, explicit| {
                owner.count_down(memory, explicit);
                if layout.align() <= GRANULE {
                    return explicit.malloc(memory, layout.size());
                }
                explicit.aligned(memory, layout.align(), layout.size())
            })
        });
        match cell {
            Some(Ok(cell)) => cell.as_ptr(),
            // More than this heap aligns to.
            Some(Err(_)) if layout.align() <= MAX_ALIGN => null_mut(),
            _ => backing::alloc(layout),
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= GRANULE
            && let Some(owner) = own()
        {
            // SAFETY: as above.
            let owner = unsafe { owner.as_ref() };
            let cell = owner.with(|memory, explicit| {
                owner.count_down(memory, explicit);
                explicit.calloc(memory, 1, layout.size())
            });
            if let Some(cell) = cell {
                return cell.map_or(null_mut(), NonNull::as_ptr);
            }
        }
        // SAFETY: by the caller; what was allocated has so many bytes.
        unsafe {
            let start = self.alloc(layout);
            if !start.is_null() {
                start.write_bytes(0, layout.size());
            }
            start
        }
    }

    #[inline]
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: by the caller `start` was allocated here: it is not null, and if its segment is not claimed it has a mapping of its own.
        unsafe {
            if !claims::is_claimed(start.addr()) {
                return backing::free(start, layout);
            }
            let cell = NonNull::new_unchecked(start);
            let owner = owner_of(cell);
            let is_own = std::ptr::eq(owner, OWN.get());
            if !is_own || owner.with(|memory, explicit| explicit.free(memory, cell)).is_none() {
                owner.push(cell);
            }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller; as in `dealloc`.
        unsafe {
            if claims::is_claimed(start.addr()) {
                let cell = NonNull::new_unchecked(start);
                let owner = owner_of(cell);
                if std::ptr::eq(owner, OWN.get())
                    && let Some(moved) = owner.with(|memory, explicit| explicit.realloc(memory, cell, size))
                {
                    return moved.map_or(null_mut(), NonNull::as_ptr);
                }
            }
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(start, size.min(layout.size()));
                self.dealloc(start, layout);
            }
            new
        }
    }
}

impl Global {
    /// The bytes that a block really has. `None`: it is not the start of a block of this allocator's own segments.
    ///
    /// # Safety
    /// It is allocated, or nothing of this allocator.
    pub unsafe fn usable_size(&self, start: *mut u8) -> Option<usize> {
        if !claims::is_claimed(start.addr()) {
            return None;
        }
        // SAFETY: by the caller; what describes the block does not change while it is allocated, whoever owns it.
        unsafe {
            let cell = NonNull::new(start)?;
            let (memory, explicit) = &*owner_of(cell).parts.get();
            Some(explicit.usable_size(memory, cell))
        }
    }
}

/* neap_gc.h: the heap of neap-gc for runtimes that are written in C or C++.
 *
 * A managed heap whose stops stay short however large it grows: references are counted by epochs, cycles are found by an
 * incremental mark-sweep, and explicit blocks stand on the same pages. Nothing moves: a reference is an address. The guide is
 * docs/embedding.md of the project, a whole language on this face is in examples/c.
 *
 * WORDS. Every object begins with a `neap_header`. A slot that the heap is told of holds a *word*: 0, a number that has one of
 * its three lowest bits set (small integers, characters: whatever the program likes), or the address of an object. Only the
 * last is a reference. That holds for fields, array slots, root variables, locals and handles alike.
 *
 * SAFEPOINTS. The heap collects in neap_safepoint, neap_step and neap_collect, and nowhere else. Between two of these calls the
 * program may keep references anywhere, in C variables above all. Across one of them it keeps what can be reached from root
 * variables, locals, handles and the root visitor; all else may be gone.
 *
 * BARRIER. Before a reference in an object is overwritten, or one is stored, comes the barrier: neap_store does both. A plain object
 * that was allocated since the last safepoint needs none, and the barrier finds that out by one test. An array always needs it: a new
 * one of more than 8 KiB is counted by what was written, not by what it has.
 *
 * ERRORS. What can fail says so by a neap_error, or by NULL and neap_last_error. Misuse that can be found cheaply is an error;
 * an address that is no object's, or a heap that was freed, can't be found cheaply. No function unwinds, and nothing may unwind
 * or jump (longjmp, C++ exceptions) out of a callback. A contradiction inside of the heap (and a failed audit that
 * `audit_every` has asked for) is told on stderr and ends the process by abort().
 *
 * CALLBACKS (trace, destroy, the root visitor, the visitors of the heap) are called in the middle of the heap's work. They may
 * read objects, but call no function of this file for the same heap, except those that they are given something for. Those
 * that change nothing but pretend otherwise answer NEAP_BUSY.
 *
 * THREADS. A heap is used by one thread at a time; it may be handed to another with the usual care (a lock, a channel). Only
 * neap_handle_free may be called from any thread at any time. Different heaps have nothing to do with each other. The heap
 * itself starts a thread only if `ticker` asks for it.
 *
 * COSTS are told for each function; "constant" means a few dozen instructions at most unless something else is said. Units are
 * bytes and nanoseconds unless something else is said.
 *
 * ABI. Structs that cross in numbers begin with `struct_size`, which the caller sets to the size that it was compiled with: a
 * struct that is longer than the library knows is taken as far as it is known, one that is shorter gets defaults for what is
 * missing. What is named neap_private_* is part of the ABI, because inline functions use it, but not of the interface.
 */
#ifndef NEAP_GC_H
#define NEAP_GC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface; neap_abi_version tells that of the library. */
#define NEAP_ABI_VERSION 1u

/* ---- errors */

typedef enum neap_error {
    NEAP_OK = 0,
    /* The limit of the heap is reached, or the system refuses memory. The heap is as it was. */
    NEAP_OUT_OF_MEMORY = 1,
    /* An argument is NULL, or not what it should be. */
    NEAP_INVALID = 2,
    /* A struct of another version, or too short to say of which. */
    NEAP_VERSION = 3,
    /* No type of this heap, or not of the shape that the function is for. */
    NEAP_TYPE = 4,
    /* The heap has as many types as it can have. */
    NEAP_TYPES_FULL = 5,
    /* Fewer bytes than the type has, or more than there are. */
    NEAP_SIZE = 6,
    /* Called from within a callback of the same heap. */
    NEAP_BUSY = 7,
    /* The variable is not registered. */
    NEAP_ROOT = 8,
    /* The scope was closed already. */
    NEAP_SCOPE = 9,
    /* The handle is another heap's. */
    NEAP_HANDLE = 10,
    /* There is no such entry. */
    NEAP_NOT_FOUND = 11,
    /* The address is not that of an explicit block that is allocated. */
    NEAP_BLOCK = 12,
    /* The audit has found a contradiction. */
    NEAP_AUDIT = 13
} neap_error;

/* A sentence for an error, in static memory; one for unknown numbers too. Constant. */
const char *neap_error_text(neap_error error);

/* The version of the library: NEAP_ABI_VERSION of the header that it was built with. Constant. */
uint32_t neap_abi_version(void);

/* ---- the heap */

typedef struct neap_heap neap_heap;

/* Settings of a heap. 0 is the default of every member but the first two; neap_config_default sets these. */
typedef struct neap_config {
    size_t struct_size;
    /* NEAP_ABI_VERSION. */
    uint32_t abi_version;
    /* Goal for the longest stops on a busy machine, in microseconds (default 250). A stop is planned to take a quarter of it. */
    uint32_t pause_goal_us;
    /* The most bytes that the heap may take from the system (default: no limit). Near it the heap collects before it refuses. */
    size_t limit_bytes;
    /* How many locals there may be at once (default 1048576: 8 MiB of address space, of which only what is used is touched). */
    size_t locals_max;
    /* For tests: each safepoint ends an epoch, each n-th is a whole collection, and neap_wants_safepoint is always true. */
    uint32_t stress;
    /* For tests: the whole heap is checked after each n-th epoch end. What it finds is told on stderr, and the process aborts. */
    uint32_t audit_every;
    /* For tests: objects that die are overwritten with 0xdb. */
    uint32_t poison;
    /* Whether a thread asks for safepoints while the program does not allocate, so that garbage goes back all the same. */
    uint32_t ticker;
} neap_config;

static inline neap_config neap_config_default(void) {
    neap_config config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.abi_version = NEAP_ABI_VERSION;
    return config;
}

/* Makes a heap. `config` may be NULL for the defaults. Errors: NEAP_INVALID (`heap` is NULL, or no locals can be had), NEAP_VERSION,
 * NEAP_OUT_OF_MEMORY. Cost: about 70 microseconds and 160 KiB of memory. */
neap_error neap_heap_new(const neap_config *config, neap_heap **heap);

/* Ends a heap: runs the destructors of all objects (no finalizers: see neap_queue_all_finalizers), and gives back all memory, explicit blocks
 * too. NULL is nothing. Handles may be freed later. Errors: NEAP_BUSY. Cost: in proportion to the heap if any type has a destructor,
 * else to the memory that is unmapped. */
neap_error neap_heap_free(neap_heap *heap);

/* Sets the limit, in bytes; SIZE_MAX for none. A limit below what is in use takes effect with the next request. Errors: NEAP_INVALID,
 * NEAP_BUSY. Constant. */
neap_error neap_set_limit(neap_heap *heap, size_t bytes);

/* Stops the collections that the heap starts by itself (0), or lets them go on. With a limit the heap still collects near it. Errors:
 * NEAP_INVALID, NEAP_BUSY. Constant. */
neap_error neap_set_running(neap_heap *heap, int running);

/* Why the last function that answers NULL has done so; NEAP_OK if none has since this was asked. Constant. */
neap_error neap_last_error(neap_heap *heap);

/* ---- types */

/* The number of a type, in the header of its objects. The heap's own types are below NEAP_TYPES_FIRST. */
typedef uint8_t neap_type;

/* The object that the heap keeps the locals in. */
#define NEAP_TYPE_LOCALS ((neap_type)0)
/* A weak map, and the entries of one. */
#define NEAP_TYPE_WEAK_MAP ((neap_type)1)
#define NEAP_TYPE_WEAK_ENTRIES ((neap_type)2)
/* The first number that neap_type_new gives, and the number after the last. */
#define NEAP_TYPES_FIRST 3
#define NEAP_TYPES_END 256

/* What every object begins with: 8 bytes, aligned to 8. */
typedef union neap_header {
    uint64_t neap_private_bits;
    struct {
        uint32_t neap_private_count;
        uint16_t neap_private_flags;
        neap_type neap_private_type;
        /* A byte that the program may use as it likes; 0 at first. */
        uint8_t user;
    } parts;
} neap_header;

/* The flag of a header by which the barrier has nothing to do. */
#define NEAP_PRIVATE_LOGGED ((uint16_t)1)

/* The type of an object. Constant. */
static inline neap_type neap_type_of(const void *object) {
    return ((const neap_header *)object)->parts.neap_private_type;
}

/* Whether a word is a reference. Constant. */
static inline int neap_is_reference(const void *word) {
    return word != NULL && ((uintptr_t)word & 7) == 0;
}

/* What a trace function hands the references to. */
typedef struct neap_visitor neap_visitor;
struct neap_visitor {
    void (*neap_private_visit)(neap_visitor *visitor, const void *word);
};

/* Shows a word, which need not be a reference, to whoever asks. Only within the callback that was given the visitor. */
static inline void neap_visit(neap_visitor *visitor, const void *word) {
    visitor->neap_private_visit(visitor, word);
}

/* Visits the strong references of an object that stand outside of its pointer map: all of them, for a plain type; those in the
 * slots `from` to `to` (excluded), for an array. The same ones in the same order each time, while the object is unchanged. It
 * must not write, allocate, or call any function but neap_visit. */
typedef void (*neap_trace_fn)(const void *object, size_t from, size_t to, neap_visitor *visitor, void *data);

/* Frees explicit blocks from within a destructor. */
typedef struct neap_releaser neap_releaser;
struct neap_releaser {
    void (*neap_private_release)(neap_releaser *releaser, void *block);
};

/* Frees an explicit block of the heap (neap_malloc and its family) that a dying object owns. NULL is nothing. Only within the
 * destructor that was given the releaser. */
static inline void neap_release(neap_releaser *releaser, void *block) {
    if (block != NULL) {
        releaser->neap_private_release(releaser, block);
    }
}

/* Called once when an object dies, within a stop of the program, so it should be short. The objects that it refers to may be dead
 * already: it looks at nothing but the object's own bytes. It may free blocks by neap_release and call no other function of the
 * heap. It can't bring the object back (a finalizer can). */
typedef void (*neap_destroy_fn)(void *object, neap_releaser *releaser, void *data);

/* How the references of a type lie. */
typedef enum neap_shape {
    /* A fixed part with some references: what is done with such an object is done at once, so they are few (a thousand at most). */
    NEAP_PLAIN = 0,
    /* A fixed part, and behind it any number of slots with references. Large arrays are worked on in slices. */
    NEAP_ARRAY = 1,
    /* No strong references; weak ones, in the fixed part. May have slots of bytes (strings, numbers), which nobody looks at. */
    NEAP_LEAF = 2
} neap_shape;

/* Describes a type. All offsets are in bytes, multiples of 8, and each is that of a whole word. What the lists point to is copied. */
typedef struct neap_type_info {
    size_t struct_size;
    /* For reports; copied. */
    const char *name;
    neap_shape shape;
    /* Must be 0. */
    uint32_t reserved;
    /* Bytes of the fixed part, the header among them: at least 8. The slots begin there. */
    size_t size;
    /* Offsets of the strong references in the fixed part (8 or more; each stands within the fixed part), and how many there are. */
    const uint32_t *offsets;
    size_t offset_count;
    /* The same of the weak references. Read them by neap_weak_get, write them by neap_weak_set. */
    const uint32_t *weak_offsets;
    size_t weak_offset_count;
    /* Arrays, and leaves with slots: the bytes of a slot (arrays: a multiple of 8, at least 8; 0 for none). */
    size_t stride;
    /* The offset of a size_t of the fixed part with the number of slots: neap_alloc_array writes it, and nobody changes it later.
     * Arrays must have one; a leaf may do without (0). */
    size_t length_offset;
    /* Offsets of the strong and of the weak references within a slot. */
    const uint32_t *slot_offsets;
    size_t slot_offset_count;
    const uint32_t *slot_weak_offsets;
    size_t slot_weak_offset_count;
    /* Visits what no map has, or NULL. For an array: of its slots. */
    neap_trace_fn trace;
    /* Or NULL. Objects of types with a destructor are dearer to allocate and to free. */
    neap_destroy_fn destroy;
    /* Handed to both. */
    void *data;
} neap_type_info;

static inline neap_type_info neap_type_info_default(const char *name, neap_shape shape, size_t size) {
    neap_type_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    info.name = name;
    info.shape = shape;
    info.size = size;
    return info;
}

/* Adds a type. At most NEAP_TYPES_END - NEAP_TYPES_FIRST; they last as long as the heap. Errors: NEAP_INVALID (the description contradicts itself),
 * NEAP_VERSION, NEAP_TYPES_FULL, NEAP_BUSY. Cost: in proportion to the lists. */
neap_error neap_type_new(neap_heap *heap, const neap_type_info *info, neap_type *type);

/* The name of a type; NULL if there is none of that number. Valid until the process ends. Constant. */
const char *neap_type_name(neap_heap *heap, neap_type type);

/* ---- allocation. Never collects: what was reachable stays, and NULL is the answer if the limit is reached. `heap` is not tested for NULL. */

/* A new object of `size` bytes (at least those of the type; more for a leaf with slots), its header written, all else 0. NULL and
 * neap_last_error: NEAP_OUT_OF_MEMORY, NEAP_TYPE (also for arrays), NEAP_SIZE, NEAP_BUSY. Cost: constant, and the clearing; the system may be asked
 * for pages now and then. */
void *neap_alloc(neap_heap *heap, neap_type type, size_t size);

/* The same, but only the header is written. All other bytes that the heap is told of must be written before the next safepoint. */
void *neap_alloc_uninit(neap_heap *heap, neap_type type, size_t size);

/* A new object of a type with slots, `length` of them, all 0; the length is written. NULL and neap_last_error as above (NEAP_TYPE if
 * the type has no slots, NEAP_SIZE if the object would be larger than there are addresses). */
void *neap_alloc_array(neap_heap *heap, neap_type type, size_t length);

/* ---- writes */

/* What follows LOGGED in the barrier's test; call those below. */
void neap_private_barrier_object(neap_heap *heap, void *object);
void neap_private_barrier_at(neap_heap *heap, void *object, const void *address);
void neap_private_barrier_slots(neap_heap *heap, void *object, size_t first, size_t count);

static inline int neap_private_needs_barrier(const void *object) {
    return (((const neap_header *)object)->parts.neap_private_flags & NEAP_PRIVATE_LOGGED) == 0;
}

/* Before strong references of a plain object are written, any of them, with no safepoint between. (Of an array: before any of its
 * slots and fixed fields; that costs its length.) Cost: a test, after the first write in an epoch; the first records the references of the
 * object. A leaf needs none. */
static inline void neap_barrier(neap_heap *heap, void *object) {
    if (neap_private_needs_barrier(object)) {
        neap_private_barrier_object(heap, object);
    }
}

/* Before the strong reference at `address`, inside of `object`, is written, with no safepoint between. For any type. Cost: a test; for an
 * array of 512 bytes or more a call, since its writes are recorded slot by slot. */
static inline void neap_barrier_at(neap_heap *heap, void *object, const void *address) {
    if (neap_private_needs_barrier(object)) {
        neap_private_barrier_at(heap, object, address);
    }
}

/* Before the slots `first` to `first + count` of an array are written, or moved about within it. Slots that it has not are
 * ignored. Cost: a test, or in proportion to `count`. */
static inline void neap_barrier_slots(neap_heap *heap, void *object, size_t first, size_t count) {
    if (neap_private_needs_barrier(object)) {
        neap_private_barrier_slots(heap, object, first, count);
    }
}

/* Stores a word into the strong field or slot at `address`, inside of `object`. The cost is that of neap_barrier_at. */
static inline void neap_store(neap_heap *heap, void *object, void *address, const void *word) {
    neap_barrier_at(heap, object, address);
    memcpy(address, &word, sizeof word);
}

/* ---- root variables: few, and there for long. Each is looked at in every epoch end. */

/* The word in `*variable` is a root until neap_root_remove; the variable is read at safepoints and written by nobody but the program.
 * Errors: NEAP_INVALID, NEAP_BUSY. Constant. */
neap_error neap_root_add(neap_heap *heap, void **variable);

/* Errors: NEAP_INVALID, NEAP_ROOT, NEAP_BUSY. Cost: in proportion to the number of root variables. */
neap_error neap_root_remove(neap_heap *heap, void **variable);

/* Visits roots that stand elsewhere, by neap_visit: at each epoch end all of them, in the same order and empty ones too, so that what has not
 * changed costs least. */
typedef void (*neap_roots_fn)(neap_visitor *visitor, void *data);

/* Sets the root visitor, or takes it away (NULL). Errors: NEAP_INVALID, NEAP_BUSY. Constant. */
neap_error neap_set_root_visitor(neap_heap *heap, neap_roots_fn visit, void *data);

/* ---- locals: a stack of words that are roots, in scopes. However deep it is, an epoch end looks only at what was written since the last
 * one, from the lowest place on that was. Cheap enough for every call of a function, or for the stack of an interpreter. */

/* A local: the place of a word on the stack, good until its scope is closed. */
typedef struct neap_private_local *neap_local;
/* How many locals there were when the scope was opened. */
typedef size_t neap_scope;

/* The first bytes of a heap. */
struct neap_private_face {
    const uint32_t *poll;
    void **base;
    void **top;
    void **limit;
    void **low;
};

static inline struct neap_private_face *neap_private_face_of(neap_heap *heap) {
    return (struct neap_private_face *)(void *)heap;
}

/* Opens a scope. Constant: a few instructions, as all that follows here. */
static inline neap_scope neap_scope_open(neap_heap *heap) {
    struct neap_private_face *face = neap_private_face_of(heap);
    return (size_t)(face->top - face->base);
}

/* Closes a scope, and those that were opened after it: their locals are gone. Errors: NEAP_SCOPE (there are fewer locals than
 * when it was opened: it was closed before). */
static inline neap_error neap_scope_close(neap_heap *heap, neap_scope scope) {
    struct neap_private_face *face = neap_private_face_of(heap);
    if (scope > (size_t)(face->top - face->base)) {
        return NEAP_SCOPE;
    }
    face->top = face->base + scope;
    if (face->top < face->low) {
        face->low = face->top;
    }
    return NEAP_OK;
}

/* A new local with that word, in the innermost scope. NULL if there are as many as there may be; neap_last_error does not tell of it. */
static inline neap_local neap_local_new(neap_heap *heap, const void *word) {
    struct neap_private_face *face = neap_private_face_of(heap);
    void **place = face->top;
    if (place == face->limit) {
        return NULL;
    }
    memcpy(place, &word, sizeof word);
    face->top = place + 1;
    return (neap_local)(void *)place;
}

/* The word of a local. */
static inline void *neap_local_get(neap_local local) {
    return *(void **)(void *)local;
}

/* Gives a local, of whatever scope that is open, another word. */
static inline void neap_local_set(neap_heap *heap, neap_local local, const void *word) {
    struct neap_private_face *face = neap_private_face_of(heap);
    void **place = (void **)(void *)local;
    memcpy(place, &word, sizeof word);
    if (place < face->low) {
        face->low = place;
    }
}

/* How many locals there are. */
static inline size_t neap_local_count(neap_heap *heap) {
    return neap_scope_open(heap);
}

/* The local number `index`, from the bottom on; NULL if there is none. */
static inline neap_local neap_local_at(neap_heap *heap, size_t index) {
    struct neap_private_face *face = neap_private_face_of(heap);
    return index < (size_t)(face->top - face->base) ? (neap_local)(void *)(face->base + index) : NULL;
}

/* ---- handles: roots that are many, or come and go in any order. They cost where they change, and nothing at an epoch end. */

typedef struct neap_handle neap_handle;

/* A handle that holds `object`. Errors: NEAP_INVALID (no reference), NEAP_BUSY. Constant: two small allocations. */
neap_error neap_handle_new(neap_heap *heap, void *object, neap_handle **handle);

/* The object that a handle holds. Errors: NEAP_INVALID, NEAP_HANDLE. Constant. */
neap_error neap_handle_get(neap_heap *heap, const neap_handle *handle, void **object);

/* Lets the handle hold another object. Errors: NEAP_INVALID, NEAP_HANDLE, NEAP_BUSY. Constant. */
neap_error neap_handle_set(neap_heap *heap, neap_handle *handle, void *object);

/* Frees a handle: from any thread, at any time, after its heap too. NULL is nothing. Its object lives on at least to the next epoch end.
 * Cost: a lock. */
void neap_handle_free(neap_handle *handle);

/* ---- safepoints */

#define NEAP_PRIVATE_POLL_COLLECT 1u

/* Whether the heap wants neap_safepoint to be called. To be asked often, in loops and calls above all: bounded stops rest on that. Cost:
 * two loads. */
static inline int neap_wants_safepoint(neap_heap *heap) {
    const uint32_t *poll = neap_private_face_of(heap)->poll;
#if defined(__GNUC__) || defined(__clang__)
    return (__atomic_load_n(poll, __ATOMIC_RELAXED) & NEAP_PRIVATE_POLL_COLLECT) != 0;
#else
    return (*(const volatile uint32_t *)poll & NEAP_PRIVATE_POLL_COLLECT) != 0;
#endif
}

/* Does what is due: an epoch end, or a slice of work. Errors: NEAP_INVALID, NEAP_BUSY. Cost: about a quarter of the pause goal at most
 * where the system is idle, and never more than a fixed amount of work, however large the heap, if the program has come when it was asked to. */
neap_error neap_safepoint(neap_heap *heap);

/* Works for about `budget_ns` nanoseconds, a second at most, after an epoch end: for a program that has time to spare. `*done` (which may be NULL)
 * becomes 1 if a cycle ended, or there is no need of one. Errors: NEAP_INVALID, NEAP_BUSY. */
neap_error neap_step(neap_heap *heap, uint64_t budget_ns, int *done);

/* A whole collection: all garbage of now is freed, the finalizers that are due are queued, and free memory goes back to the system. Errors:
 * NEAP_INVALID, NEAP_BUSY. Cost: in proportion to the heap, in one stop. */
neap_error neap_collect(neap_heap *heap);

/* Whether (1) the last safepoint has left less before the limit than small requests should have, though it has collected everything; asking
 * sets it back. The program does well to raise its own error of memory then, while there is room to handle it. Constant. */
int neap_exhausted(neap_heap *heap);

/* ---- weak references: words at the weak offsets of an object, which keep nothing alive. No barrier, no copying by memcpy:
 * only these. `heap` is not tested for NULL. */

/* Writes a word to the weak place at `address`. Constant. */
void neap_weak_set(neap_heap *heap, void *address, void *word);

/* Reads it: NULL if the object is gone, or on its way. What is read may be used like any reference. Constant. */
void *neap_weak_get(neap_heap *heap, const void *address);

/* Copies one weak place to another, as when a table grows: nothing is read, so nothing is kept from dying. What is gone becomes NULL, which is
 * the answer 0; else it is 1. Constant. */
int neap_weak_copy(neap_heap *heap, void *to, const void *from);

/* ---- weak maps (ephemerons): an object of the heap, whose entries have a weak key and a value that lives while the key does, even if the
 * value refers to the key. Keys are compared by identity. */

/* A new map, an object like any other, to be kept where references are kept. NULL and neap_last_error: NEAP_OUT_OF_MEMORY, NEAP_BUSY. Constant. */
void *neap_weak_map_new(neap_heap *heap);

/* Sets the value (any word) of a key (a reference). Errors: NEAP_INVALID, NEAP_TYPE (no weak map), NEAP_OUT_OF_MEMORY (the map is as it was),
 * NEAP_BUSY. Cost: constant, but when the map grows in proportion to it. */
neap_error neap_weak_map_set(neap_heap *heap, void *map, void *key, void *value);

/* The value of a key. Errors: NEAP_INVALID, NEAP_TYPE, NEAP_NOT_FOUND (then `*value` is NULL). Constant. */
neap_error neap_weak_map_get(neap_heap *heap, void *map, void *key, void **value);

/* Takes a key out. Errors: NEAP_INVALID, NEAP_TYPE, NEAP_NOT_FOUND, NEAP_BUSY. Constant. */
neap_error neap_weak_map_remove(neap_heap *heap, void *map, void *key);

/* The next entry whose key is not gone, in no order, from `*cursor` on, which is 0 at first and changed by this. Between two calls entries may be
 * changed and removed; if some are added, the others may come twice or not at all. Errors: NEAP_INVALID, NEAP_TYPE, NEAP_NOT_FOUND (there are no more). Constant in the mean. */
neap_error neap_weak_map_next(neap_heap *heap, void *map, size_t *cursor, void **key, void **value);

/* ---- finalizers: an object that asks for it is handed out once more when nothing refers to it. The program polls the queue, after safepoints. */

/* The object is to be finalized when it becomes unreachable, once. Errors: NEAP_INVALID, NEAP_BUSY. Constant. */
neap_error neap_set_finalizer(neap_heap *heap, void *object);

/* The same for an object whose finalizer is running: it is held until the program has allocated as much as is in use now. (Counting
 * finds garbage at once: an object whose finalizer sets it again would come round with every epoch otherwise.) */
neap_error neap_rearm_finalizer(neap_heap *heap, void *object);

/* The next object to be finalized, NULL if there is none. It is the program's until the next safepoint, unless it is stored somewhere: then it
 * lives on. Constant. */
void *neap_next_finalizer(neap_heap *heap);

/* How many objects neap_next_finalizer has to hand out. Constant. */
size_t neap_finalizers_waiting(neap_heap *heap);

/* Queues all objects that still have a finalizer, last set first: for the end of the program. Errors: NEAP_INVALID, NEAP_BUSY. Cost: in proportion to
 * their number. */
neap_error neap_queue_all_finalizers(neap_heap *heap);

/* ---- figures */

/* Bytes, and running totals since the heap was made. Young objects count from the end of their epoch on. */
typedef struct neap_stats {
    size_t struct_size;
    /* Bytes in use: live objects, those allocated since the last epoch end, explicit blocks. */
    size_t used_bytes;
    /* Bytes taken from the system: now, at most, and those of now that are free. */
    size_t mapped_bytes;
    size_t peak_bytes;
    size_t idle_bytes;
    /* SIZE_MAX for none. */
    size_t limit_bytes;
    /* Bytes of explicit blocks, some of the heap's own among them. */
    size_t explicit_bytes;
    uint64_t allocated_objects;
    uint64_t allocated_bytes;
    /* Reclaimed: young ones, which cost nothing; those whose count fell to 0; members of cycles. */
    uint64_t young_objects;
    uint64_t young_bytes;
    uint64_t counted_objects;
    uint64_t counted_bytes;
    uint64_t cyclic_objects;
    uint64_t cyclic_bytes;
    /* Epoch ends, cycles of marking, finalizers handed out, destructors run. */
    uint64_t epochs;
    uint64_t cycles;
    uint64_t finalizers;
    uint64_t destructors;
    /* Stops of the program; those that went beyond the collector's share of the time, because the heap would have outgrown its bounds. */
    uint64_t stops;
    uint64_t urgent_stops;
    /* The most units of work in one stop, whole collections and steps aside. */
    uint64_t most_units;
} neap_stats;

/* Fills in as much as `stats->struct_size` has room for; the caller sets that. Errors: NEAP_INVALID, NEAP_VERSION, NEAP_BUSY. Constant. */
neap_error neap_get_stats(neap_heap *heap, neap_stats *stats);

/* What the program waited for. */
typedef enum neap_cause {
    NEAP_EPOCH_END = 0,
    /* Slices: of the release queue, of marking, of the sweep, of the cleaning of weak references, of the hand-over of finalizers. */
    NEAP_RELEASE = 1,
    NEAP_MARK = 2,
    NEAP_SWEEP = 3,
    NEAP_CLEAN = 4,
    NEAP_FINALIZE = 5,
    /* What the program has asked for: whole collections, steps. */
    NEAP_WHOLE = 6,
    /* The release of all that was known to be dead, because a request near the limit would have been refused. */
    NEAP_RELIEF = 7,
    /* A stop from its beginning to its end, all causes together. */
    NEAP_STOP = 8
} neap_cause;

/* The figures of one cause, in nanoseconds. Quantiles are exact to 1 %, the maximum and the total are exact. */
typedef struct neap_pauses {
    size_t struct_size;
    uint64_t count;
    uint64_t p50_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t max_ns;
    uint64_t total_ns;
} neap_pauses;

/* The pauses of one cause so far; zeros if there was none. The caller sets `pauses->struct_size`. Errors: NEAP_INVALID, NEAP_VERSION, NEAP_BUSY.
 * Cost: about a microsecond. */
neap_error neap_get_pauses(neap_heap *heap, neap_cause cause, neap_pauses *pauses);

/* The name of a cause, in static memory; NULL for any other number. Constant. */
const char *neap_cause_name(neap_cause cause);

/* Is shown an object that has survived an epoch end, with its bytes. */
typedef void (*neap_object_fn)(void *object, neap_type type, size_t bytes, void *data);

/* Visits all objects that have survived an epoch end and are not known to be dead, the heap's own among them. Errors: NEAP_INVALID, NEAP_BUSY. Cost:
 * in proportion to the heap. */
neap_error neap_each_object(neap_heap *heap, neap_object_fn visit, void *data);

/* What keeps an object alive from outside: a root variable, the root visitor or the locals; a handle; that it waits for its finalizer. */
typedef enum neap_root { NEAP_ROOT_LISTED = 0, NEAP_ROOT_HANDLE = 1, NEAP_ROOT_FINALIZER = 2 } neap_root;

/* Where a reference stands. */
typedef enum neap_edge {
    /* The n-th strong reference of a plain object. */
    NEAP_EDGE_FIELD = 0,
    /* A strong reference of an array: its fixed references are the slots 0 and on, those of its own slots follow. */
    NEAP_EDGE_SLOT = 1,
    /* A local, by number. */
    NEAP_EDGE_LOCAL = 2,
    /* The value, and the key, of an entry of a weak map. */
    NEAP_EDGE_VALUE = 3,
    NEAP_EDGE_KEY = 4,
    /* A weak reference, with the number of its slot as above; 0 in what is no array. */
    NEAP_EDGE_WEAK = 5
} neap_edge;

/* Is shown the graph; members that are NULL are not called. */
typedef struct neap_graph_visitor {
    size_t struct_size;
    void (*root)(neap_root root, void *object, void *data);
    void (*object)(void *object, neap_type type, size_t bytes, void *data);
    void (*edge)(void *from, neap_edge edge, size_t index, void *to, void *data);
    void *data;
} neap_graph_visitor;

/* Shows all roots, then all objects that have survived an epoch end, each with its edges. Where a safepoint could be. Errors: NEAP_INVALID, NEAP_VERSION,
 * NEAP_BUSY. Cost: in proportion to the heap. */
neap_error neap_visit_graph(neap_heap *heap, const neap_graph_visitor *visitor);

/* What a clean audit has seen. */
typedef struct neap_audit_report {
    size_t struct_size;
    size_t objects;
    size_t bytes;
    /* Objects that are dead, but kept for the weak references that may name them. */
    size_t corpses;
    /* Counted references; decrements that wait to be applied. */
    uint64_t references;
    uint64_t decrements;
} neap_audit_report;

/* Checks the whole heap: counts, lists, weak references, and that marking can find all that it should. Where a safepoint could be. A barrier that was
 * forgotten shows as a wrong count of an object, whose type is named. `report` may be NULL, and so may `message`, which gets a text of `size` bytes at
 * most, ended by 0 and empty if all is well. Errors: NEAP_AUDIT, NEAP_INVALID, NEAP_VERSION, NEAP_BUSY. Cost: about a microsecond for each object. */
neap_error neap_audit(neap_heap *heap, neap_audit_report *report, char *message, size_t size);

/* ---- explicit blocks: of the same memory, under the same limit, neither scanned nor freed by the collector. At multiples of 16, uninitialised. NULL and
 * neap_last_error: NEAP_OUT_OF_MEMORY, NEAP_INVALID, NEAP_BUSY. */

/* A block of `size` bytes; 0 is a block too. Constant. */
void *neap_malloc(neap_heap *heap, size_t size);

/* A block of `count` times `size` bytes, all 0. Cost: the clearing. */
void *neap_calloc(neap_heap *heap, size_t count, size_t size);

/* Makes a block `size` bytes long, in place or elsewhere; NULL as `block` is a new one. If the answer is NULL the block is as it was. Cost: the copy. */
void *neap_realloc(neap_heap *heap, void *block, size_t size);

/* A block at a multiple of `align`, a power of two up to 2 MiB (else NEAP_INVALID). Constant. */
void *neap_aligned_alloc(neap_heap *heap, size_t align, size_t size);

/* Frees a block. NULL is nothing. Errors: NEAP_INVALID, NEAP_BUSY. Constant. */
neap_error neap_free(neap_heap *heap, void *block);

/* The same for any address: what is no block that is allocated is NEAP_BLOCK, and nothing happens. Constant, about twice that of neap_free. */
neap_error neap_free_checked(neap_heap *heap, void *block);

/* The bytes that a block really has, at least those that were asked for; 0 for NULL. Constant. */
size_t neap_usable_size(neap_heap *heap, const void *block);

#ifdef __cplusplus
}
#endif

#endif /* NEAP_GC_H */

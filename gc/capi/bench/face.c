/* The programs of raw.rs on the C face, step by step the same: what the face costs is the difference.
 *
 *     gc/capi/bench/compare.sh
 *
 * The heaps are under stress, so that what the collector does depends on the program alone and on no clock: a safepoint after so many
 * objects, each an epoch end, each 16th a whole collection. With the argument `timed` they work as they do for their users.
 */

#include "neap_gc.h"

#include <stdio.h>
#include <stdlib.h>

static neap_heap *heap;

static void fail(void) {
    fputs("out of memory\n", stderr);
    exit(1);
}

static inline void *new_object(neap_type type, size_t size) {
    void *object = neap_alloc_uninit(heap, type, size);
    if (object == NULL) {
        fail();
    }
    return object;
}

enum { EPOCH = 8192, STRESS = 16 };
/* Bits of the number of an object that are 0 where a safepoint is. */
static uint64_t between = EPOCH - 1;

static inline void safepoint(uint64_t n) {
    if ((n & between) == 0 && neap_wants_safepoint(heap)) {
        neap_safepoint(heap);
    }
}

static neap_type plain_type(const char *name, size_t size, const uint32_t *offsets, size_t count) {
    neap_type type;
    neap_type_info info = neap_type_info_default(name, NEAP_PLAIN, size);
    info.offsets = offsets;
    info.offset_count = count;
    if (neap_type_new(heap, &info, &type) != NEAP_OK) {
        fail();
    }
    return type;
}

/* ---- lists: short ones that die young or soon, a long one that dies at once */

typedef struct cell {
    neap_header header;
    uint64_t number;
    struct cell *next;
} cell;

static uint64_t lists(void) {
    static const uint32_t offsets[] = {offsetof(cell, next)};
    neap_type type = plain_type("cell", sizeof(cell), offsets, 1);
    void *root = NULL;
    uint64_t sum = 0;
    neap_root_add(heap, &root);
    for (uint64_t n = 0; n < 3000000; n++) {
        uint64_t length = n < 1000000 ? 100 : n < 2000000 ? 30000 : 200000;
        cell *c = (cell *)new_object(type, sizeof(cell));
        c->number = n;
        c->next = n % length != 0 ? (cell *)root : NULL;
        root = c;
        sum += c->next != NULL ? c->next->number : 0;
        safepoint(n);
    }
    root = NULL;
    neap_collect(heap);
    return sum;
}

/* ---- trees with parents */

typedef struct node {
    neap_header header;
    struct node *left;
    struct node *right;
    struct node *parent;
} node;

static node *tree(neap_type type, unsigned depth) {
    node *n = (node *)new_object(type, sizeof(node));
    n->parent = NULL;
    if (depth == 0) {
        n->left = n->right = NULL;
        return n;
    }
    n->left = NULL;
    n->right = NULL;
    node *left = tree(type, depth - 1);
    neap_store(heap, n, &n->left, left);
    neap_store(heap, left, &left->parent, n);
    node *right = tree(type, depth - 1);
    neap_store(heap, n, &n->right, right);
    neap_store(heap, right, &right->parent, n);
    return n;
}

static uint64_t count(const node *n) {
    return n == NULL ? 0 : 1 + count(n->left) + count(n->right);
}

static uint64_t trees(void) {
    static const uint32_t offsets[] = {offsetof(node, left), offsetof(node, right), offsetof(node, parent)};
    neap_type type = plain_type("node", sizeof(node), offsets, 3);
    void *long_lived = NULL, *root = NULL;
    uint64_t sum = 0;
    neap_root_add(heap, &long_lived);
    neap_root_add(heap, &root);
    long_lived = tree(type, 15);
    for (int round = 0; round < 60; round++) {
        root = tree(type, 14);
        safepoint(0);
        sum += count((node *)root);
        /* The subtree goes over to the long-lived tree. */
        node *top = (node *)long_lived, *sub = ((node *)root)->left;
        neap_store(heap, top, &top->left, sub);
        neap_store(heap, sub, &sub->parent, top);
        safepoint(0);
    }
    sum += count((node *)long_lived);
    long_lived = root = NULL;
    neap_collect(heap);
    return sum;
}

/* ---- a weak cache, and a ring of what was used last */

typedef struct entry {
    neap_header header;
    uint64_t key;
    struct entry *other;
} entry;

typedef struct table {
    neap_header header;
    size_t length;
    void *slots[];
} table;

enum { CACHE = 1 << 16, RING = 1 << 13 };

static uint64_t cache(void) {
    static const uint32_t offsets[] = {offsetof(entry, other)}, first[] = {0};
    neap_type type = plain_type("entry", sizeof(entry), offsets, 1), weak_type, strong_type;
    neap_type_info info = neap_type_info_default("cache", NEAP_ARRAY, sizeof(table));
    info.length_offset = offsetof(table, length);
    info.stride = sizeof(void *);
    info.slot_weak_offsets = first;
    info.slot_weak_offset_count = 1;
    if (neap_type_new(heap, &info, &weak_type) != NEAP_OK) {
        fail();
    }
    info.name = "ring";
    info.slot_weak_offset_count = 0;
    info.slot_offsets = first;
    info.slot_offset_count = 1;
    if (neap_type_new(heap, &info, &strong_type) != NEAP_OK) {
        fail();
    }
    table *weak = (table *)neap_alloc_array(heap, weak_type, CACHE), *ring = (table *)neap_alloc_array(heap, strong_type, RING);
    void *roots[2] = {weak, ring};
    neap_root_add(heap, &roots[0]);
    neap_root_add(heap, &roots[1]);
    uint64_t random = 88172645463325252, hits = 0;
    for (uint64_t n = 0; n < 2000000; n++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t key = random % CACHE;
        entry *e = (entry *)neap_weak_get(heap, &weak->slots[key]);
        if (e == NULL) {
            e = (entry *)new_object(type, sizeof(entry));
            e->key = key;
            e->other = NULL;
            neap_weak_set(heap, &weak->slots[key], e);
        } else {
            hits += e->key == key;
        }
        neap_store(heap, ring, &ring->slots[n % RING], e);
        safepoint(n);
    }
    roots[0] = roots[1] = NULL;
    neap_collect(heap);
    /* The slices of a pass end a little earlier in a heap with locals: so an entry may be there a little longer. */
    return hits > 200000;
}

int main(int argc, char **argv) {
    neap_config config = neap_config_default();
    config.stress = STRESS;
    if (argc > 2) {
        config.stress = 0;
        between = 0;
    }
    if (neap_heap_new(&config, &heap) != NEAP_OK) {
        fail();
    }
    const char *name = argc > 1 ? argv[1] : "";
    uint64_t result = strcmp(name, "lists") == 0 ? lists() : strcmp(name, "trees") == 0 ? trees() : cache();
    printf("%llu\n", (unsigned long long)result);
    neap_heap_free(heap);
    return 0;
}

/* Every function of the header, what it is for and what misuse it finds. Arguments: stress, audit, poison, as for neap_config. */

#include "neap_gc.h"

#include <stdio.h>
#include <stdlib.h>

static int failures;

#define CHECK(condition)                                                           \
    do {                                                                           \
        if (!(condition)) {                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);        \
            failures++;                                                            \
        }                                                                          \
    } while (0)

/* ---- the types */

/* Two strong references, a number, a weak reference. */
typedef struct node {
    neap_header header;
    void *left;
    void *right;
    uintptr_t number;
    void *weak;
} node;

/* A fixed part with a reference and a weak one; slots of a number, a strong and a weak reference. */
typedef struct slot {
    uint64_t number;
    void *strong;
    void *weak;
} slot;
typedef struct table {
    neap_header header;
    size_t length;
    void *owner;
    void *cache;
    slot slots[];
} table;

/* Slots that are words. */
typedef struct vector {
    neap_header header;
    size_t length;
    void *slots[];
} vector;

typedef struct text {
    neap_header header;
    size_t length;
    char bytes[];
} text;

/* Traced by a function: the reference stands in an explicit block, which the destructor frees. */
typedef struct box {
    neap_header header;
    void **block;
} box;

/* An array that is traced by a function. */
typedef struct traced {
    neap_header header;
    size_t length;
    void *owner;
    void *slots[];
} traced;

static neap_heap *heap;
static neap_type node_type, table_type, vector_type, text_type, box_type, traced_type;
static int destroyed, traced_calls, busy_answers;
/* Holds a node to the end, and is freed after the heap. */
static neap_handle *kept;

static void trace_box(const void *object, size_t from, size_t to, neap_visitor *visitor, void *data) {
    const box *this = (const box *)object;
    CHECK(from == 0 && to == 0 && data == &destroyed);
    traced_calls++;
    if (this->block != NULL) {
        neap_visit(visitor, *this->block);
    }
    neap_visit(visitor, NULL);
    neap_visit(visitor, (void *)(uintptr_t)7);
}

static void destroy_box(void *object, neap_releaser *releaser, void *data) {
    box *this = (box *)object;
    CHECK(data == &destroyed);
    destroyed++;
    neap_release(releaser, this->block);
    neap_release(releaser, NULL);
    /* All else is refused. */
    busy_answers += neap_alloc(heap, node_type, sizeof(node)) == NULL;
    busy_answers += neap_alloc_uninit(heap, node_type, sizeof(node)) == NULL;
    busy_answers += neap_alloc_array(heap, vector_type, 3) == NULL;
    busy_answers += neap_malloc(heap, 10) == NULL;
    busy_answers += neap_safepoint(heap) == NEAP_BUSY;
    busy_answers += neap_collect(heap) == NEAP_BUSY;
    busy_answers += neap_free(heap, NULL) == NEAP_BUSY;
    busy_answers += neap_heap_free(heap) == NEAP_BUSY;
    busy_answers += neap_weak_map_new(heap) == NULL;
    busy_answers += neap_last_error(heap) == NEAP_BUSY;
}

static void trace_slots(const void *object, size_t from, size_t to, neap_visitor *visitor, void *data) {
    const traced *this = (const traced *)object;
    CHECK(from < to && to <= this->length && data == NULL);
    for (size_t i = from; i < to; i++) {
        neap_visit(visitor, this->slots[i]);
    }
}

static void make_types(void) {
    static const uint32_t node_strong[] = {offsetof(node, left), offsetof(node, right)};
    static const uint32_t node_weak[] = {offsetof(node, weak)};
    neap_type_info info = neap_type_info_default("node", NEAP_PLAIN, sizeof(node));
    info.offsets = node_strong;
    info.offset_count = 2;
    info.weak_offsets = node_weak;
    info.weak_offset_count = 1;
    CHECK(neap_type_new(heap, &info, &node_type) == NEAP_OK && node_type == NEAP_TYPES_FIRST);

    static const uint32_t table_strong[] = {offsetof(table, owner)};
    static const uint32_t table_weak[] = {offsetof(table, cache)};
    static const uint32_t slot_strong[] = {offsetof(slot, strong)};
    static const uint32_t slot_weak[] = {offsetof(slot, weak)};
    info = neap_type_info_default("table", NEAP_ARRAY, sizeof(table));
    info.offsets = table_strong;
    info.offset_count = 1;
    info.weak_offsets = table_weak;
    info.weak_offset_count = 1;
    info.length_offset = offsetof(table, length);
    info.stride = sizeof(slot);
    info.slot_offsets = slot_strong;
    info.slot_offset_count = 1;
    info.slot_weak_offsets = slot_weak;
    info.slot_weak_offset_count = 1;
    CHECK(neap_type_new(heap, &info, &table_type) == NEAP_OK);

    static const uint32_t first[] = {0};
    info = neap_type_info_default("vector", NEAP_ARRAY, sizeof(vector));
    info.length_offset = offsetof(vector, length);
    info.stride = sizeof(void *);
    info.slot_offsets = first;
    info.slot_offset_count = 1;
    CHECK(neap_type_new(heap, &info, &vector_type) == NEAP_OK);

    info = neap_type_info_default("text", NEAP_LEAF, sizeof(text));
    info.length_offset = offsetof(text, length);
    info.stride = 1;
    CHECK(neap_type_new(heap, &info, &text_type) == NEAP_OK);

    info = neap_type_info_default("box", NEAP_PLAIN, sizeof(box));
    info.trace = trace_box;
    info.destroy = destroy_box;
    info.data = &destroyed;
    CHECK(neap_type_new(heap, &info, &box_type) == NEAP_OK);

    static const uint32_t traced_strong[] = {offsetof(traced, owner)};
    info = neap_type_info_default("traced", NEAP_ARRAY, sizeof(traced));
    info.offsets = traced_strong;
    info.offset_count = 1;
    info.length_offset = offsetof(traced, length);
    info.stride = sizeof(void *);
    info.trace = trace_slots;
    CHECK(neap_type_new(heap, &info, &traced_type) == NEAP_OK);

    CHECK(strcmp(neap_type_name(heap, node_type), "node") == 0);
    CHECK(strcmp(neap_type_name(heap, NEAP_TYPE_WEAK_MAP), "weak map") == 0);
    CHECK(neap_type_name(heap, 255) == NULL && neap_type_name(NULL, 0) == NULL);
}

/* Descriptions that contradict themselves. */
static void wrong_types(void) {
    static const uint32_t good[] = {8}, header[] = {0}, odd[] = {12}, far[] = {16}, twice[] = {8, 8};
    neap_type type = 77;
    neap_type_info right = neap_type_info_default("wrong", NEAP_PLAIN, 16), info;
    right.offsets = good;
    right.offset_count = 1;

    const uint32_t *lists[] = {header, odd, far};
    for (int i = 0; i < 3; i++) {
        info = right;
        info.offsets = lists[i];
        CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    }
    info = right;
    info.offsets = NULL;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = right;
    info.size = 24;
    info.offsets = twice;
    info.offset_count = 2;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = right;
    info.weak_offsets = good;
    info.weak_offset_count = 1;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = right;
    info.name = NULL;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = right;
    info.size = 4;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = right;
    info.reserved = 1;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = right;
    info.shape = (neap_shape)3;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    /* A plain type has no slots, a leaf no strong references, an array a length and slots of words. */
    info = right;
    info.stride = 8;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = right;
    info.shape = NEAP_LEAF;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info = neap_type_info_default("wrong", NEAP_ARRAY, 16);
    info.stride = 8;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info.length_offset = 8;
    info.stride = 12;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info.stride = 0;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);
    info.stride = 8;
    info.offsets = good;
    info.offset_count = 1;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_INVALID);

    info = right;
    info.struct_size = 16;
    CHECK(neap_type_new(heap, &info, &type) == NEAP_VERSION);
    CHECK(neap_type_new(heap, NULL, &type) == NEAP_INVALID);
    CHECK(neap_type_new(heap, &right, NULL) == NEAP_INVALID);
    CHECK(neap_type_new(NULL, &right, &type) == NEAP_INVALID);
}

/* Structs of earlier and later versions. */
static void versions(void) {
    struct {
        neap_config config;
        uint64_t more[4];
    } later;
    memset(&later, 0xff, sizeof later);
    later.config = neap_config_default();
    later.config.struct_size = sizeof later;
    neap_heap *other = NULL;
    CHECK(neap_heap_new(&later.config, &other) == NEAP_OK && other != NULL);

    struct {
        neap_stats stats;
        uint64_t more[4];
    } stats;
    memset(&stats, 0xee, sizeof stats);
    stats.stats.struct_size = sizeof stats;
    CHECK(neap_get_stats(other, &stats.stats) == NEAP_OK);
    CHECK(stats.stats.limit_bytes == SIZE_MAX && stats.more[0] == 0xeeeeeeeeeeeeeeee && stats.stats.struct_size == sizeof stats);
    memset(&stats, 0xee, sizeof stats);
    stats.stats.struct_size = offsetof(neap_stats, mapped_bytes);
    CHECK(neap_get_stats(other, &stats.stats) == NEAP_OK);
    CHECK(stats.stats.used_bytes < SIZE_MAX / 2 && stats.stats.mapped_bytes == (size_t)0xeeeeeeeeeeeeeeee);
    stats.stats.struct_size = 4;
    CHECK(neap_get_stats(other, &stats.stats) == NEAP_VERSION);
    CHECK(neap_get_stats(other, NULL) == NEAP_INVALID && neap_get_stats(NULL, &stats.stats) == NEAP_INVALID);
    CHECK(neap_heap_free(other) == NEAP_OK);

    neap_config config = neap_config_default();
    config.struct_size = offsetof(neap_config, limit_bytes);
    /* What is behind is not looked at. */
    config.limit_bytes = 1;
    CHECK(neap_heap_new(&config, &other) == NEAP_OK);
    stats.stats.struct_size = sizeof stats.stats;
    CHECK(neap_get_stats(other, &stats.stats) == NEAP_OK && stats.stats.limit_bytes == SIZE_MAX);
    CHECK(neap_heap_free(other) == NEAP_OK);
    config.struct_size = 8;
    CHECK(neap_heap_new(&config, &other) == NEAP_VERSION && other == NULL);
    config = neap_config_default();
    config.abi_version = NEAP_ABI_VERSION + 1;
    CHECK(neap_heap_new(&config, &other) == NEAP_VERSION);
    config = neap_config_default();
    config.locals_max = SIZE_MAX / 2;
    CHECK(neap_heap_new(&config, &other) == NEAP_INVALID);
    CHECK(neap_heap_new(NULL, NULL) == NEAP_INVALID);
    CHECK(neap_heap_new(NULL, &other) == NEAP_OK);
    CHECK(neap_heap_free(other) == NEAP_OK && neap_heap_free(NULL) == NEAP_OK);
    CHECK(neap_abi_version() == NEAP_ABI_VERSION);
    CHECK(strcmp(neap_error_text(NEAP_OK), "no error") == 0);
    CHECK(strcmp(neap_error_text((neap_error)99), "an unknown error") == 0);
}

/* ---- helpers */

static node *new_node(uintptr_t number) {
    node *n = (node *)neap_alloc(heap, node_type, sizeof(node));
    CHECK(n != NULL && n->left == NULL && n->right == NULL && n->number == 0 && n->weak == NULL);
    n->number = number;
    return n;
}

static void safepoints(int count) {
    for (int i = 0; i < count; i++) {
        CHECK(neap_safepoint(heap) == NEAP_OK);
    }
}

typedef struct count {
    neap_type type;
    size_t objects;
} count;

static void count_object(void *object, neap_type type, size_t bytes, void *data) {
    count *c = (count *)data;
    CHECK(neap_type_of(object) == type && bytes >= sizeof(neap_header));
    c->objects += c->type == type;
}

/* How many of a type live, after a whole collection. */
static size_t living(neap_type type) {
    count c = {type, 0};
    CHECK(neap_collect(heap) == NEAP_OK);
    CHECK(neap_each_object(heap, count_object, &c) == NEAP_OK);
    return c.objects;
}

static void sound(void) {
    char message[256] = "?";
    neap_audit_report report;
    report.struct_size = sizeof report;
    CHECK(neap_audit(heap, &report, message, sizeof message) == NEAP_OK);
    CHECK(message[0] == 0 && report.struct_size == sizeof report);
    if (message[0] != 0) {
        fprintf(stderr, "%s\n", message);
    }
}

/* ---- the parts */

static void allocation(void) {
    CHECK(neap_alloc(heap, NEAP_TYPE_LOCALS, 1000) == NULL && neap_last_error(heap) == NEAP_TYPE);
    CHECK(neap_last_error(heap) == NEAP_OK);
    CHECK(neap_alloc(heap, 255, 1000) == NULL && neap_last_error(heap) == NEAP_TYPE);
    CHECK(neap_alloc(heap, vector_type, 1000) == NULL && neap_last_error(heap) == NEAP_TYPE);
    CHECK(neap_alloc(heap, node_type, sizeof(node) - 1) == NULL && neap_last_error(heap) == NEAP_SIZE);
    CHECK(neap_alloc_uninit(heap, node_type, 0) == NULL && neap_last_error(heap) == NEAP_SIZE);
    CHECK(neap_alloc_array(heap, node_type, 1) == NULL && neap_last_error(heap) == NEAP_TYPE);
    CHECK(neap_alloc_array(heap, NEAP_TYPE_WEAK_ENTRIES, 1) == NULL && neap_last_error(heap) == NEAP_TYPE);
    CHECK(neap_alloc_array(heap, vector_type, SIZE_MAX / 4) == NULL && neap_last_error(heap) == NEAP_SIZE);
    CHECK(neap_alloc_array(heap, vector_type, (size_t)1 << 59) == NULL && neap_last_error(heap) == NEAP_OUT_OF_MEMORY);
    CHECK(neap_last_error(NULL) == NEAP_INVALID);

    node *n = (node *)neap_alloc_uninit(heap, node_type, sizeof(node));
    CHECK(n != NULL && neap_type_of(n) == node_type && ((uintptr_t)n & 15) == 0 && n->header.parts.user == 0);
    memset((char *)n + sizeof(neap_header), 0, sizeof(node) - sizeof(neap_header));
    n->header.parts.user = 200;
    void *root = n;
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    safepoints(3);
    CHECK(n->header.parts.user == 200 && neap_type_of(n) == node_type);
    CHECK(neap_root_remove(heap, &root) == NEAP_OK);
    CHECK(neap_root_remove(heap, &root) == NEAP_ROOT);
    CHECK(neap_root_add(heap, NULL) == NEAP_INVALID && neap_root_add(NULL, &root) == NEAP_INVALID);

    text *t = (text *)neap_alloc_array(heap, text_type, 11);
    CHECK(t->length == 11);
    for (int i = 0; i < 11; i++) {
        CHECK(t->bytes[i] == 0);
    }
    t = (text *)neap_alloc(heap, text_type, sizeof(text) + 100);
    CHECK(t != NULL && t->length == 0);
    CHECK(neap_is_reference(t) && !neap_is_reference(NULL) && !neap_is_reference((void *)(uintptr_t)9));
}

/* Trees with parents, all churned: counting and cycles, through every kind of store. */
static void graphs(void) {
    CHECK(living(node_type) == 0);
    void *root = NULL;
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    for (uintptr_t round = 0; round < 2000; round++) {
        node *parent = new_node(round), *child = new_node(round + 1);
        neap_store(heap, parent, &parent->left, child);
        neap_store(heap, child, &child->right, parent);
        neap_store(heap, child, &child->left, (void *)(uintptr_t)(2 * round + 1));
        if (round % 3 == 0) {
            root = parent;
        } else if (root != NULL) {
            node *old = (node *)root;
            if (round % 3 == 1) {
                neap_store(heap, old, &old->right, parent);
            } else {
                neap_barrier(heap, old);
                old->right = child;
            }
        }
        if (neap_wants_safepoint(heap)) {
            CHECK(neap_safepoint(heap) == NEAP_OK);
        }
    }
    node *last = (node *)root;
    CHECK(last->number == 1998 && ((node *)last->left)->number == 1999);
    /* 1998 is a multiple of 3; what came after is in its right half. */
    CHECK(((node *)last->right)->number == 1999 && living(node_type) == 4);
    sound();
    CHECK(neap_root_remove(heap, &root) == NEAP_OK);
    CHECK(living(node_type) == 0);
}

static void arrays(void) {
    void *root = NULL;
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    static const size_t lengths[] = {0, 1, 5, 100, 3000, 20000};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        size_t length = lengths[l];
        vector *v = (vector *)neap_alloc_array(heap, vector_type, length);
        CHECK(v->length == length);
        root = v;
        for (size_t i = 0; i < length; i++) {
            CHECK(v->slots[i] == NULL);
        }
        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < length; i += length / 50 + 1) {
                neap_store(heap, v, &v->slots[i], new_node(i));
            }
            safepoints(2);
        }
        /* Moved by one, as a block. */
        if (length > 1) {
            neap_barrier_slots(heap, v, 0, length);
            memmove(v->slots, v->slots + 1, (length - 1) * sizeof(void *));
            v->slots[length - 1] = new_node(length);
            neap_barrier_slots(heap, v, length - 1, SIZE_MAX);
            safepoints(3);
            CHECK(((node *)v->slots[length - 1])->number == length);
            neap_barrier(heap, v);
            v->slots[0] = v;
        }
        CHECK(living(vector_type) == 1);
        sound();
    }

    /* New ones, small and large, are filled behind one barrier. */
    for (size_t length = 10; length < 100000; length *= 20) {
        vector *v = (vector *)neap_alloc_array(heap, vector_type, length);
        root = v;
        neap_barrier_slots(heap, v, 0, length);
        for (size_t i = 0; i < length; i += length / 10) {
            v->slots[i] = new_node(i);
        }
        CHECK(living(node_type) == 10 && ((node *)v->slots[length / 10])->number == length / 10);
        sound();
    }

    table *t = (table *)neap_alloc_array(heap, table_type, 40);
    root = t;
    safepoints(1);
    node *owner = new_node(1);
    neap_store(heap, t, &t->owner, owner);
    neap_weak_set(heap, &t->cache, owner);
    for (int i = 0; i < 40; i++) {
        node *n = new_node(1000 + (uintptr_t)i);
        t->slots[i].number = (uint64_t)i << 3;
        if (i % 2 == 0) {
            neap_store(heap, t, &t->slots[i].strong, n);
        }
        neap_weak_set(heap, &t->slots[i].weak, n);
        safepoints(1);
    }
    CHECK(living(node_type) == 21);
    for (int i = 0; i < 40; i++) {
        node *n = (node *)neap_weak_get(heap, &t->slots[i].weak);
        CHECK(i % 2 == 0 ? n != NULL && n->number == 1000 + (uintptr_t)i && n == t->slots[i].strong : n == NULL);
        CHECK(t->slots[i].number == (uint64_t)i << 3);
    }
    CHECK(neap_weak_get(heap, &t->cache) == owner);
    neap_store(heap, t, &t->owner, NULL);
    CHECK(living(node_type) == 20 && neap_weak_get(heap, &t->cache) == NULL);
    sound();

    traced *a = (traced *)neap_alloc_array(heap, traced_type, 300);
    root = a;
    safepoints(1);
    neap_store(heap, a, &a->owner, a);
    for (int i = 0; i < 300; i += 10) {
        neap_store(heap, a, &a->slots[i], new_node((uintptr_t)i));
        safepoints(1);
    }
    CHECK(living(node_type) == 30);
    CHECK(((node *)a->slots[290])->number == 290);
    sound();
    root = NULL;
    CHECK(living(traced_type) == 0 && living(table_type) == 0 && living(vector_type) == 0);
    CHECK(neap_root_remove(heap, &root) == NEAP_OK);
}

static void visit_roots(neap_visitor *visitor, void *data) {
    void **roots = (void **)data;
    for (int i = 0; i < 4; i++) {
        neap_visit(visitor, roots[i]);
    }
}

static void boxes(void) {
    void *roots[4] = {NULL, NULL, (void *)(uintptr_t)5, NULL};
    CHECK(neap_set_root_visitor(NULL, visit_roots, roots) == NEAP_INVALID);
    CHECK(neap_set_root_visitor(heap, visit_roots, roots) == NEAP_OK);
    destroyed = traced_calls = busy_answers = 0;
    for (int i = 0; i < 100; i++) {
        box *b = (box *)neap_alloc(heap, box_type, sizeof(box));
        b->block = (void **)neap_malloc(heap, sizeof(void *));
        *b->block = new_node((uintptr_t)i);
        roots[i % 4 == 2 ? 0 : i % 4] = b;
        safepoints(1);
    }
    CHECK(living(box_type) == 3 && living(node_type) == 3);
    CHECK(destroyed == 97 && traced_calls > 0 && busy_answers == 10 * destroyed);
    CHECK(((node *)*((box *)roots[3])->block)->number == 99);
    /* The reference stands outside of the object; the barrier is the object's all the same. */
    box *b = (box *)roots[3];
    neap_barrier(heap, b);
    *b->block = b;
    CHECK(living(node_type) == 2);
    sound();
    CHECK(neap_set_root_visitor(heap, NULL, NULL) == NEAP_OK);
    CHECK(living(box_type) == 0 && destroyed == 100);
}

static void locals(void) {
    CHECK(neap_local_count(heap) == 0);
    neap_scope outer = neap_scope_open(heap);
    neap_local a = neap_local_new(heap, new_node(1));
    neap_local b = neap_local_new(heap, (void *)(uintptr_t)3);
    safepoints(2);
    CHECK(((node *)neap_local_get(a))->number == 1 && neap_local_get(b) == (void *)(uintptr_t)3);
    for (int round = 0; round < 50; round++) {
        neap_scope inner = neap_scope_open(heap);
        for (int i = 0; i < round * 10; i++) {
            CHECK(neap_local_new(heap, new_node((uintptr_t)i)) != NULL);
            if (i % 64 == 0) {
                safepoints(1);
            }
        }
        /* One far below is changed, one in the middle too. */
        neap_local_set(heap, b, new_node(100 + (uintptr_t)round));
        if (round > 1) {
            neap_local_set(heap, neap_local_at(heap, 7), NULL);
        }
        safepoints(round % 3);
        if (round > 1) {
            CHECK(neap_local_get(neap_local_at(heap, 7)) == NULL);
            CHECK(((node *)neap_local_get(neap_local_at(heap, 9)))->number == 7);
            CHECK(neap_local_count(heap) == 2 + (size_t)round * 10);
        }
        CHECK(((node *)neap_local_get(b))->number == 100 + (uintptr_t)round);
        CHECK(neap_scope_close(heap, inner) == NEAP_OK);
        CHECK(round == 0 || neap_scope_close(heap, inner + 5) == NEAP_SCOPE);
        if (round % 10 == 9) {
            CHECK(living(node_type) == 2);
            sound();
        }
    }
    CHECK(neap_local_at(heap, 2) == NULL && neap_local_at(heap, 0) == a);
    CHECK(neap_scope_close(heap, outer) == NEAP_OK);
    CHECK(living(node_type) == 0);

    neap_config config = neap_config_default();
    config.locals_max = 10;
    neap_heap *small;
    CHECK(neap_heap_new(&config, &small) == NEAP_OK);
    for (int i = 0; i < 10; i++) {
        CHECK(neap_local_new(small, NULL) != NULL);
    }
    CHECK(neap_local_new(small, NULL) == NULL);
    CHECK(neap_safepoint(small) == NEAP_OK && neap_collect(small) == NEAP_OK);
    CHECK(neap_heap_free(small) == NEAP_OK);
}

static void handles(void) {
    neap_handle *all[500];
    void *object;
    for (int i = 0; i < 500; i++) {
        CHECK(neap_handle_new(heap, new_node((uintptr_t)i), &all[i]) == NEAP_OK);
        if (i % 50 == 0) {
            safepoints(1);
        }
    }
    CHECK(living(node_type) == 500);
    CHECK(neap_handle_get(heap, all[77], &object) == NEAP_OK && ((node *)object)->number == 77);
    node *n = new_node(1000);
    CHECK(neap_handle_set(heap, all[77], n) == NEAP_OK);
    CHECK(living(node_type) == 500);
    CHECK(neap_handle_get(heap, all[77], &object) == NEAP_OK && object == n && n->number == 1000);

    neap_heap *other;
    CHECK(neap_heap_new(NULL, &other) == NEAP_OK);
    CHECK(neap_handle_get(other, all[1], &object) == NEAP_HANDLE && object == NULL);
    CHECK(neap_handle_set(other, all[1], n) == NEAP_HANDLE);
    CHECK(neap_heap_free(other) == NEAP_OK);
    kept = all[0];
    CHECK(neap_handle_new(heap, NULL, &all[0]) == NEAP_INVALID && all[0] == NULL);
    CHECK(neap_handle_new(heap, n, NULL) == NEAP_INVALID);
    CHECK(neap_handle_set(heap, all[1], NULL) == NEAP_INVALID && neap_handle_set(heap, NULL, n) == NEAP_INVALID);
    CHECK(neap_handle_get(heap, all[1], NULL) == NEAP_INVALID && neap_handle_get(heap, NULL, &object) == NEAP_INVALID);
    for (int i = 2; i < 500; i++) {
        neap_handle_free(all[i]);
    }
    neap_handle_free(NULL);
    CHECK(living(node_type) == 2);
    sound();
    neap_handle_free(all[1]);
    CHECK(living(node_type) == 1);
}

static void weak_maps(size_t before) {
    void *map = neap_weak_map_new(heap), *keys = NULL, *value;
    CHECK(neap_type_of(map) == NEAP_TYPE_WEAK_MAP);
    CHECK(neap_root_add(heap, &map) == NEAP_OK && neap_root_add(heap, &keys) == NEAP_OK);
    enum { N = 1000 };
    vector *v = (vector *)neap_alloc_array(heap, vector_type, N);
    keys = v;
    for (size_t i = 0; i < N; i++) {
        node *key = new_node(i), *entry = new_node(10000 + i);
        neap_store(heap, v, &v->slots[i], key);
        /* The value refers to its key, and to the key before: chains. */
        entry->left = key;
        entry->right = i > 0 ? v->slots[i - 1] : NULL;
        CHECK(neap_weak_map_set(heap, map, key, entry) == NEAP_OK);
        if (i % 16 == 0) {
            safepoints(1);
        }
    }
    CHECK(living(node_type) == before + 2 * N);
    for (size_t i = 0; i < N; i++) {
        CHECK(neap_weak_map_get(heap, map, v->slots[i], &value) == NEAP_OK && ((node *)value)->number == 10000 + i);
    }
    node *stranger = new_node(5);
    CHECK(neap_weak_map_get(heap, map, stranger, &value) == NEAP_NOT_FOUND && value == NULL);
    CHECK(neap_weak_map_remove(heap, map, stranger) == NEAP_NOT_FOUND);
    CHECK(neap_weak_map_set(heap, map, v->slots[3], (void *)(uintptr_t)33) == NEAP_OK);
    CHECK(neap_weak_map_get(heap, map, v->slots[3], &value) == NEAP_OK && value == (void *)(uintptr_t)33);
    CHECK(neap_weak_map_remove(heap, map, v->slots[4]) == NEAP_OK);
    CHECK(neap_weak_map_get(heap, map, v->slots[4], &value) == NEAP_NOT_FOUND);
    sound();

    size_t cursor = 0, seen = 0;
    void *key;
    while (neap_weak_map_next(heap, map, &cursor, &key, &value) == NEAP_OK) {
        uintptr_t number = ((node *)key)->number;
        CHECK(number != 4 && (number == 3 ? value == (void *)(uintptr_t)33 : ((node *)value)->number == 10000 + number));
        seen++;
        if (number % 2 == 1) {
            CHECK(neap_weak_map_remove(heap, map, key) == NEAP_OK);
        }
    }
    CHECK(seen == N - 1 && key == NULL && value == NULL);
    CHECK(neap_weak_map_next(heap, map, &cursor, &key, &value) == NEAP_NOT_FOUND);

    /* Every fourth key stays: the values of the others go, though they refer to their keys. */
    for (size_t i = 0; i < N; i++) {
        if (i % 4 != 0) {
            neap_store(heap, v, &v->slots[i], NULL);
        }
        if (i % 100 == 0) {
            safepoints(1);
        }
    }
    /* 250 keys, of which one (4) has no value; each value holds the key before its own. */
    CHECK(living(node_type) == before + 250 + 249 + 248);
    sound();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            CHECK(neap_weak_map_set(heap, map, new_node(i), new_node(i)) == NEAP_OK);
            if (i % 32 == 0) {
                safepoints(1);
            }
        }
    }
    CHECK(living(node_type) == before + 250 + 249 + 248);

    CHECK(neap_weak_map_set(heap, map, NULL, NULL) == NEAP_INVALID && neap_weak_map_set(heap, NULL, v, v) == NEAP_INVALID);
    CHECK(neap_weak_map_set(heap, v, v, v) == NEAP_TYPE && neap_weak_map_get(heap, v, v, &value) == NEAP_TYPE);
    CHECK(neap_weak_map_get(heap, map, NULL, &value) == NEAP_INVALID && neap_weak_map_get(heap, map, v, NULL) == NEAP_INVALID);
    CHECK(neap_weak_map_remove(heap, map, NULL) == NEAP_INVALID && neap_weak_map_remove(heap, v, v) == NEAP_TYPE);
    CHECK(neap_weak_map_next(heap, map, NULL, &key, &value) == NEAP_INVALID);
    CHECK(neap_weak_map_new(NULL) == NULL);
    map = keys = NULL;
    CHECK(living(node_type) == before && living(NEAP_TYPE_WEAK_MAP) == 0 && living(NEAP_TYPE_WEAK_ENTRIES) == 0);
    CHECK(neap_root_remove(heap, &map) == NEAP_OK && neap_root_remove(heap, &keys) == NEAP_OK);
}

static void weak_references(size_t before) {
    void *root = new_node(1);
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    node *holder = (node *)root;
    node *target = new_node(2);
    neap_weak_set(heap, &holder->weak, target);
    CHECK(neap_weak_get(heap, &holder->weak) == target);
    void *small = (void *)(uintptr_t)11;
    node *second = new_node(3);
    neap_store(heap, holder, &holder->left, second);
    CHECK(neap_weak_copy(heap, &second->weak, &holder->weak) == 1 && second->weak == target);
    CHECK(living(node_type) == before + 2);
    CHECK(neap_weak_get(heap, &holder->weak) == NULL && neap_weak_get(heap, &second->weak) == NULL);
    CHECK(neap_weak_copy(heap, &second->weak, &holder->weak) == 0);
    neap_weak_set(heap, &holder->weak, small);
    CHECK(living(node_type) == before + 2 && neap_weak_get(heap, &holder->weak) == small);
    CHECK(neap_weak_copy(heap, &second->weak, &holder->weak) == 1 && second->weak == small);
    neap_weak_set(heap, &holder->weak, NULL);
    CHECK(neap_weak_get(heap, &holder->weak) == NULL);
    sound();
    CHECK(neap_root_remove(heap, &root) == NEAP_OK);
}

static void finalizers(size_t before) {
    void *root = NULL;
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    for (uintptr_t i = 0; i < 10; i++) {
        node *n = new_node(i);
        n->left = n;
        CHECK(neap_set_finalizer(heap, n) == NEAP_OK);
        safepoints(1);
    }
    CHECK(living(node_type) == before + 10 && neap_finalizers_waiting(heap) == 10);
    int seen = 0;
    for (node *n; (n = (node *)neap_next_finalizer(heap)) != NULL; seen++) {
        CHECK(n->left == n && n->number < 10);
        if (n->number == 4) {
            root = n;
        } else if (n->number == 5) {
            CHECK(neap_rearm_finalizer(heap, n) == NEAP_OK);
        }
    }
    CHECK(seen == 10 && neap_finalizers_waiting(heap) == 0);
    /* One was brought back, one has a finalizer again. */
    CHECK(living(node_type) == before + 2);
    node *again = (node *)neap_next_finalizer(heap);
    if (again == NULL) {
        CHECK(living(node_type) == before + 2);
        again = (node *)neap_next_finalizer(heap);
    }
    CHECK(again != NULL && again->number == 5);
    CHECK(living(node_type) == before + 1);
    CHECK(neap_set_finalizer(heap, root) == NEAP_OK);
    CHECK(neap_queue_all_finalizers(heap) == NEAP_OK && neap_next_finalizer(heap) == root && neap_next_finalizer(heap) == NULL);
    CHECK(neap_set_finalizer(heap, NULL) == NEAP_INVALID && neap_rearm_finalizer(heap, (void *)(uintptr_t)1) == NEAP_INVALID);
    CHECK(neap_set_finalizer(NULL, root) == NEAP_INVALID && neap_queue_all_finalizers(NULL) == NEAP_INVALID);
    CHECK(neap_next_finalizer(NULL) == NULL && neap_finalizers_waiting(NULL) == 0);
    CHECK(neap_root_remove(heap, &root) == NEAP_OK);
    CHECK(living(node_type) == before);
}

static void steps(void) {
    void *root = NULL;
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    node *first = new_node(0);
    root = first;
    for (uintptr_t i = 1; i < 2000; i++) {
        node *n = new_node(i);
        n->left = root;
        root = n;
    }
    neap_store(heap, first, &first->left, root);
    size_t before = living(node_type);
    CHECK(before >= 2000);
    root = NULL;
    int done = 0, steps = 0;
    count c;
    do {
        CHECK(neap_step(heap, steps % 2 == 0 ? 0 : 100000, &done) == NEAP_OK);
        c.type = node_type;
        c.objects = 0;
        CHECK(neap_each_object(heap, count_object, &c) == NEAP_OK);
    } while (c.objects + 2000 > before && ++steps < 10000);
    CHECK(c.objects + 2000 == before);
    CHECK(neap_step(heap, 1000000, NULL) == NEAP_OK && neap_step(NULL, 1, &done) == NEAP_INVALID);
    CHECK(neap_safepoint(NULL) == NEAP_INVALID && neap_collect(NULL) == NEAP_INVALID && neap_exhausted(NULL) == 0);
    CHECK(neap_set_running(heap, 0) == NEAP_OK && neap_set_running(heap, 1) == NEAP_OK && neap_set_running(NULL, 1) == NEAP_INVALID);
    CHECK(neap_root_remove(heap, &root) == NEAP_OK);
}

static void limits(const neap_config *like) {
    neap_config config = *like;
    config.limit_bytes = 8 << 20;
    /* Auditing each of these would take minutes. */
    config.stress = config.audit_every = 0;
    neap_heap *main_heap = heap;
    neap_type node_before = node_type;
    CHECK(neap_heap_new(&config, &heap) == NEAP_OK);
    static const uint32_t first[] = {8};
    neap_type_info info = neap_type_info_default("link", NEAP_PLAIN, 32);
    info.offsets = first;
    info.offset_count = 1;
    neap_type link;
    CHECK(neap_type_new(heap, &info, &link) == NEAP_OK);
    void *root = NULL;
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    size_t made = 0;
    for (;; made++) {
        void **n = (void **)neap_alloc(heap, link, 32);
        if (n == NULL) {
            break;
        }
        n[1] = root;
        root = n;
        if (neap_wants_safepoint(heap)) {
            CHECK(neap_safepoint(heap) == NEAP_OK);
            if (neap_exhausted(heap)) {
                break;
            }
        }
    }
    CHECK(made > 100000);
    CHECK(neap_malloc(heap, 9 << 20) == NULL && neap_last_error(heap) == NEAP_OUT_OF_MEMORY);
    root = NULL;
    CHECK(neap_collect(heap) == NEAP_OK);
    void *block = neap_malloc(heap, 4 << 20);
    CHECK(block != NULL);
    CHECK(neap_set_limit(heap, 1 << 20) == NEAP_OK && neap_malloc(heap, 1 << 19) == NULL && neap_last_error(heap) == NEAP_OUT_OF_MEMORY);
    CHECK(neap_set_limit(heap, SIZE_MAX) == NEAP_OK && neap_malloc(heap, 1 << 19) != NULL);
    CHECK(neap_set_limit(NULL, 1) == NEAP_INVALID);
    neap_stats stats;
    stats.struct_size = sizeof stats;
    CHECK(neap_get_stats(heap, &stats) == NEAP_OK);
    CHECK(stats.explicit_bytes >= (4 << 20) + (1 << 19) && stats.used_bytes >= stats.explicit_bytes && stats.peak_bytes <= 9 << 20);
    CHECK(stats.counted_objects + stats.young_objects >= made && stats.epochs > 0 && stats.stops > 0);

    neap_pauses pauses, all;
    uint64_t parts = 0;
    for (int cause = 0; cause <= NEAP_STOP; cause++) {
        pauses.struct_size = sizeof pauses;
        CHECK(neap_get_pauses(heap, (neap_cause)cause, &pauses) == NEAP_OK && neap_cause_name((neap_cause)cause) != NULL);
        CHECK(pauses.p50_ns <= pauses.p99_ns && pauses.p99_ns <= pauses.p999_ns && pauses.p999_ns <= pauses.max_ns);
        parts += cause == NEAP_STOP ? 0 : pauses.total_ns;
        all = pauses;
    }
    CHECK(all.count == stats.stops && all.total_ns >= parts && all.max_ns > 0);
    CHECK(neap_get_pauses(heap, (neap_cause)9, &pauses) == NEAP_INVALID && neap_cause_name((neap_cause)9) == NULL);
    pauses.struct_size = 0;
    CHECK(neap_get_pauses(heap, NEAP_STOP, &pauses) == NEAP_VERSION && neap_get_pauses(heap, NEAP_STOP, NULL) == NEAP_INVALID);
    CHECK(neap_heap_free(heap) == NEAP_OK);
    heap = main_heap;
    node_type = node_before;

    /* There are so many types. */
    CHECK(neap_heap_new(NULL, &heap) == NEAP_OK);
    for (int i = NEAP_TYPES_FIRST; i < NEAP_TYPES_END; i++) {
        CHECK(neap_type_new(heap, &info, &link) == NEAP_OK && link == i);
    }
    CHECK(neap_type_new(heap, &info, &link) == NEAP_TYPES_FULL);
    CHECK(neap_heap_free(heap) == NEAP_OK);
    heap = main_heap;
}

typedef struct graph {
    size_t roots[3], objects, edges[6];
    void *holder;
} graph;

static void graph_root(neap_root root, void *object, void *data) {
    CHECK(neap_is_reference(object));
    ((graph *)data)->roots[root]++;
    CHECK(neap_alloc(heap, node_type, sizeof(node)) == NULL && neap_last_error(heap) == NEAP_BUSY);
}

static void graph_object(void *object, neap_type type, size_t bytes, void *data) {
    CHECK(neap_type_of(object) == type && bytes > 0);
    ((graph *)data)->objects++;
}

static void graph_edge(void *from, neap_edge edge, size_t index, void *to, void *data) {
    graph *g = (graph *)data;
    g->edges[edge]++;
    if (from == g->holder) {
        CHECK(edge == NEAP_EDGE_FIELD ? index == 0 && ((node *)to)->number == 71 : edge == NEAP_EDGE_WEAK && index == 0);
    }
}

static void observing(size_t before) {
    (void)before;
    node *a = new_node(70), *b = new_node(71);
    a->left = b;
    neap_weak_set(heap, &a->weak, b);
    neap_scope scope = neap_scope_open(heap);
    neap_local_new(heap, a);
    neap_handle *handle;
    CHECK(neap_handle_new(heap, b, &handle) == NEAP_OK);
    void *map = neap_weak_map_new(heap);
    CHECK(neap_weak_map_set(heap, map, a, b) == NEAP_OK);
    neap_local_new(heap, map);
    vector *v = (vector *)neap_alloc_array(heap, vector_type, 5);
    v->slots[2] = v;
    neap_local_new(heap, v);
    CHECK(neap_collect(heap) == NEAP_OK);
    graph g;
    memset(&g, 0, sizeof g);
    g.holder = a;
    neap_graph_visitor visitor = {sizeof visitor, graph_root, graph_object, graph_edge, &g};
    CHECK(neap_visit_graph(heap, &visitor) == NEAP_OK);
    CHECK(g.roots[NEAP_ROOT_LISTED] >= 1 && g.roots[NEAP_ROOT_HANDLE] >= 1 && g.roots[NEAP_ROOT_FINALIZER] == 0);
    CHECK(g.objects >= 5 && g.edges[NEAP_EDGE_LOCAL] == 3 && g.edges[NEAP_EDGE_FIELD] >= 2 && g.edges[NEAP_EDGE_SLOT] == 1);
    CHECK(g.edges[NEAP_EDGE_VALUE] == 1 && g.edges[NEAP_EDGE_KEY] == 1 && g.edges[NEAP_EDGE_WEAK] == 1);
    visitor.root = NULL;
    visitor.object = NULL;
    visitor.edge = NULL;
    CHECK(neap_visit_graph(heap, &visitor) == NEAP_OK);
    visitor.struct_size = 1;
    CHECK(neap_visit_graph(heap, &visitor) == NEAP_VERSION && neap_visit_graph(heap, NULL) == NEAP_INVALID);
    CHECK(neap_each_object(heap, NULL, NULL) == NEAP_INVALID && neap_each_object(NULL, count_object, NULL) == NEAP_INVALID);
    CHECK(neap_audit(NULL, NULL, NULL, 0) == NEAP_INVALID && neap_audit(heap, NULL, NULL, 0) == NEAP_OK);
    CHECK(neap_scope_close(heap, scope) == NEAP_OK);
    neap_handle_free(handle);

    /* A reference that was stored without the barrier is found. (In a heap that is then left as it is.) */
    neap_heap *main_heap = heap;
    CHECK(neap_heap_new(NULL, &heap) == NEAP_OK);
    make_types();
    void *root = new_node(1);
    CHECK(neap_root_add(heap, &root) == NEAP_OK);
    node *other = new_node(2);
    ((node *)root)->right = other;
    safepoints(1);
    CHECK(neap_collect(heap) == NEAP_OK);
    ((node *)root)->left = other;
    char message[200];
    CHECK(neap_audit(heap, NULL, message, sizeof message) == NEAP_AUDIT && strstr(message, "node at 0x") != NULL);
    CHECK(neap_audit(heap, NULL, message, 5) == NEAP_AUDIT && strcmp(message, "node") == 0);
    ((node *)root)->left = NULL;
    CHECK(neap_heap_free(heap) == NEAP_OK);
    heap = main_heap;
}

static void blocks(void) {
    char *p = (char *)neap_malloc(heap, 100);
    CHECK(p != NULL && ((uintptr_t)p & 15) == 0 && neap_usable_size(heap, p) >= 100);
    memset(p, 7, 100);
    p = (char *)neap_realloc(heap, p, 100000);
    CHECK(p != NULL && p[99] == 7);
    CHECK(neap_realloc(heap, p, SIZE_MAX / 2) == NULL && neap_last_error(heap) == NEAP_OUT_OF_MEMORY && p[99] == 7);
    CHECK(neap_free(heap, p) == NEAP_OK && neap_free(heap, NULL) == NEAP_OK && neap_free(NULL, NULL) == NEAP_INVALID);
    CHECK(neap_free_checked(heap, p) == NEAP_BLOCK && neap_free_checked(heap, &p) == NEAP_BLOCK);
    p = (char *)neap_calloc(heap, 10, 10);
    for (int i = 0; i < 100; i++) {
        CHECK(p[i] == 0);
    }
    CHECK(neap_free_checked(heap, p + 16) == NEAP_BLOCK && neap_free_checked(heap, p) == NEAP_OK && neap_free_checked(heap, NULL) == NEAP_OK);
    CHECK(neap_calloc(heap, SIZE_MAX, 2) == NULL && neap_last_error(heap) == NEAP_OUT_OF_MEMORY);
    p = (char *)neap_aligned_alloc(heap, 4096, 10);
    CHECK(p != NULL && ((uintptr_t)p & 4095) == 0 && neap_free(heap, p) == NEAP_OK);
    CHECK(neap_aligned_alloc(heap, 24, 10) == NULL && neap_last_error(heap) == NEAP_INVALID);
    CHECK(neap_aligned_alloc(heap, 1 << 22, 10) == NULL && neap_last_error(heap) == NEAP_INVALID);
    CHECK(neap_usable_size(heap, NULL) == 0 && neap_malloc(NULL, 1) == NULL && neap_calloc(NULL, 1, 1) == NULL);
    p = (char *)neap_realloc(heap, NULL, 0);
    CHECK(p != NULL && neap_free(heap, p) == NEAP_OK);
}

int main(int argc, char **argv) {
    neap_config config = neap_config_default();
    config.stress = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    config.audit_every = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    config.poison = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
    config.ticker = argc > 4 ? (uint32_t)atoi(argv[4]) : 0;
    CHECK(neap_heap_new(&config, &heap) == NEAP_OK);
    make_types();
    wrong_types();
    versions();
    allocation();
    graphs();
    arrays();
    boxes();
    locals();
    handles();
    /* Of here on one node is held by `kept`. */
    weak_maps(1);
    weak_references(1);
    finalizers(1);
    steps();
    limits(&config);
    observing(1);
    blocks();
    sound();
    destroyed = 0;
    void *last = neap_alloc(heap, box_type, sizeof(box));
    CHECK(last != NULL && neap_heap_free(heap) == NEAP_OK && destroyed == 1);
    neap_handle_free(kept);
    if (failures == 0) {
        puts("all is well");
    }
    return failures != 0;
}

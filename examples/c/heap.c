/* The types of the Lisp's objects, their allocation, and the symbols. */

#include "lisp.h"

#include <stdio.h>
#include <stdlib.h>

neap_heap *heap;
neap_type pair_type, symbol_type, string_type, vector_type, closure_type, frame_type, primitive_type, continuation_type;
static neap_type table_type;

/* ---- symbols: in a weak table, so that a name which no program and no datum has any more takes no memory */

enum { GROUP = 8 };

/* A symbol stands anywhere in the group that its hash says: gaps, which come when symbols die, don't matter then. The hash stands beside the weak
 * reference, so that only symbols that are probably meant are looked at: a symbol that was looked at lives a little longer. */
typedef struct place {
    size_t hash;
    word symbol;
} place;
typedef struct table {
    neap_header header;
    size_t length;
    place places[];
} table;

static word symbols, globals = NIL;

static neap_type new_type(neap_type_info *info, const uint32_t *offsets, size_t count) {
    neap_type type;
    info->offsets = offsets;
    info->offset_count = count;
    neap_error error = neap_type_new(heap, info, &type);
    if (error != NEAP_OK) {
        fprintf(stderr, "%s: %s\n", info->name, neap_error_text(error));
        exit(2);
    }
    return type;
}

/* A type of as many words as its length says. */
static neap_type new_vector_type(const char *name) {
    static const uint32_t first[] = {0};
    neap_type_info info = neap_type_info_default(name, NEAP_ARRAY, sizeof(vector));
    info.length_offset = offsetof(vector, length);
    info.stride = sizeof(word);
    info.slot_offsets = first;
    info.slot_offset_count = 1;
    return new_type(&info, NULL, 0);
}

static word must(void *object) {
    if (object == NULL) {
        fail(neap_error_text(neap_last_error(heap)), NULL);
    }
    return object;
}

void open_heap(const neap_config *config) {
    static const uint32_t pair_words[] = {offsetof(pair, car), offsetof(pair, cdr)};
    static const uint32_t symbol_words[] = {offsetof(symbol, value), offsetof(symbol, name)};
    static const uint32_t closure_words[] = {offsetof(closure, names), offsetof(closure, body), offsetof(closure, env), offsetof(closure, name)};
    static const uint32_t frame_words[] = {offsetof(frame, names), offsetof(frame, values), offsetof(frame, env)};
    static const uint32_t place_weak[] = {offsetof(place, symbol)};
    neap_error error = neap_heap_new(config, &heap);
    if (error != NEAP_OK) {
        fprintf(stderr, "no heap: %s\n", neap_error_text(error));
        exit(2);
    }
    neap_type_info info = neap_type_info_default("pair", NEAP_PLAIN, sizeof(pair));
    pair_type = new_type(&info, pair_words, 2);
    info = neap_type_info_default("symbol", NEAP_PLAIN, sizeof(symbol));
    symbol_type = new_type(&info, symbol_words, 2);
    info = neap_type_info_default("closure", NEAP_PLAIN, sizeof(closure));
    closure_type = new_type(&info, closure_words, 4);
    info = neap_type_info_default("frame", NEAP_PLAIN, sizeof(frame));
    frame_type = new_type(&info, frame_words, 3);
    info = neap_type_info_default("primitive", NEAP_LEAF, sizeof(primitive));
    primitive_type = new_type(&info, NULL, 0);
    info = neap_type_info_default("string", NEAP_LEAF, sizeof(string));
    info.stride = 1;
    info.length_offset = offsetof(string, length);
    string_type = new_type(&info, NULL, 0);
    vector_type = new_vector_type("vector");
    continuation_type = new_vector_type("continuation");
    info = neap_type_info_default("symbols", NEAP_ARRAY, sizeof(table));
    info.length_offset = offsetof(table, length);
    info.stride = sizeof(place);
    info.slot_weak_offsets = place_weak;
    info.slot_weak_offset_count = 1;
    table_type = new_type(&info, NULL, 0);
    neap_root_add(heap, &symbols);
    neap_root_add(heap, &globals);
    symbols = must(neap_alloc_array(heap, table_type, 64 * GROUP));
}

/* ---- allocation. A new object needs no barrier, and neap_alloc_uninit no clearing, since all of it is written. */

word cons(word a, word d) {
    pair *p = must(neap_alloc_uninit(heap, pair_type, sizeof(pair)));
    p->car = a;
    p->cdr = d;
    return p;
}

word make_string(const char *bytes, size_t length) {
    string *s = must(neap_alloc_array(heap, string_type, length));
    if (bytes != NULL) {
        memcpy(s->bytes, bytes, length);
    }
    return s;
}

word make_vector(size_t length, word fill) {
    vector *v = must(neap_alloc_array(heap, vector_type, length));
    /* A large array has dirty bits from its birth on: the barrier for all slots at once. */
    neap_barrier_slots(heap, v, 0, length);
    for (size_t i = 0; i < length; i++) {
        v->slots[i] = fill;
    }
    return v;
}

word make_closure(word names, word body, word env) {
    closure *c = must(neap_alloc_uninit(heap, closure_type, sizeof(closure)));
    c->names = names;
    c->body = body;
    c->env = env;
    c->name = NULL;
    return c;
}

word make_frame(word names, word values, word env) {
    frame *f = must(neap_alloc_uninit(heap, frame_type, sizeof(frame)));
    f->names = names;
    f->values = values;
    f->env = env;
    return f;
}

word make_continuation(void) {
    size_t length = neap_local_count(heap);
    continuation *k = must(neap_alloc_array(heap, continuation_type, length));
    neap_barrier_slots(heap, k, 0, length);
    for (size_t i = 0; i < length; i++) {
        k->slots[i] = neap_local_get(neap_local_at(heap, i));
    }
    return k;
}

word make_primitive(const char *name, function function, int least, int most) {
    primitive *p = must(neap_alloc_uninit(heap, primitive_type, sizeof(primitive)));
    p->function = function;
    p->name = name;
    p->least = least;
    p->most = most;
    return p;
}

intptr_t list_length(word list) {
    intptr_t length = 0;
    for (; is_pair(list); list = cdr(list)) {
        length++;
    }
    return list == NIL ? length : -1;
}

/* ---- interning */

static size_t hash_of(const char *bytes, size_t length) {
    size_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    }
    return hash ^ hash >> 32;
}

static place *group_of(table *t, size_t hash) {
    return &t->places[hash % (t->length / GROUP) * GROUP];
}

/* A place for one more symbol of that hash; NULL if its group is full. */
static place *free_place(table *t, size_t hash) {
    place *group = group_of(t, hash);
    for (size_t i = 0; i < GROUP; i++) {
        if (group[i].symbol == NULL) {
            group[i].hash = hash;
            return &group[i];
        }
    }
    return NULL;
}

/* A larger table. The symbols are only copied, not looked at, so that those which nobody has any more still go. */
static void grow(size_t length) {
    table *old = symbols, *new = must(neap_alloc_array(heap, table_type, length));
    for (size_t i = 0; i < old->length; i++) {
        if (old->places[i].symbol != NULL) {
            place *to = free_place(new, old->places[i].hash);
            if (to == NULL) {
                grow(length * 2);
                return;
            }
            neap_weak_copy(heap, &to->symbol, &old->places[i].symbol);
        }
    }
    symbols = new;
}

word intern(const char *bytes, size_t length) {
    size_t hash = hash_of(bytes, length);
    place *group = group_of(symbols, hash), *to;
    for (size_t i = 0; i < GROUP; i++) {
        if (group[i].hash == hash) {
            symbol *s = neap_weak_get(heap, &group[i].symbol);
            string *name = s == NULL ? NULL : s->name;
            if (name != NULL && name->length == length && memcmp(name->bytes, bytes, length) == 0) {
                return s;
            }
        }
    }
    symbol *s = must(neap_alloc_uninit(heap, symbol_type, sizeof(symbol)));
    s->value = NULL;
    s->name = NULL;
    s->name = make_string(bytes, length);
    while ((to = free_place(symbols, hash)) == NULL) {
        grow(((table *)symbols)->length * 2);
    }
    neap_weak_set(heap, &to->symbol, s);
    return s;
}

word intern_text(const char *text) {
    return intern(text, strlen(text));
}

size_t symbol_count(void) {
    table *t = symbols;
    size_t count = 0;
    for (size_t i = 0; i < t->length; i++) {
        count += neap_weak_get(heap, &t->places[i].symbol) != NULL;
    }
    return count;
}

void set_global(word name, word value) {
    symbol *s = name;
    if (s->value == NULL) {
        globals = cons(s, globals);
    }
    neap_store(heap, s, &s->value, value);
}

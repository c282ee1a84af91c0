/* A runtime that forgets its barrier, run with `audit_every`: the process must end with a word about it. */

#include "neap_gc.h"

typedef struct cell {
    neap_header header;
    void *next;
} cell;

int main(void) {
    static const uint32_t offsets[] = {offsetof(cell, next)};
    neap_config config = neap_config_default();
    config.audit_every = 1;
    config.stress = 1000;
    neap_heap *heap;
    neap_type type;
    neap_type_info info = neap_type_info_default("a cell of ours", NEAP_PLAIN, sizeof(cell));
    info.offsets = offsets;
    info.offset_count = 1;
    if (neap_heap_new(&config, &heap) != NEAP_OK || neap_type_new(heap, &info, &type) != NEAP_OK) {
        return 2;
    }
    void *a = neap_alloc(heap, type, sizeof(cell));
    void *b = neap_alloc(heap, type, sizeof(cell));
    if (neap_root_add(heap, &a) != NEAP_OK || neap_root_add(heap, &b) != NEAP_OK || neap_safepoint(heap) != NEAP_OK) {
        return 2;
    }
    ((cell *)a)->next = b;
    neap_safepoint(heap);
    return 0;
}

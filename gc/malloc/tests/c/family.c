/* Every function of the family against what its manual page says; then threads that free each other's blocks. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef NDEBUG
#include <assert.h>

static int all(const unsigned char *bytes, size_t size, unsigned char value) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value) return 0;
    return 1;
}

static void family(void) {
    void *volatile none = NULL;
    free(none);
    unsigned char *a = malloc(0), *b = malloc(0);
    assert(a && b && a != b);
    free(a), free(b);
    for (size_t size = 1; size < 1 << 23; size = size * 3 / 2 + 1) {
        a = malloc(size);
        assert(a && (uintptr_t)a % 16 == 0 && malloc_usable_size(a) >= size);
        memset(a, 7, size);
        b = calloc(size, 1);
        assert(b && all(b, size, 0));
        memset(b, 1, size);
        free(b);
        b = calloc(1, size);
        assert(all(b, size, 0));
        a = realloc(a, size * 2);
        assert(all(a, size, 7));
        a = realloc(a, size / 2 + 1);
        assert(all(a, size / 2 + 1, 7));
        free(a), free(b);
    }
    a = realloc(NULL, 100);
    assert(a && realloc(a, 0) == NULL);
    for (size_t align = 8; align <= 2 << 20; align *= 2) {
        void *c = NULL;
        assert(posix_memalign(&c, align, 100) == 0 && (uintptr_t)c % align == 0);
        memset(c, 1, 100);
        void *d = aligned_alloc(align, 5000);
        assert(d && (uintptr_t)d % align == 0);
        free(c), free(d);
    }
    void *c = &c;
    volatile size_t huge = SIZE_MAX;
    errno = 0;
    assert(posix_memalign(&c, 24, 8) == EINVAL && posix_memalign(&c, 4, 8) == EINVAL && c == &c && errno == 0);
    assert(malloc(huge) == NULL && errno == ENOMEM);
    errno = 0;
    assert(calloc(huge / 2, 4) == NULL && errno == ENOMEM);
    errno = 0;
    assert(reallocarray(NULL, huge / 2, 4) == NULL && errno == ENOMEM);
    errno = 0;
    a = malloc(10);
    strcpy((char *)a, "kept");
    assert(realloc(a, huge) == NULL && errno == ENOMEM && strcmp((char *)a, "kept") == 0);
    errno = 77;
    free(a);
    free(malloc(5 << 20));
    assert(errno == 77);
}

enum { PLACES = 256, ROUNDS = 200000, THREADS = 4 };
static unsigned char *places[PLACES];
static size_t sizes[PLACES];
static pthread_mutex_t locks[PLACES];

static void *work(void *seed) {
    uint64_t x = (uintptr_t)seed;
    for (int i = 0; i < ROUNDS; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        size_t place = x % PLACES, size = x >> 20 & (i % 64 ? 511 : 65535);
        unsigned char *fresh = malloc(size);
        memset(fresh, (unsigned char)place, size);
        pthread_mutex_lock(&locks[place]);
        unsigned char *old = places[place];
        size_t old_size = sizes[place];
        places[place] = fresh, sizes[place] = size;
        pthread_mutex_unlock(&locks[place]);
        assert(all(old, old_size, (unsigned char)place));
        free(old);
    }
    return NULL;
}

/* With an argument only the threads: other allocators differ in what they promise. */
int main(int argc, char **argv) {
    (void)argv;
    if (argc == 1) family();
    for (int i = 0; i < PLACES; i++) pthread_mutex_init(&locks[i], NULL);
    for (int round = 0; round < 3; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++) assert(pthread_create(&threads[i], NULL, work, (void *)(i * 7919 + 1 + round)) == 0);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    }
    puts("all is well");
    return 0;
}

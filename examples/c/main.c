/* The command line and the prompt.
 *
 *     cc -O2 $(pkg-config --cflags neap-gc) *.c $(pkg-config --libs neap-gc) -o lisp
 *     lisp [--limit BYTES] [--stress N] [--audit N] [--every STEPS] [--stats] [FILE]
 *
 * Without a file it reads from the standard input, form by form. `--stress` and `--audit` are those of the heap (neap_config); the heap is asked whether
 * it wants a safepoint after so many steps.
 */

#include "lisp.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

unsigned safepoint_every = 1;
bool collect_wanted;
static jmp_buf top;

noreturn void fail(const char *message, word irritant) {
    fflush(stdout);
    fprintf(stderr, "error: %s", message);
    if (irritant != NULL) {
        char *text = to_text(irritant, true);
        fprintf(stderr, ": %.200s", text);
        free(text);
    }
    fputc('\n', stderr);
    longjmp(top, 1);
}

void safepoint(void) {
    neap_error error = collect_wanted ? neap_collect(heap) : neap_safepoint(heap);
    collect_wanted = false;
    if (error != NEAP_OK) {
        fail(neap_error_text(error), NULL);
    }
    if (neap_exhausted(heap)) {
        fail("out of memory", NULL);
    }
}

static void show_stats(void) {
    neap_stats stats;
    stats.struct_size = sizeof stats;
    neap_get_stats(heap, &stats);
    fprintf(stderr, "allocated %llu objects, %llu bytes; %zu in use, %zu at most\n", (unsigned long long)stats.allocated_objects,
        (unsigned long long)stats.allocated_bytes, stats.used_bytes, stats.peak_bytes);
    fprintf(stderr, "reclaimed %llu young, %llu by counting, %llu in cycles\n", (unsigned long long)stats.young_objects,
        (unsigned long long)stats.counted_objects, (unsigned long long)stats.cyclic_objects);
    for (int cause = 0; cause <= NEAP_STOP; cause++) {
        neap_pauses pauses;
        pauses.struct_size = sizeof pauses;
        neap_get_pauses(heap, (neap_cause)cause, &pauses);
        if (pauses.count != 0) {
            fprintf(stderr, "%-10s %8llu x   p50 %.3f  p99 %.3f  max %.3f ms\n", neap_cause_name((neap_cause)cause),
                (unsigned long long)pauses.count, (double)pauses.p50_ns / 1e6, (double)pauses.p99_ns / 1e6, (double)pauses.max_ns / 1e6);
        }
    }
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    size_t room = 1 << 16;
    char *text = malloc(room);
    *length = 0;
    while (text != NULL) {
        *length += fread(text + *length, 1, room - *length, file);
        if (*length < room) {
            fclose(file);
            return text;
        }
        room *= 2;
        text = realloc(text, room);
    }
    abort();
}

/* One form after the other, each as soon as it is complete; its value is shown. */
static void prompt(void) {
    static char text[1 << 16];
    static size_t length;
    bool show = isatty(STDIN_FILENO);
    if (setjmp(top) != 0) {
        length = 0;
        neap_scope_close(heap, 0);
    }
    for (;;) {
        if (show && length == 0) {
            fputs("> ", stdout);
        }
        fflush(stdout);
        if (sizeof text - length < 2) {
            fail("a form that is too long", NULL);
        }
        if (fgets(text + length, (int)(sizeof text - length), stdin) == NULL) {
            return;
        }
        length += strlen(text + length);
        const char *at = text, *end = text + length;
        for (;;) {
            bool incomplete;
            const char *start = at;
            word form = read_datum(&at, end, &incomplete);
            if (form == END_OF_TEXT) {
                length = incomplete ? (size_t)(end - start) : 0;
                memmove(text, start, length);
                break;
            }
            word value = eval_toplevel(form);
            if (value != UNSPECIFIED) {
                print(value, true);
                putchar('\n');
            }
        }
    }
}

int main(int argc, char **argv) {
    neap_config config = neap_config_default();
    config.locals_max = 8 << 20;
    /* These are looked at after a jump. */
    static const char *path;
    static bool stats, failed;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (strcmp(argv[i], "--limit") == 0) {
            config.limit_bytes = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--stress") == 0) {
            config.stress = (uint32_t)atoi(value);
        } else if (strcmp(argv[i], "--audit") == 0) {
            config.audit_every = (uint32_t)atoi(value);
        } else if (strcmp(argv[i], "--every") == 0) {
            safepoint_every = (unsigned)atoi(value);
        } else if (strcmp(argv[i], "--stats") == 0) {
            stats = true;
            continue;
        } else {
            path = argv[i];
            continue;
        }
        i++;
    }
    config.poison = config.stress != 0;
    if (setjmp(top) == 0) {
        open_heap(&config);
        make_forms();
        make_evaluator();
        make_primitives();
        if (path != NULL) {
            size_t length;
            char *text = read_file(path, &length);
            eval_text(text, length);
            free(text);
        } else {
            prompt();
        }
    } else {
        failed = true;
    }
    if (stats) {
        show_stats();
    }
    neap_heap_free(heap);
    return failed;
}

/* Data to text. */

#include "lisp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct writer {
    char *bytes;
    size_t length, room;
    bool quoted;
    /* Cyclic data ends somewhere. */
    int left;
} writer;

enum { PARTS_MAX = 100000, DEPTH_MAX = 1000 };

static void put_bytes(writer *w, const char *bytes, size_t length) {
    if (w->length + length + 1 > w->room) {
        w->room = (w->length + length + 1) * 2;
        w->bytes = realloc(w->bytes, w->room);
        if (w->bytes == NULL) {
            abort();
        }
    }
    memcpy(w->bytes + w->length, bytes, length);
    w->length += length;
    w->bytes[w->length] = 0;
}

static void put(writer *w, const char *text) {
    put_bytes(w, text, strlen(text));
}

static void put_string(writer *w, string *s) {
    if (!w->quoted) {
        put_bytes(w, s->bytes, s->length);
        return;
    }
    put(w, "\"");
    for (size_t i = 0; i < s->length; i++) {
        char c = s->bytes[i];
        if (c == '"' || c == '\\') {
            put(w, "\\");
        }
        c == '\n' ? put(w, "\\n") : put_bytes(w, &c, 1);
    }
    put(w, "\"");
}

static void put_name(writer *w, const char *what, word name) {
    put(w, what);
    if (is_symbol(name)) {
        string *s = ((symbol *)name)->name;
        put(w, " ");
        put_bytes(w, s->bytes, s->length);
    }
    put(w, ">");
}

static void put_value(writer *w, word value, int depth) {
    char buffer[32];
    if (w->left-- <= 0 || depth > DEPTH_MAX) {
        put(w, "...");
    } else if (is_fixnum(value)) {
        snprintf(buffer, sizeof buffer, "%lld", (long long)fixnum(value));
        put(w, buffer);
    } else if (!neap_is_reference(value)) {
        put(w, value == NIL ? "()" : value == TRUE ? "#t" : value == FALSE ? "#f" : value == UNSPECIFIED ? "#<unspecified>" : "#<end>");
    } else if (is_pair(value)) {
        put(w, "(");
        for (;;) {
            put_value(w, car(value), depth + 1);
            value = cdr(value);
            if (!is_pair(value) || w->left <= 0) {
                break;
            }
            put(w, " ");
        }
        if (value != NIL) {
            put(w, " . ");
            put_value(w, w->left <= 0 ? NIL : value, depth + 1);
        }
        put(w, ")");
    } else if (is_symbol(value)) {
        string *s = ((symbol *)value)->name;
        put_bytes(w, s->bytes, s->length);
    } else if (is(value, string_type)) {
        put_string(w, value);
    } else if (is(value, vector_type)) {
        vector *v = value;
        put(w, "#(");
        for (size_t i = 0; i < v->length && w->left > 0; i++) {
            if (i > 0) {
                put(w, " ");
            }
            put_value(w, v->slots[i], depth + 1);
        }
        put(w, ")");
    } else if (is(value, closure_type)) {
        put_name(w, "#<procedure", ((closure *)value)->name);
    } else if (is(value, primitive_type)) {
        put(w, "#<primitive ");
        put(w, ((primitive *)value)->name);
        put(w, ">");
    } else {
        put(w, "#<");
        put(w, neap_type_name(heap, neap_type_of(value)));
        put(w, ">");
    }
}

char *to_text(word value, bool quoted) {
    writer w = {NULL, 0, 0, quoted, PARTS_MAX};
    put(&w, "");
    put_value(&w, value, 0);
    return w.bytes;
}

void print(word value, bool quoted) {
    if (!quoted && is(value, string_type)) {
        /* It may have zeros within. */
        fwrite(((string *)value)->bytes, 1, ((string *)value)->length, stdout);
        return;
    }
    char *text = to_text(value, quoted);
    fputs(text, stdout);
    free(text);
}

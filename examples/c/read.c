/* Text to data. */

#include "lisp.h"

#include <ctype.h>
#include <stdlib.h>

typedef struct reader {
    const char *at, *end;
    bool incomplete;
    int depth;
} reader;

enum { DEPTH_MAX = 5000, TOKEN_MAX = 4096 };

static word read(reader *r);

static void skip_blanks(reader *r) {
    while (r->at < r->end) {
        if (*r->at == ';') {
            while (r->at < r->end && *r->at != '\n') {
                r->at++;
            }
        } else if (isspace((unsigned char)*r->at)) {
            r->at++;
        } else {
            return;
        }
    }
}

static bool is_delimiter(char c) {
    return isspace((unsigned char)c) || c == '(' || c == ')' || c == '"' || c == ';' || c == '\'';
}

/* A list, behind its parenthesis. */
static word read_list(reader *r) {
    word first = NIL, last = NIL;
    for (;;) {
        skip_blanks(r);
        if (r->at == r->end) {
            r->incomplete = true;
            return END_OF_TEXT;
        }
        if (*r->at == ')') {
            r->at++;
            return first;
        }
        bool dot = *r->at == '.' && r->at + 1 < r->end && is_delimiter(r->at[1]);
        if (dot) {
            if (last == NIL) {
                fail("a dot at the beginning of a list", NULL);
            }
            r->at++;
        }
        word datum = read(r);
        if (datum == END_OF_TEXT) {
            r->incomplete = true;
            return END_OF_TEXT;
        }
        if (dot) {
            set_cdr(last, datum);
            skip_blanks(r);
            if (r->at == r->end) {
                r->incomplete = true;
                return END_OF_TEXT;
            }
            if (*r->at++ != ')') {
                fail("more than one datum behind a dot", NULL);
            }
            return first;
        }
        word next = cons(datum, NIL);
        if (last == NIL) {
            first = next;
        } else {
            set_cdr(last, next);
        }
        last = next;
    }
}

/* A string, behind its quote. */
static word read_string(reader *r) {
    size_t room = (size_t)(r->end - r->at), length = 0;
    char *bytes = neap_malloc(heap, room);
    if (bytes == NULL) {
        fail("no memory for a string", NULL);
    }
    word result = END_OF_TEXT;
    while (r->at < r->end) {
        char c = *r->at++;
        if (c == '"') {
            result = make_string(bytes, length);
            break;
        }
        if (c == '\\' && r->at < r->end) {
            c = *r->at++;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        bytes[length++] = c;
    }
    neap_free(heap, bytes);
    r->incomplete |= result == END_OF_TEXT;
    return result;
}

static word read_atom(reader *r) {
    const char *start = r->at;
    while (r->at < r->end && !is_delimiter(*r->at)) {
        r->at++;
    }
    size_t length = (size_t)(r->at - start);
    char token[TOKEN_MAX];
    if (length >= sizeof token) {
        fail("a name of more than 4095 bytes", NULL);
    }
    memcpy(token, start, length);
    token[length] = 0;
    if (strcmp(token, "#t") == 0) {
        return TRUE;
    }
    if (strcmp(token, "#f") == 0) {
        return FALSE;
    }
    char *rest;
    long long number = strtoll(token, &rest, 10);
    if (*rest == 0 && rest != token && (isdigit((unsigned char)token[length - 1]))) {
        if (number > FIXNUM_MAX || number < FIXNUM_MIN) {
            fail("an integer that is too large", NULL);
        }
        return make_fixnum((intptr_t)number);
    }
    return intern(token, length);
}

static word read_quoted(reader *r, int form, size_t length) {
    r->at += length;
    word datum = read(r);
    if (datum == END_OF_TEXT) {
        r->incomplete = true;
        return END_OF_TEXT;
    }
    return list2(forms[form], datum);
}

static word read(reader *r) {
    skip_blanks(r);
    if (r->at == r->end) {
        return END_OF_TEXT;
    }
    if (++r->depth > DEPTH_MAX) {
        fail("data nested too deeply", NULL);
    }
    word datum;
    switch (*r->at) {
    case '(':
        r->at++;
        datum = read_list(r);
        break;
    case ')':
        r->at++;
        fail("a parenthesis too many", NULL);
    case '"':
        r->at++;
        datum = read_string(r);
        break;
    case '\'':
        datum = read_quoted(r, QUOTE, 1);
        break;
    case '`':
        datum = read_quoted(r, QUASIQUOTE, 1);
        break;
    case ',':
        datum = r->at + 1 < r->end && r->at[1] == '@' ? read_quoted(r, UNQUOTE_SPLICING, 2) : read_quoted(r, UNQUOTE, 1);
        break;
    default:
        datum = read_atom(r);
    }
    r->depth--;
    return datum;
}

word read_datum(const char **text, const char *end, bool *incomplete) {
    reader r = {*text, end, false, 0};
    word datum = read(&r);
    *text = r.at;
    if (incomplete != NULL) {
        *incomplete = r.incomplete;
    } else if (r.incomplete) {
        fail("the text ends within a datum", NULL);
    }
    return datum;
}

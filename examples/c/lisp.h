/* A small Lisp on the C face of neap-gc: what its files share.
 *
 *     heap.c    the types of its objects, allocation, symbols in a weak table
 *     read.c    text to data
 *     print.c   data to text
 *     expand.c  derived forms to the few that eval.c knows
 *     eval.c    the evaluator: registers and a stack that the heap knows, so that it may collect between any two steps
 *     prims.c   the functions that are built in
 *     main.c    the command line and the prompt
 *
 * How it uses the heap. A value is a *word*: a small integer or a constant by its lowest bits, or the address of an object. The heap collects only
 * in `safepoint`, which the evaluator calls between its steps, where all that it goes on using is in registers (root variables) and on the stack (locals).
 * So everywhere else, in the reader and in all primitives, words are plain C variables, and nothing has to be told of them. Stores into objects go through
 * neap_store; an object that was just made is filled in without it.
 */
#ifndef LISP_H
#define LISP_H

#include "neap_gc.h"

#include <stdbool.h>
#include <stdnoreturn.h>

typedef void *word;

/* ---- words that are no references: integers are odd, constants end in the bits 010 */

#define FIXNUM_MAX ((intptr_t)(INTPTR_MAX >> 1))
#define FIXNUM_MIN ((intptr_t)(INTPTR_MIN >> 1))
#define CONSTANT(n) ((word)(uintptr_t)((n) << 3 | 2))
#define NIL CONSTANT(0)
#define FALSE CONSTANT(1)
#define TRUE CONSTANT(2)
#define UNSPECIFIED CONSTANT(3)
#define END_OF_TEXT CONSTANT(4)

static inline bool is_fixnum(word w) {
    return ((uintptr_t)w & 1) != 0;
}
static inline intptr_t fixnum(word w) {
    return (intptr_t)w >> 1;
}
static inline word make_fixnum(intptr_t n) {
    return (word)(((uintptr_t)n << 1) | 1);
}
static inline word make_boolean(bool b) {
    return b ? TRUE : FALSE;
}

/* ---- objects */

typedef struct pair {
    neap_header header;
    word car, cdr;
} pair;

/* `value` is that of the global variable; NULL if there is none. */
typedef struct symbol {
    neap_header header;
    word value;
    word name;
} symbol;

typedef struct string {
    neap_header header;
    size_t length;
    char bytes[];
} string;

typedef struct vector {
    neap_header header;
    size_t length;
    word slots[];
} vector;

/* A procedure: `names` is a list, at whose end may be a symbol for the rest. */
typedef struct closure {
    neap_header header;
    word names, body, env;
    word name;
} closure;

/* What a call binds. `env` of the outermost is NIL: global variables stand in their symbols. */
typedef struct frame {
    neap_header header;
    word names, values, env;
} frame;

/* A copy of the evaluator's stack. */
typedef vector continuation;

/* The arguments come as a list, of as many as `least` and `most` say (most < 0: any number). */
typedef word (*function)(word arguments);
typedef struct primitive {
    neap_header header;
    function function;
    const char *name;
    int least, most;
} primitive;

extern neap_heap *heap;
extern neap_type pair_type, symbol_type, string_type, vector_type, closure_type, frame_type, primitive_type, continuation_type;

static inline bool is(word w, neap_type type) {
    return neap_is_reference(w) && neap_type_of(w) == type;
}
static inline bool is_pair(word w) {
    return is(w, pair_type);
}
static inline bool is_symbol(word w) {
    return is(w, symbol_type);
}

/* heap.c */
void open_heap(const neap_config *config);
word cons(word car, word cdr);
word make_string(const char *bytes, size_t length);
word make_vector(size_t length, word fill);
word make_closure(word names, word body, word env);
word make_frame(word names, word values, word env);
word make_continuation(void);
word make_primitive(const char *name, function function, int least, int most);
word intern(const char *bytes, size_t length);
word intern_text(const char *text);
size_t symbol_count(void);
/* Gives a global variable its value. Its symbol is held from then on. */
void set_global(word name, word value);

/* Of what the caller knows to be a pair. */
static inline word car(word p) {
    return ((pair *)p)->car;
}
static inline word cdr(word p) {
    return ((pair *)p)->cdr;
}
static inline word cadr(word p) {
    return car(cdr(p));
}
static inline word cddr(word p) {
    return cdr(cdr(p));
}
static inline void set_car(word p, word value) {
    neap_store(heap, p, &((pair *)p)->car, value);
}
static inline void set_cdr(word p, word value) {
    neap_store(heap, p, &((pair *)p)->cdr, value);
}
static inline word list2(word a, word b) {
    return cons(a, cons(b, NIL));
}
static inline word list3(word a, word b, word c) {
    return cons(a, list2(b, c));
}
/* The length of a proper list; -1 for anything else. */
intptr_t list_length(word list);

/* read.c: the next datum of a text, or END_OF_TEXT; `*incomplete` is set if the text ends within one, if it is not NULL. */
word read_datum(const char **text, const char *end, bool *incomplete);

/* print.c: the text is the caller's, to be freed by free(). */
char *to_text(word value, bool quoted);
void print(word value, bool quoted);

/* expand.c: names of special forms, and derived forms. */
enum { QUOTE, QUASIQUOTE, UNQUOTE, UNQUOTE_SPLICING, IF, DEFINE, SET, LAMBDA, BEGIN, AND, OR, LET, LET_STAR, LETREC, COND, CASE, WHEN, UNLESS, DO, ELSE, ARROW, FORMS };
extern word forms[FORMS];
void make_forms(void);
/* Rewrites a derived form in place; false if `form` is none. */
bool expand(word form);

/* eval.c */
void make_evaluator(void);
word eval_toplevel(word form);
/* Reads and evaluates all of a text; the value of the last form. */
word eval_text(const char *text, size_t length);
/* What the evaluator does itself, since it needs the stack. */
extern word apply_primitive, callcc_primitive;

/* prims.c */
void make_primitives(void);

/* main.c: an error of the program; it goes back to the prompt, or ends the process. */
noreturn void fail(const char *message, word irritant);
void safepoint(void);
extern unsigned safepoint_every;
/* The program wants a whole collection. It can't be made in the middle of a step. */
extern bool collect_wanted;

#endif

/* What is built in, and what is written in Lisp itself. None of these functions comes to a safepoint. */

#include "lisp.h"

#include <stdio.h>
#include <stdlib.h>

static word first(word a) {
    return car(a);
}
static word second(word a) {
    return cadr(a);
}
static word third(word a) {
    return car(cddr(a));
}

static intptr_t to_integer(word w) {
    if (!is_fixnum(w)) {
        fail("no integer", w);
    }
    return fixnum(w);
}
static word checked(word w, neap_type type, const char *what) {
    if (!is(w, type)) {
        fail(what, w);
    }
    return w;
}
static word to_pair(word w) {
    return checked(w, pair_type, "no pair");
}
static string *to_string(word w) {
    return checked(w, string_type, "no string");
}
static size_t to_index(word w, size_t end) {
    intptr_t n = to_integer(w);
    if (n < 0 || (size_t)n >= end) {
        fail("out of range", w);
    }
    return (size_t)n;
}
static word from_integer(intptr_t n, bool overflow) {
    if (overflow || n > FIXNUM_MAX || n < FIXNUM_MIN) {
        fail("an integer that is too large", NULL);
    }
    return make_fixnum(n);
}

/* ---- numbers */

static word p_add(word a) {
    intptr_t sum = 0;
    for (; a != NIL; a = cdr(a)) {
        sum = fixnum(from_integer(sum + to_integer(car(a)), false));
    }
    return make_fixnum(sum);
}
static word p_subtract(word a) {
    intptr_t n = to_integer(car(a));
    if (cdr(a) == NIL) {
        return from_integer(-n, false);
    }
    for (a = cdr(a); a != NIL; a = cdr(a)) {
        n = fixnum(from_integer(n - to_integer(car(a)), false));
    }
    return make_fixnum(n);
}
static word p_multiply(word a) {
    intptr_t product = 1;
    for (; a != NIL; a = cdr(a)) {
        intptr_t n = to_integer(car(a));
        intptr_t most = n == 0 ? 0 : FIXNUM_MAX / (n < 0 ? -n : n);
        bool overflow = n != 0 && (product > most || product < -most);
        product = fixnum(from_integer(overflow ? 0 : product * n, overflow));
    }
    return make_fixnum(product);
}
static intptr_t divisor(word a) {
    intptr_t n = to_integer(second(a));
    if (n == 0) {
        fail("division by zero", NULL);
    }
    return n;
}
static word p_quotient(word a) {
    return from_integer(to_integer(first(a)) / divisor(a), false);
}
static word p_remainder(word a) {
    return from_integer(to_integer(first(a)) % divisor(a), false);
}
static word p_modulo(word a) {
    intptr_t n = divisor(a), r = to_integer(first(a)) % n;
    return from_integer(r != 0 && (r < 0) != (n < 0) ? r + n : r, false);
}

static bool in_order(word a, bool (*test)(intptr_t, intptr_t)) {
    for (; cdr(a) != NIL; a = cdr(a)) {
        if (!test(to_integer(car(a)), to_integer(cadr(a)))) {
            return false;
        }
    }
    return true;
}
static bool equal(intptr_t a, intptr_t b) {
    return a == b;
}
static bool less(intptr_t a, intptr_t b) {
    return a < b;
}
static bool greater(intptr_t a, intptr_t b) {
    return a > b;
}
static bool not_greater(intptr_t a, intptr_t b) {
    return a <= b;
}
static bool not_less(intptr_t a, intptr_t b) {
    return a >= b;
}
static word p_equal_numbers(word a) {
    return make_boolean(in_order(a, equal));
}
static word p_less(word a) {
    return make_boolean(in_order(a, less));
}
static word p_greater(word a) {
    return make_boolean(in_order(a, greater));
}
static word p_not_greater(word a) {
    return make_boolean(in_order(a, not_greater));
}
static word p_not_less(word a) {
    return make_boolean(in_order(a, not_less));
}

/* ---- pairs and lists */

static word p_cons(word a) {
    return cons(first(a), second(a));
}
static word p_car(word a) {
    return car(to_pair(first(a)));
}
static word p_cdr(word a) {
    return cdr(to_pair(first(a)));
}
static word p_set_car(word a) {
    set_car(to_pair(first(a)), second(a));
    return UNSPECIFIED;
}
static word p_set_cdr(word a) {
    set_cdr(to_pair(first(a)), second(a));
    return UNSPECIFIED;
}
static word p_list(word a) {
    return a;
}
static word p_length(word a) {
    intptr_t length = list_length(first(a));
    if (length < 0) {
        fail("no list", first(a));
    }
    return make_fixnum(length);
}
static word p_reverse(word a) {
    word reversed = NIL;
    for (word rest = first(a); rest != NIL; rest = cdr(to_pair(rest))) {
        reversed = cons(car(to_pair(rest)), reversed);
    }
    return reversed;
}
static word append2(word a, word b) {
    word all = b, last = NIL;
    for (; a != NIL; a = cdr(a)) {
        word next = cons(car(to_pair(a)), b);
        if (last == NIL) {
            all = next;
        } else {
            set_cdr(last, next);
        }
        last = next;
    }
    return all;
}
static word p_append(word a) {
    if (a == NIL) {
        return NIL;
    }
    return cdr(a) == NIL ? car(a) : append2(car(a), p_append(cdr(a)));
}
static word p_memv(word a) {
    word rest = second(a);
    while (is_pair(rest) && car(rest) != first(a)) {
        rest = cdr(rest);
    }
    return is_pair(rest) ? rest : FALSE;
}
static word p_assv(word a) {
    for (word rest = second(a); is_pair(rest); rest = cdr(rest)) {
        if (car(to_pair(car(rest))) == first(a)) {
            return car(rest);
        }
    }
    return FALSE;
}

/* ---- equality and kinds */

static bool same_string(word a, word b) {
    string *x = a, *y = b;
    return x->length == y->length && memcmp(x->bytes, y->bytes, x->length) == 0;
}
static bool is_equal(word a, word b, int depth) {
    if (depth > 10000) {
        fail("equal?: nested too deeply", NULL);
    }
    while (is_pair(a) && is_pair(b)) {
        if (!is_equal(car(a), car(b), depth + 1)) {
            return false;
        }
        a = cdr(a);
        b = cdr(b);
    }
    return a == b || (is(a, string_type) && is(b, string_type) && same_string(a, b));
}
static word p_eq(word a) {
    return make_boolean(first(a) == second(a));
}
static word p_equal(word a) {
    return make_boolean(is_equal(first(a), second(a), 0));
}
static word p_not(word a) {
    return make_boolean(first(a) == FALSE);
}
static word p_is_null(word a) {
    return make_boolean(first(a) == NIL);
}
static word p_is_pair(word a) {
    return make_boolean(is_pair(first(a)));
}
static word p_is_symbol(word a) {
    return make_boolean(is_symbol(first(a)));
}
static word p_is_string(word a) {
    return make_boolean(is(first(a), string_type));
}
static word p_is_number(word a) {
    return make_boolean(is_fixnum(first(a)));
}
static word p_is_vector(word a) {
    return make_boolean(is(first(a), vector_type));
}
static word p_is_procedure(word a) {
    word w = first(a);
    return make_boolean(is(w, closure_type) || is(w, primitive_type) || is(w, continuation_type));
}

/* ---- strings, symbols, vectors */

static word p_string_append(word a) {
    size_t length = 0, at = 0;
    for (word rest = a; rest != NIL; rest = cdr(rest)) {
        length += to_string(car(rest))->length;
    }
    string *all = make_string(NULL, length);
    for (; a != NIL; a = cdr(a)) {
        string *s = car(a);
        memcpy(all->bytes + at, s->bytes, s->length);
        at += s->length;
    }
    return all;
}
static word p_string_length(word a) {
    return make_fixnum((intptr_t)to_string(first(a))->length);
}
static word p_string_ref(word a) {
    string *s = to_string(first(a));
    return make_fixnum((unsigned char)s->bytes[to_index(second(a), s->length)]);
}
static word p_substring(word a) {
    string *s = to_string(first(a));
    size_t end = to_index(third(a), s->length + 1), start = to_index(second(a), end + 1);
    return make_string(s->bytes + start, end - start);
}
static word p_string_equal(word a) {
    return make_boolean(same_string(to_string(first(a)), to_string(second(a))));
}
static word p_number_to_string(word a) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)to_integer(first(a)));
    return make_string(text, strlen(text));
}
static word p_symbol_to_string(word a) {
    string *name = ((symbol *)checked(first(a), symbol_type, "no symbol"))->name;
    return make_string(name->bytes, name->length);
}
static word p_string_to_symbol(word a) {
    string *s = to_string(first(a));
    return intern(s->bytes, s->length);
}
static word p_make_vector(word a) {
    return make_vector(to_index(first(a), FIXNUM_MAX), cdr(a) == NIL ? make_fixnum(0) : second(a));
}
static vector *to_vector(word w) {
    return checked(w, vector_type, "no vector");
}
static word p_vector_length(word a) {
    return make_fixnum((intptr_t)to_vector(first(a))->length);
}
static word p_vector_ref(word a) {
    vector *v = to_vector(first(a));
    return v->slots[to_index(second(a), v->length)];
}
static word p_vector_set(word a) {
    vector *v = to_vector(first(a));
    neap_store(heap, v, &v->slots[to_index(second(a), v->length)], third(a));
    return UNSPECIFIED;
}

/* ---- the heap: weak maps, finalizers, figures */

static void must(neap_error error) {
    if (error != NEAP_OK) {
        fail(neap_error_text(error), NULL);
    }
}
static word p_make_weak_map(word a) {
    (void)a;
    word map = neap_weak_map_new(heap);
    if (map == NULL) {
        must(neap_last_error(heap));
    }
    return map;
}
static word p_weak_map_set(word a) {
    must(neap_weak_map_set(heap, first(a), second(a), third(a)));
    return UNSPECIFIED;
}
static word p_weak_map_ref(word a) {
    word value;
    neap_error error = neap_weak_map_get(heap, first(a), second(a), &value);
    if (error == NEAP_NOT_FOUND) {
        return FALSE;
    }
    must(error);
    return value;
}
static word p_weak_map_count(word a) {
    size_t cursor = 0;
    word key, value;
    intptr_t count = 0;
    neap_error error;
    while ((error = neap_weak_map_next(heap, first(a), &cursor, &key, &value)) == NEAP_OK) {
        count++;
    }
    if (error != NEAP_NOT_FOUND) {
        must(error);
    }
    return make_fixnum(count);
}
static word p_finalize(word a) {
    must(neap_set_finalizer(heap, first(a)));
    return UNSPECIFIED;
}
static word p_next_finalized(word a) {
    (void)a;
    word object = neap_next_finalizer(heap);
    return object == NULL ? FALSE : object;
}
static word p_symbol_count(word a) {
    (void)a;
    return make_fixnum((intptr_t)symbol_count());
}

/* ---- the world */

static word p_display(word a) {
    print(first(a), false);
    return UNSPECIFIED;
}
static word p_write(word a) {
    print(first(a), true);
    return UNSPECIFIED;
}
static word p_newline(word a) {
    (void)a;
    putchar('\n');
    return UNSPECIFIED;
}
static word p_error(word a) {
    string *s = to_string(first(a));
    char message[200];
    snprintf(message, sizeof message, "%.*s", (int)s->length, s->bytes);
    fail(message, cdr(a) == NIL ? NULL : second(a));
}
static word p_collect(word a) {
    (void)a;
    collect_wanted = true;
    return UNSPECIFIED;
}
static word evaluators(word a) {
    fail("not to be called so", a);
}

static const struct {
    const char *name;
    function function;
    int least, most;
} table[] = {
    {"+", p_add, 0, -1}, {"-", p_subtract, 1, -1}, {"*", p_multiply, 0, -1}, {"quotient", p_quotient, 2, 2},
    {"remainder", p_remainder, 2, 2}, {"modulo", p_modulo, 2, 2}, {"=", p_equal_numbers, 1, -1}, {"<", p_less, 1, -1},
    {">", p_greater, 1, -1}, {"<=", p_not_greater, 1, -1}, {">=", p_not_less, 1, -1}, {"cons", p_cons, 2, 2}, {"car", p_car, 1, 1},
    {"cdr", p_cdr, 1, 1}, {"set-car!", p_set_car, 2, 2}, {"set-cdr!", p_set_cdr, 2, 2}, {"list", p_list, 0, -1},
    {"length", p_length, 1, 1}, {"reverse", p_reverse, 1, 1}, {"append", p_append, 0, -1}, {"memq", p_memv, 2, 2},
    {"memv", p_memv, 2, 2}, {"assq", p_assv, 2, 2}, {"assv", p_assv, 2, 2}, {"eq?", p_eq, 2, 2}, {"eqv?", p_eq, 2, 2},
    {"equal?", p_equal, 2, 2}, {"not", p_not, 1, 1}, {"null?", p_is_null, 1, 1}, {"pair?", p_is_pair, 1, 1},
    {"symbol?", p_is_symbol, 1, 1}, {"string?", p_is_string, 1, 1}, {"number?", p_is_number, 1, 1}, {"vector?", p_is_vector, 1, 1},
    {"procedure?", p_is_procedure, 1, 1}, {"string-append", p_string_append, 0, -1}, {"string-length", p_string_length, 1, 1},
    {"string-ref", p_string_ref, 2, 2}, {"substring", p_substring, 3, 3}, {"string=?", p_string_equal, 2, 2},
    {"number->string", p_number_to_string, 1, 1}, {"symbol->string", p_symbol_to_string, 1, 1},
    {"string->symbol", p_string_to_symbol, 1, 1}, {"make-vector", p_make_vector, 1, 2}, {"vector-length", p_vector_length, 1, 1},
    {"vector-ref", p_vector_ref, 2, 2}, {"vector-set!", p_vector_set, 3, 3}, {"make-weak-map", p_make_weak_map, 0, 0},
    {"weak-map-set!", p_weak_map_set, 3, 3}, {"weak-map-ref", p_weak_map_ref, 2, 2}, {"weak-map-count", p_weak_map_count, 1, 1},
    {"finalize!", p_finalize, 1, 1}, {"next-finalized", p_next_finalized, 0, 0}, {"symbol-count", p_symbol_count, 0, 0},
    {"display", p_display, 1, 1}, {"write", p_write, 1, 1}, {"newline", p_newline, 0, 0}, {"error", p_error, 1, 2},
    {"collect", p_collect, 0, 0},
};

static const char prelude[] =
    "(define (cadr l) (car (cdr l))) (define (cddr l) (cdr (cdr l))) (define (caar l) (car (car l)))"
    "(define (cdar l) (cdr (car l))) (define (caddr l) (car (cddr l))) (define (cadddr l) (cadr (cddr l)))"
    "(define (zero? n) (= n 0))"
    "(define (abs n) (if (< n 0) (- n) n)) (define (max a b) (if (< a b) b a)) (define (min a b) (if (< a b) a b))"
    "(define (list-tail l n) (if (= n 0) l (list-tail (cdr l) (- n 1)))) (define (list-ref l n) (car (list-tail l n)))"
    "(define (map1 f l) (let loop ((l l) (done '())) (if (null? l) (reverse done) (loop (cdr l) (cons (f (car l)) done)))))"
    "(define (map f l . more) (if (null? more) (map1 f l)"
    "  (let loop ((all (cons l more)) (done '()))"
    "    (if (memq '() all) (reverse done) (loop (map1 cdr all) (cons (apply f (map1 car all)) done))))))"
    "(define (for-each f l) (if (pair? l) (begin (f (car l)) (for-each f (cdr l)))))"
    "(define (filter f l) (let loop ((l l) (done '()))"
    "  (cond ((null? l) (reverse done)) ((f (car l)) (loop (cdr l) (cons (car l) done))) (else (loop (cdr l) done)))))"
    "(define (fold f start l) (if (null? l) start (fold f (f (car l) start) (cdr l))))"
    "(define (member x l) (cond ((null? l) #f) ((equal? x (car l)) l) (else (member x (cdr l)))))"
    "(define (assoc x l) (cond ((null? l) #f) ((equal? x (caar l)) (car l)) (else (assoc x (cdr l)))))"
    "(define (iota n) (let loop ((n n) (done '())) (if (= n 0) done (loop (- n 1) (cons (- n 1) done)))))"
    "(define (vector->list v) (let loop ((i (vector-length v)) (l '()))"
    "  (if (= i 0) l (loop (- i 1) (cons (vector-ref v (- i 1)) l)))))"
    "(define (list->vector l) (let ((v (make-vector (length l)))) (let loop ((i 0) (l l))"
    "  (if (null? l) v (begin (vector-set! v i (car l)) (loop (+ i 1) (cdr l)))))))"
    "(define (vector . all) (list->vector all))"
    "(define (print . all) (for-each display all) (newline))";

static word define(const char *name, function function, int least, int most) {
    word p = make_primitive(name, function, least, most);
    set_global(intern_text(name), p);
    return p;
}

void make_primitives(void) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        define(table[i].name, table[i].function, table[i].least, table[i].most);
    }
    apply_primitive = define("apply", evaluators, 2, -1);
    callcc_primitive = define("call/cc", evaluators, 1, 1);
    eval_text(prelude, sizeof prelude - 1);
}

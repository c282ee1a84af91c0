/* The evaluator: five registers and a stack, all known to the heap. Between two steps it holds nothing else, so it may come to a safepoint there; tail calls
 * leave nothing on the stack; deep recursion is a deep stack of locals, of which an epoch end sees only what has changed.
 *
 * The stack holds what is to be done with a value: some words, and above them the number of the thing to do.
 */

#include "lisp.h"

#include <stdlib.h>

/* What is to be evaluated and where, the value, and a procedure with its arguments. */
static word exp_, env, value, procedure, arguments;
word apply_primitive, callcc_primitive;

enum { HALT, BRANCH, SEQUENCE, ASSIGN, DEFINING, OPERATOR, OPERAND, BOTH, EITHER };

static void push(word w) {
    if (neap_local_new(heap, w) == NULL) {
        fail("the stack is full", NULL);
    }
}

static word pop(void) {
    size_t top = neap_local_count(heap) - 1;
    word w = neap_local_get(neap_local_at(heap, top));
    neap_scope_close(heap, top);
    return w;
}

static void push_to_do(int what) {
    push(make_fixnum(what));
}

void make_evaluator(void) {
    word *const registers[] = {&exp_, &env, &value, &procedure, &arguments, &apply_primitive, &callcc_primitive};
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++) {
        *registers[i] = NIL;
        neap_root_add(heap, registers[i]);
    }
}

/* ---- variables */

/* Where a variable is: the object and the place in it. NULL if there is none. */
static word *find(word name, word where, word *object) {
    for (; where != NIL; where = ((frame *)where)->env) {
        frame *f = where;
        word names = f->names, *place = &f->values;
        *object = f;
        while (is_pair(names)) {
            if (car(names) == name) {
                *object = *place;
                return &((pair *)*place)->car;
            }
            names = cdr(names);
            *object = *place;
            place = &((pair *)*place)->cdr;
        }
        if (names == name) {
            return place;
        }
    }
    symbol *s = name;
    *object = s;
    return s->value == NULL ? NULL : &s->value;
}

static void set_variable(word name, word where, word to) {
    word object, *place = find(name, where, &object);
    if (place == NULL) {
        fail("undefined variable", name);
    }
    neap_store(heap, object, place, to);
}

static void define_variable(word name, word where, word to) {
    if (!is_symbol(name)) {
        fail("no name", name);
    }
    if (is(to, closure_type) && ((closure *)to)->name == NULL) {
        closure *c = to;
        neap_store(heap, c, &c->name, name);
    }
    if (where == NIL) {
        set_global(name, to);
        return;
    }
    frame *f = where;
    word values = f->values;
    for (word names = f->names; is_pair(names); names = cdr(names), values = cdr(values)) {
        if (car(names) == name) {
            set_car(values, to);
            return;
        }
    }
    neap_store(heap, f, &f->names, cons(name, f->names));
    neap_store(heap, f, &f->values, cons(to, f->values));
}

/* ---- the steps */

static void enter_closure(void) {
    closure *c = procedure;
    word names = c->names, given = arguments;
    while (is_pair(names) && is_pair(given)) {
        names = cdr(names);
        given = cdr(given);
    }
    if (is_pair(names) || (names == NIL && given != NIL)) {
        fail("wrong number of arguments for", procedure);
    }
    env = make_frame(c->names, arguments, c->env);
    exp_ = c->body;
}

/* A procedure is applied: true if there is something to evaluate now, false if there is a value. */
static bool apply(void) {
    if (is(procedure, closure_type)) {
        enter_closure();
        return true;
    }
    if (is(procedure, primitive_type)) {
        primitive *p = procedure;
        intptr_t count = list_length(arguments);
        if (count < p->least || (p->most >= 0 && count > p->most)) {
            fail("wrong number of arguments for", procedure);
        }
        if (procedure == apply_primitive) {
            /* The last argument is a list, and the others come before it. */
            word all = NIL, *last = &all, object = NULL;
            for (word rest = cdr(arguments); is_pair(rest); rest = cdr(rest)) {
                word next = cdr(rest) == NIL ? car(rest) : cons(car(rest), NIL);
                if (object == NULL) {
                    all = next;
                } else {
                    neap_store(heap, object, last, next);
                }
                object = next;
                last = &((pair *)next)->cdr;
            }
            if (list_length(all) < 0) {
                fail("apply: no list", all);
            }
            procedure = car(arguments);
            arguments = all;
            return apply();
        }
        if (procedure == callcc_primitive) {
            procedure = car(arguments);
            arguments = cons(make_continuation(), NIL);
            return apply();
        }
        value = p->function(arguments);
        return false;
    }
    if (is(procedure, continuation_type)) {
        continuation *k = procedure;
        neap_scope_close(heap, 0);
        for (size_t i = 0; i < k->length; i++) {
            push(k->slots[i]);
        }
        value = is_pair(arguments) ? car(arguments) : UNSPECIFIED;
        return false;
    }
    fail("no procedure", procedure);
}

static word check_names(word names) {
    word rest = names;
    for (; is_pair(rest); rest = cdr(rest)) {
        if (!is_symbol(car(rest))) {
            fail("no name", car(rest));
        }
    }
    if (rest != NIL && !is_symbol(rest)) {
        fail("no name", rest);
    }
    return names;
}

/* A special form: true if there is something to evaluate now, false if there is a value. `*known` is false if it is none. */
static bool special(bool *known) {
    word head = car(exp_), rest = cdr(exp_);
    intptr_t length = list_length(rest);
    *known = true;
    if (head == forms[QUOTE] && length == 1) {
        value = car(rest);
        return false;
    }
    if (head == forms[IF] && (length == 2 || length == 3)) {
        push(cdr(rest));
        push(env);
        push_to_do(BRANCH);
        exp_ = car(rest);
        return true;
    }
    if (head == forms[LAMBDA] && length >= 2) {
        word expressions = cdr(rest);
        value = make_closure(check_names(car(rest)), cdr(expressions) == NIL ? car(expressions) : cons(forms[BEGIN], expressions), env);
        return false;
    }
    if (head == forms[DEFINE] && length >= 2 && is_pair(car(rest))) {
        /* (define (name . names) body ...) */
        word function = cons(forms[LAMBDA], cons(cdr(car(rest)), cdr(rest)));
        word name = car(car(rest));
        set_cdr(exp_, list2(name, function));
        return true;
    }
    if ((head == forms[DEFINE] || head == forms[SET]) && length == 2) {
        push(car(rest));
        push(env);
        push_to_do(head == forms[SET] ? ASSIGN : DEFINING);
        exp_ = cadr(rest);
        return true;
    }
    if (head == forms[BEGIN] || head == forms[AND] || head == forms[OR]) {
        if (rest == NIL) {
            value = head == forms[BEGIN] ? UNSPECIFIED : make_boolean(head == forms[AND]);
            return false;
        }
        if (cdr(rest) != NIL) {
            push(cdr(rest));
            push(env);
            push_to_do(head == forms[BEGIN] ? SEQUENCE : head == forms[AND] ? BOTH : EITHER);
        }
        exp_ = car(rest);
        return true;
    }
    if (expand(exp_)) {
        return true;
    }
    *known = false;
    return false;
}

/* `exp_` in `env`: true if there is something else to evaluate now, false if there is a value. */
static bool evaluate(void) {
    if (is_symbol(exp_)) {
        word object, *place = find(exp_, env, &object);
        if (place == NULL) {
            fail("undefined variable", exp_);
        }
        value = *place;
        return false;
    }
    if (!is_pair(exp_)) {
        value = exp_;
        return false;
    }
    if (is_symbol(car(exp_))) {
        bool known;
        bool more = special(&known);
        if (known) {
            return more;
        }
    }
    push(cdr(exp_));
    push(env);
    push_to_do(OPERATOR);
    exp_ = car(exp_);
    return true;
}

/* The next operand, of those in `rest`; what has been evaluated is in `done`, in reverse. Applies if there is none. */
static bool next_operand(word rest, word done) {
    if (is_pair(rest)) {
        push(procedure);
        push(done);
        push(cdr(rest));
        push(env);
        push_to_do(OPERAND);
        exp_ = car(rest);
        return true;
    }
    /* A copy: a continuation that was made on the way may have the list too. */
    for (arguments = NIL; done != NIL; done = cdr(done)) {
        arguments = cons(car(done), arguments);
    }
    return apply();
}

/* One of several expressions has a value. */
static bool next_expression(int what) {
    env = pop();
    word rest = pop();
    if ((what == BOTH && value == FALSE) || (what == EITHER && value != FALSE)) {
        return false;
    }
    if (cdr(rest) != NIL) {
        push(cdr(rest));
        push(env);
        push_to_do(what);
    }
    exp_ = car(rest);
    return true;
}

/* There is a value: what was to be done with it. True if there is something to evaluate now. */
static bool go_on(int what) {
    switch (what) {
    case BRANCH: {
        env = pop();
        word branches = pop();
        if (value == FALSE && cdr(branches) == NIL) {
            value = UNSPECIFIED;
            return false;
        }
        exp_ = value != FALSE ? car(branches) : cadr(branches);
        return true;
    }
    case ASSIGN:
    case DEFINING: {
        word where = pop(), name = pop();
        if (what == ASSIGN) {
            set_variable(name, where, value);
        } else {
            define_variable(name, where, value);
        }
        value = UNSPECIFIED;
        return false;
    }
    case OPERATOR:
        env = pop();
        procedure = value;
        return next_operand(pop(), NIL);
    case OPERAND: {
        env = pop();
        word rest = pop(), done = pop();
        procedure = pop();
        return next_operand(rest, cons(value, done));
    }
    default:
        return next_expression(what);
    }
}

word eval_toplevel(word form) {
    static unsigned steps;
    exp_ = form;
    env = NIL;
    push_to_do(HALT);
    bool more = true;
    for (;;) {
        /* All that is held is in registers and on the stack. */
        if (++steps >= safepoint_every || collect_wanted) {
            steps = 0;
            if (collect_wanted || neap_wants_safepoint(heap)) {
                safepoint();
            }
        }
        if (more) {
            more = evaluate();
            continue;
        }
        intptr_t what = fixnum(pop());
        if (what == HALT) {
            exp_ = procedure = arguments = NIL;
            return value;
        }
        more = go_on((int)what);
    }
}

word eval_text(const char *text, size_t length) {
    const char *end = text + length;
    word last = UNSPECIFIED;
    for (;;) {
        word form = read_datum(&text, end, NULL);
        if (form == END_OF_TEXT) {
            return last;
        }
        last = eval_toplevel(form);
    }
}

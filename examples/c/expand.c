/* Derived forms, rewritten in place to those that the evaluator knows: QUOTE, IF, DEFINE, SET, LAMBDA, BEGIN, AND, OR. Since that is done where the form
 * stands (a store into its pair, behind the barrier), it is done once. */

#include "lisp.h"

#include <stdio.h>

word forms[FORMS];
static unsigned temporaries;

void make_forms(void) {
    static const char *const names[FORMS] = {"quote", "quasiquote", "unquote", "unquote-splicing", "if", "define", "set!", "lambda", "begin", "and", "or",
        "let", "let*", "letrec", "cond", "case", "when", "unless", "do", "else", "=>"};
    for (int i = 0; i < FORMS; i++) {
        forms[i] = intern_text(names[i]);
        neap_root_add(heap, &forms[i]);
    }
}

static bool begins_with(word form, int which) {
    return is_pair(form) && car(form) == forms[which];
}

static noreturn void malformed(word form) {
    fail("malformed", form);
}

/* The n-th datum of a form, which must be there. */
static word part(word form, int n) {
    word at = form;
    for (; n > 0 && is_pair(at); n--) {
        at = cdr(at);
    }
    if (!is_pair(at)) {
        malformed(form);
    }
    return car(at);
}

static word body(word expressions) {
    return cons(forms[BEGIN], expressions);
}

static word lambda(word names, word expressions) {
    return cons(forms[LAMBDA], cons(names, expressions));
}

/* A name that no program can write. */
static word temporary(void) {
    char name[32];
    snprintf(name, sizeof name, " t%u", temporaries++);
    return intern_text(name);
}

/* Splits bindings ((name value) ...) into two lists. */
static void split(word form, word bindings, word *names, word *values) {
    word last_name = NIL, last_value = NIL;
    *names = *values = NIL;
    for (; is_pair(bindings); bindings = cdr(bindings)) {
        word name = cons(part(car(bindings), 0), NIL), value = cons(part(car(bindings), 1), NIL);
        if (last_name == NIL) {
            *names = name;
            *values = value;
        } else {
            set_cdr(last_name, name);
            set_cdr(last_value, value);
        }
        last_name = name;
        last_value = value;
    }
    if (bindings != NIL) {
        malformed(form);
    }
}

static word expand_let(word form) {
    word names, values, second = part(form, 1);
    if (is_symbol(second)) {
        /* ((lambda () (define name (lambda names body)) (name values))) */
        split(form, part(form, 2), &names, &values);
        word loop = list3(forms[DEFINE], second, lambda(names, cdr(cddr(form))));
        return cons(lambda(NIL, list2(loop, cons(second, values))), NIL);
    }
    split(form, second, &names, &values);
    return cons(lambda(names, cddr(form)), values);
}

static word expand_let_star(word form) {
    word bindings = part(form, 1);
    if (!is_pair(bindings) || !is_pair(cdr(bindings))) {
        return cons(forms[LET], cdr(form));
    }
    word inner = cons(forms[LET_STAR], cons(cdr(bindings), cddr(form)));
    return list3(forms[LET], cons(car(bindings), NIL), inner);
}

static word expand_letrec(word form) {
    word expressions = cddr(form), bindings = part(form, 1), defines = NIL;
    for (; is_pair(bindings); bindings = cdr(bindings)) {
        defines = cons(list3(forms[DEFINE], part(car(bindings), 0), part(car(bindings), 1)), defines);
    }
    /* The body stands in a scope of its own. */
    word all = cons(cons(lambda(NIL, expressions), NIL), NIL);
    for (; is_pair(defines); defines = cdr(defines)) {
        all = cons(car(defines), all);
    }
    return cons(lambda(NIL, all), NIL);
}

static word expand_cond(word form) {
    word clauses = cdr(form);
    if (clauses == NIL) {
        return list2(forms[QUOTE], UNSPECIFIED);
    }
    word clause = part(form, 1), rest = cons(forms[COND], cdr(clauses));
    if (begins_with(clause, ELSE)) {
        return body(cdr(clause));
    }
    if (!is_pair(clause)) {
        malformed(form);
    }
    if (cdr(clause) == NIL) {
        return list3(forms[OR], car(clause), rest);
    }
    if (cadr(clause) == forms[ARROW]) {
        word t = temporary();
        word test = cons(forms[IF], list3(t, list2(part(clause, 2), t), rest));
        return list3(forms[LET], cons(list2(t, car(clause)), NIL), test);
    }
    return cons(forms[IF], list3(car(clause), body(cdr(clause)), rest));
}

static word expand_case(word form) {
    word t = temporary(), clauses = NIL, last = NIL;
    for (word rest = cddr(form); is_pair(rest); rest = cdr(rest)) {
        word clause = car(rest), new;
        if (begins_with(clause, ELSE)) {
            new = clause;
        } else {
            new = cons(list3(intern_text("memv"), t, list2(forms[QUOTE], part(clause, 0))), cdr(clause));
        }
        new = cons(new, NIL);
        if (last == NIL) {
            clauses = new;
        } else {
            set_cdr(last, new);
        }
        last = new;
    }
    return list3(forms[LET], cons(list2(t, part(form, 1)), NIL), cons(forms[COND], clauses));
}

/* (do ((name first step) ...) (test result ...) body ...) */
static word expand_do(word form) {
    word bindings = NIL, steps = NIL, loop = temporary(), test = part(form, 2);
    for (word rest = part(form, 1); is_pair(rest); rest = cdr(rest)) {
        word name = part(car(rest), 0), more = cddr(car(rest));
        bindings = cons(list2(name, part(car(rest), 1)), bindings);
        steps = cons(is_pair(more) ? car(more) : name, steps);
    }
    /* Both are in reverse now, and so still fit together. */
    word again = cons(loop, steps), expressions = cons(again, NIL);
    word here = body(NIL), last = here;
    for (word rest = cdr(cddr(form)); is_pair(rest); rest = cdr(rest)) {
        word next = cons(car(rest), NIL);
        set_cdr(last, next);
        last = next;
    }
    set_cdr(last, expressions);
    word results = cdr(test) == NIL ? list2(forms[QUOTE], UNSPECIFIED) : body(cdr(test));
    return cons(forms[LET], list3(loop, bindings, cons(forms[IF], list3(part(test, 0), results, here))));
}

static word quasi(word template, int depth) {
    if (!is_pair(template)) {
        return list2(forms[QUOTE], template);
    }
    if (begins_with(template, UNQUOTE)) {
        return depth == 1 ? part(template, 1)
                          : list3(intern_text("list"), list2(forms[QUOTE], forms[UNQUOTE]), quasi(part(template, 1), depth - 1));
    }
    if (begins_with(template, QUASIQUOTE)) {
        return list3(intern_text("list"), list2(forms[QUOTE], forms[QUASIQUOTE]), quasi(part(template, 1), depth + 1));
    }
    if (begins_with(car(template), UNQUOTE_SPLICING) && depth == 1) {
        return list3(intern_text("append"), part(car(template), 1), quasi(cdr(template), depth));
    }
    return list3(intern_text("cons"), quasi(car(template), depth), quasi(cdr(template), depth));
}

bool expand(word form) {
    word head = car(form), new;
    if (head == forms[LET]) {
        new = expand_let(form);
    } else if (head == forms[LET_STAR]) {
        new = expand_let_star(form);
    } else if (head == forms[LETREC]) {
        new = expand_letrec(form);
    } else if (head == forms[COND]) {
        new = expand_cond(form);
    } else if (head == forms[CASE]) {
        new = expand_case(form);
    } else if (head == forms[WHEN]) {
        new = list3(forms[IF], part(form, 1), body(cddr(form)));
    } else if (head == forms[UNLESS]) {
        new = cons(forms[IF], list3(part(form, 1), list2(forms[QUOTE], UNSPECIFIED), body(cddr(form))));
    } else if (head == forms[DO]) {
        new = expand_do(form);
    } else if (head == forms[QUASIQUOTE]) {
        new = quasi(part(form, 1), 1);
        if (!is_pair(new)) {
            new = cons(forms[BEGIN], cons(new, NIL));
        }
    } else {
        return false;
    }
    set_car(form, car(new));
    set_cdr(form, cdr(new));
    return true;
}

//! The Scheme of `examples/scheme`: its programs print what they should, also if the heap is collected and audited all the time; and no text, however wrong, ends the
//! process.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use runtime::{Interpreter, Options, STACK_BYTES, Stop};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[path = "../examples/scheme/runtime/mod.rs"]
mod runtime;

/// On a stack as large as the example has.
fn on_a_large_stack<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).unwrap();
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// An interpreter, and what it has printed.
fn interpreter(options: Options) -> (Interpreter, Arc<Mutex<Vec<u8>>>) {
    let output = Arc::new(Mutex::new(Vec::new()));
    let sink = output.clone();
    let interpreter = Interpreter::new(options, move |text| sink.lock().unwrap().extend_from_slice(text));
    (interpreter.unwrap(), output)
}

/// What a text prints, and how it ends.
fn run(options: Options, text: &str) -> (String, Result<(), Stop>) {
    let text = text.to_string();
    on_a_large_stack(move || {
        let (mut interpreter, output) = interpreter(options);
        let result = interpreter.run(&text);
        interpreter.audit().unwrap();
        let output = String::from_utf8(output.lock().unwrap().clone()).unwrap();
        (output, result)
    })
}

fn value(text: &str) -> String {
    let text = text.to_string();
    on_a_large_stack(move || {
        let (mut interpreter, _) = interpreter(Options { steps: 10_000_000, ..Options::default() });
        match interpreter.run(&text) {
            Ok(()) => interpreter.last_value().unwrap_or_default(),
            Err(stop) => format!("{stop:?}"),
        }
    })
}

fn programs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scheme/programs");
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "scm"));
    all.sort();
    assert!(all.len() >= 15, "programs are missing");
    all
}

fn check_programs(options: &Options) {
    for path in programs() {
        let expected = fs::read_to_string(path.with_extension("out")).unwrap();
        let (output, result) = run(options.clone(), &fs::read_to_string(&path).unwrap());
        assert_eq!((output, result), (expected, Ok(())), "{}", path.display());
    }
}

#[test]
fn programs_print_what_they_should() {
    check_programs(&Options { small: true, ..Options::default() });
}

#[test]
fn programs_print_the_same_under_stress() {
    check_programs(&Options { small: true, stress: Some(800), ..Options::default() });
}

#[test]
fn a_collection_at_every_step_changes_nothing() {
    let text = "(define (f n) (if (= n 0) '() (cons (call/cc (lambda (k) (k n))) (f (- n 1)))))
                (define k #f)
                (define n 0)
                (write (list (f 5) (guard (e (#t (list 'caught e))) (dynamic-wind list (lambda () (raise 'x)) list))))
                (let ((v (vector 1 (call/cc (lambda (c) (set! k c) 2)) (list 3))))
                  (set! n (+ n 1))
                  (if (< n 3) (k n) (write v)))";
    let (output, result) = run(Options { stress: Some(1), ..Options::default() }, text);
    assert_eq!((output.as_str(), result), ("((5 4 3 2 1) (caught x))#(1 2 (3))", Ok(())));
}

#[test]
fn a_program_that_redefines_primitives_gets_its_own() {
    // `car` is compiled as a primitive in `f`, before anybody knows that it will be another.
    assert_eq!(value("(define (f x) (+ 1 (car x))) (f '(1)) (begin (set! car cadr) (f '(1 2)))"), "3");
    assert_eq!(value("(define (square x) 'mine) (square 2)"), "mine");
    assert_eq!(value("(define car cdr) (map (lambda (x) x) '(1 2))"), "(1 2)");
}

#[test]
fn errors_say_what_and_where() {
    let error = |text| match run(Options::default(), text).1 {
        Err(Stop::Error(message)) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(error("(car 5)"), "no pair 5");
    assert_eq!(error("(vector-ref (vector 1) 1)"), "no such index 1");
    assert_eq!(error("(display 1)\n(foo)"), "not defined foo");
    assert_eq!(error("(error \"no:\" 'a \"b\")"), "no: a \"b\"");
    assert_eq!(error("(raise '(1 2))"), "raised: (1 2)");
    assert_eq!(error("\n\n(a . )"), "syntax: line 3: nothing stands behind a dot");
    assert_eq!(error("(display \"x\")) 1"), "syntax: line 1: a bracket is closed that is not open");
    assert_eq!(error("(+ 1/2 1)"), "syntax: line 1: 1/2: there are no rationals");
    assert_eq!(error("(if)"), "not well formed (if)");
    assert_eq!(error("(let ((x 1) (x 2)) x)"), "a name is bound twice (let ((x 1) (x 2)) x)");
    assert_eq!(error("(let () (car (define x 1)))"), "a definition stands where an expression belongs (define x 1)");
    assert_eq!(run(Options::default(), "(exit 7)").1, Err(Stop::Exit(7)));
}

#[test]
fn nesting_without_end_is_an_error() {
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for text in [
        nested("(", ")"),
        nested("'(", ")"),
        nested("(lambda () ", ")"),
        nested("(let ((x ", ")) x)"),
        nested("`(,", ")"),
        nested("#(", ")"),
        nested("(if ", " 2 3)"),
        "'".repeat(100_000) + "1",
        "(".repeat(100_000),
        "#|".repeat(100_000),
        format!("(define-syntax m (syntax-rules () ((_ {}) 1))) (m 1)", nested("(", ")")),
        format!("(define-syntax m (syntax-rules () ((_) {}))) (m)", nested("(", ")")),
        "(define-syntax m (syntax-rules () ((_) (m)))) (m)".to_string(),
        "(define-syntax m (syntax-rules () ((_) (list (m))))) (m)".to_string(),
        "(define-syntax m (syntax-rules () ((_ a ...) (m a ... a ...)))) (m 1 2)".to_string(),
    ] {
        let (_, result) = run(Options { limit_bytes: 64 << 20, ..Options::default() }, &text);
        let begin: String = text.chars().take(40).collect();
        assert!(matches!(result, Err(Stop::Error(_))), "{begin} ends with {result:?}");
    }
}

#[test]
fn depth_of_data_and_calls_is_bounded_by_memory_alone() {
    assert_eq!(value("(define (f n) (if (= n 0) 0 (+ 1 (f (- n 1))))) (f 200000)"), "200000");
    let deep = "(define (nest n) (let next ((n n) (l '())) (if (= n 0) l (next (- n 1) (vector l)))))";
    assert_eq!(value(&format!("{deep} (equal? (nest 200000) (nest 200000))")), "#t");
    // Rings of lengths without a common divisor: every element of one is compared with every one of the other, if nobody remembers.
    let ring = "(define (ring n) (let ((l (make-list n 1))) (set-cdr! (last-pair l) l) l))";
    assert_eq!(value(&format!("{ring} (equal? (ring 100003) (ring 100019))")), "#t");
    let (output, result) = run(Options::default(), &format!("{deep} (write (nest 100000))"));
    assert_eq!((output.len(), result), (3 * 100_000 + 2, Ok(())));
}

#[test]
fn memory_that_is_refused_is_an_error_that_can_be_handled() {
    let limited = || Options { limit_bytes: 24 << 20, ..Options::default() };
    let text = "(define (refused thunk) (guard (e ((out-of-memory? e) 'refused)) (thunk)))
                (define (all-of n) (let grow ((l '())) (grow (cons l l))))
                (write (refused (lambda () (make-vector 100000000 0))))
                (write (refused (lambda () (let grow ((l '())) (grow (cons 1 l))))))
                (write (refused (lambda () (let deeper ((n 0)) (+ 1 (deeper n))))))
                (write (refused (lambda () (let grow ((s \"x\")) (grow (string-append s s))))))
                (write (refused (lambda () (let ((t (make-equal-hash-table))) (let grow ((n 0)) (hash-table-set! t n n) (grow (+ n 1)))))))
                (write (length (iota 10000)))";
    let (output, result) = run(limited(), text);
    assert_eq!((output.as_str(), result), ("refusedrefusedrefusedrefusedrefused10000", Ok(())));
    // What would be large is never made outside of the heap.
    for append in [
        "string-append (make-list 100000 (make-string 1000000 #\\x))",
        "vector-append (make-list 100000 (make-vector 1000000 0))",
    ] {
        let text = format!("(write (guard (e ((out-of-memory? e) 'refused)) (apply {append})))");
        assert_eq!(run(Options { limit_bytes: 64 << 20, ..Options::default() }, &text), ("refused".to_string(), Ok(())));
    }
    // Nobody handles it: that is an end like that of any other error.
    let (_, result) = run(limited(), "(define l '()) (let grow () (set! l (cons 1 l)) (grow))");
    assert_eq!(result, Err(Stop::Error("out of memory".to_string())));
    // Data that are shared many times are small, and endless as a text.
    let (_, result) = run(Options::default(), "(write (let next ((n 60) (l 1)) (if (= n 0) l (next (- n 1) (list l l)))))");
    assert_eq!(result, Err(Stop::Error("too long to be printed".to_string())));
}

#[test]
fn a_session_knows_what_is_unfinished_and_goes_on_after_errors() {
    on_a_large_stack(|| {
        let (mut session, _) = interpreter(Options::default());
        for (text, unfinished) in
            [("(f", true), ("\"a", true), ("'", true), ("(f) 1", false), (")", false), ("#|", true), ("", false)]
        {
            assert_eq!(session.is_unfinished(text), unfinished, "{text}");
        }
        session.run("(define k #f) (define n 0)").unwrap();
        assert_eq!(session.last_value(), None);
        session.run("(+ 1 (call/cc (lambda (c) (set! k c) 1)))").unwrap();
        assert_eq!(session.last_value().as_deref(), Some("2"));
        session.run("(dynamic-wind list (lambda () (car 1)) (lambda () (set! n 5)))").unwrap_err();
        session.run("(k 5)").unwrap();
        assert_eq!(session.last_value().as_deref(), Some("6"));
        assert!(session.counters().allocated_objects > 0 && session.peak_bytes() > 0);
        assert!(session.stops().max_ns >= session.stops().p50_ns);
    });
}

/// Texts of pieces of programs in any order. They may do what they like but end the process, or leave a heap that is not in order.
#[test]
fn no_text_ends_the_process() {
    const PIECES: &[&str] = &[
        "(",
        "(",
        "(",
        ")",
        ")",
        ")",
        "'",
        "`",
        ",",
        ",@",
        ".",
        "#(",
        "#;",
        "1",
        "-5",
        "1.5",
        "\"s\"",
        "#\\a",
        "#t",
        "()",
        "x",
        "y",
        "f",
        "...",
        "_",
        "else",
        "=>",
        "(define x ",
        "(define (f x) ",
        "(lambda (x) ",
        "(lambda x ",
        "(let ((x 1)) ",
        "(let f ((x 3)) ",
        "(letrec ((f ",
        "(if ",
        "(set! x ",
        "(begin ",
        "(cond ",
        "(case x ",
        "(do ((x 0 (+ x 1))) ",
        "(guard (e (#t e)) ",
        "(call/cc (lambda (k) ",
        "(k ",
        "(define-syntax m (syntax-rules () ((_ x ...) ",
        "((_ x) ",
        "(m ",
        "(let-syntax ((m ",
        "(syntax-rules () ",
        "(quasiquote ",
        "(apply ",
        "(map ",
        "(vector-ref ",
        "(set-cdr! x ",
        "(vector ",
        "(list ",
        "(cons ",
        "(car ",
        "(values ",
        "(call-with-values ",
        "(dynamic-wind ",
        "(raise ",
        "(with-exception-handler ",
        "(error ",
        "(string-append ",
        "(list->string ",
        "(hash-table-set! ",
        "(make-hash-table)",
        "(delay ",
        "(force ",
        "(make-vector ",
        "(define-record-type ",
        "(%throw ",
        "(%set-dynamic! ",
        "(%winds ",
        "(%with-winds ",
        "(%rewind ",
        "(%install! ",
        "(make-parameter ",
        "(parameterize ((x ",
        "(sort ",
        "(weak-cons ",
        "(make-ephemeron ",
        "(write ",
        "(equal? ",
        "(gc)",
        "(gc-stats)",
        "(%promise-adopt! ",
        "(append ",
        "(length ",
        "(let-values (((x y) ",
        "(exit)",
        "(substring ",
        "(expt ",
        "(iota ",
    ];
    on_a_large_stack(|| {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(0x5c4e3e);
        for round in 0..60 {
            let stress = (round % 4 == 0).then_some(50);
            let options = Options { limit_bytes: 32 << 20, steps: 20_000, stress, ..Options::default() };
            let (mut interpreter, _) = interpreter(options);
            for _ in 0..20 {
                let count = 3 + dice.next_u64() % 40;
                let mut text: String =
                    (0..count).map(|_| PIECES[dice.next_u64() as usize % PIECES.len()].to_string() + " ").collect();
                // Mostly, what is open is closed.
                let open = text.matches('(').count().saturating_sub(text.matches(')').count());
                text.push_str(&")".repeat(open));
                let _ = interpreter.run(&text);
            }
            interpreter.audit().unwrap();
        }
    });
}

; syntax-rules: patterns, and names that macros put in.
(define (show name value) (display name) (display ": ") (write value) (newline))

;;; What a macro binds is not seen by what it is given.
(define-syntax swap!
  (syntax-rules () ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))
(show "a name of the program's" (let ((tmp 1) (other 2)) (swap! tmp other) (list tmp other)))
(define-syntax my-or
  (syntax-rules () ((_) #f) ((_ e) e) ((_ e more ...) (let ((t e)) (if t t (my-or more ...))))))
(show "one bound again and again" (let ((t 5)) (my-or #f #f t)))

;;; What a macro refers to is what stands around its definition.
(define x 'outer)
(define-syntax the-x (syntax-rules () ((_) x)))
(show "a global variable" (let ((x 'inner)) (the-x)))
(show "a local variable"
  (let ((y 'outer))
    (let-syntax ((the-y (syntax-rules () ((_) y))))
      (let ((y 'inner)) (list y (the-y))))))
(show "a keyword" (let ((if list)) (my-or #f 6)))
(show "a procedure" (let ((list vector)) (let-values (((a b) (values 1 2))) (cons a b))))
(show "set! through a macro"
  (let ((n 0))
    (let-syntax ((next! (syntax-rules () ((_) (begin (set! n (+ n 1)) n)))))
      (let ((n 10)) (next!) (list n (next!))))))

;;; Literals match what means the same.
(define-syntax is-else (syntax-rules (else) ((_ else) #t) ((_ other) #f)))
(show "a literal" (list (is-else else) (is-else 1) (let ((else 1)) (is-else else))))
(define-syntax arrow (syntax-rules (->) ((_ a -> b) '(b a)) ((_ a b c) '(a b c))))
(show "one of the program's own" (list (arrow 1 -> 2) (arrow 1 2 3)))

;;; Patterns.
(define-syntax parts
  (syntax-rules ()
    ((_ #(a b ...) c) '(vector a (b ...) c))
    ((_ (a . b)) '(dotted a b))
    ((_ "text" a) '(string a))
    ((_ a ... (b) c) '(tail (a ...) b c))))
(show "of vectors, pairs, constants, tails"
  (list (parts #(1 2 3) 4) (parts (1 2 . 3)) (parts "text" 5) (parts 1 2 3 (4) 5) (parts (6) 7)))
(define-syntax nested
  (syntax-rules () ((_ ((a b ...) ...) ...) '((a ... ...) ((b ... ...) ...)))))
(show "nested ellipses" (nested ((1 2 3) (4)) ((5 6))))
(define-syntax my-let
  (syntax-rules ()
    ((_ ((name value) ...) body ...) ((lambda (name ...) body ...) value ...))
    ((_ loop ((name value) ...) body ...)
     ((letrec ((loop (lambda (name ...) body ...))) loop) value ...))))
(show "my own let" (my-let ((a 1) (b 2)) (+ a b)))
(show "my own named let" (my-let next ((n 5) (all '())) (if (= n 0) all (next (- n 1) (cons n all)))))
(define-syntax underscore (syntax-rules () ((_ _ a _) 'a)))
(show "underscores" (underscore 1 2 3))
(define-syntax own-ellipsis (syntax-rules ::: () ((_ a :::) '(a ::: ...))))
(show "an ellipsis of its own" (own-ellipsis 1 2))

;;; Macros that make macros.
(define-syntax define-alias
  (syntax-rules ()
    ((_ new old) (define-syntax new (syntax-rules () ((_ argument (... ...)) (old argument (... ...))))))))
(define-alias sequence begin)
(show "an alias" (sequence 1 2 3))
(define-syntax define-getter
  (syntax-rules () ((_ name value) (begin (define hidden value) (define (name) hidden)))))
(show "definitions of a body"
  (let ()
    (define-getter one 1)
    (define-getter two 2)
    (list (one) (two))))
(define-syntax while
  (syntax-rules ()
    ((_ test body ...) (let loop () (when test body ... (loop))))))
(show "a loop" (let ((loop 0)) (while (< loop 3) (set! loop (+ loop 1))) loop))
(show "local macros that call each other"
  (letrec-syntax
      ((even (syntax-rules () ((_) #t) ((_ a . more) (odd . more))))
       (odd (syntax-rules () ((_) #f) ((_ a . more) (even . more)))))
    (list (even 1 2 3 4) (even 1 2 3))))
(show "a macro of a body"
  (let ()
    (define-syntax twice (syntax-rules () ((_ e) (begin e e))))
    (define n 0)
    (twice (set! n (+ n 1)))
    n))
; A binding that shadows a macro ends it.
(show "a variable in its place" (let ((while (lambda (a b) (list a b)))) (while 1 2)))
; Continuation-passing macros: a list that is turned while programs are compiled.
(define-syntax turned
  (syntax-rules () ((_ () done) 'done) ((_ (a more ...) (done ...)) (turned (more ...) (a done ...)))))
(show "turned" (turned (1 2 3 4) ()))
; The prelude's macros do not care what a program makes of names.
(define (list . arguments) 'mine)
(define (memv . arguments) 'mine)
(define-syntax begin2 (syntax-rules () ((_ e) e)))
(show "the standard ones" (case 2 ((1 2) (let-values ((all (values 1 2))) all)) (else 'no)))

; Where implementations of Scheme go wrong. Each line is what the report demands.
(define (show name value) (display name) (display ": ") (write value) (newline))

;;; A continuation that is entered again finds the other operands, and variables, as they were.

; All values of a letrec are there before its variables have them: the second round gives x its first value back.
(show "letrec and call/cc"
  (let ((again #f))
    (letrec ((x (call/cc (lambda (k) (set! again k) 1)))
             (y (call/cc (lambda (k) (set! again k) 2))))
      (if again
          (let ((k again))
            (set! again #f)
            (set! x 10)
            (set! y 20)
            (k 3))
          (list x y)))))

; Each call/cc makes a continuation of its own.
(show "generative"
  (let ((one #f) (two #f))
    (call/cc (lambda (k) (set! one k)))
    (call/cc (lambda (k) (set! two k)))
    (eq? one two)))
; A body that is entered once more defines its variables once more.
(show "body entered twice"
  (let ()
    (define first (call/cc (lambda (k) k)))
    (define second (list first))
    (if (procedure? first) (first 'again) (list first second))))

; map must not change a list that an earlier return has got.
(show "map entered twice"
  (let ((k #f) (rounds 0) (results '()))
    (let ((list (map (lambda (n) (call/cc (lambda (next) (if (= n 2) (set! k next)) n))) '(1 2 3))))
      (set! results (cons list results))
      (set! rounds (+ rounds 1))
      (if (< rounds 3) (k (* 10 rounds)) results))))
(show "vector-map entered twice"
  (let ((k #f) (rounds 0) (results '()))
    (let ((vector (vector-map (lambda (n) (call/cc (lambda (next) (if (= n 2) (set! k next)) n))) '#(1 2 3))))
      (set! results (cons vector results))
      (set! rounds (+ rounds 1))
      (if (< rounds 3) (k (* 10 rounds)) results))))
; The operands that were evaluated before.
(show "operands entered twice"
  (let ((k #f) (rounds 0) (results '()))
    (define (one) 1)
    (let ((values (list (one) (call/cc (lambda (next) (set! k next) 0)) (one))))
      (set! results (cons values results))
      (set! rounds (+ rounds 1))
      (if (< rounds 3) (k rounds) (reverse results)))))
; A variable that is set is shared by all who enter; a value that was taken is not.
(show "set! and call/cc"
  (let ((k #f) (n 0) (rounds 0))
    (let* ((taken n) (sum (+ taken (call/cc (lambda (next) (set! k next) 1)))))
      (set! n (+ n 100))
      (set! rounds (+ rounds 1))
      (if (< rounds 3) (k rounds) (list n sum)))))
; A loop that gets its next round from outside.
(show "a generator"
  (let ((out #f) (resume #f))
    (define (next)
      (call/cc
       (lambda (return)
         (set! out return)
         (if resume
             (resume #f)
             (begin
               (for-each (lambda (n) (call/cc (lambda (k) (set! resume k) (out n)))) '(a b c))
               (out 'end))))))
    (let* ((x (next)) (y (next)) (z (next)) (w (next))) (list x y z w))))

;;; Whatever is not a keyword here is none.

(show "a keyword as a variable" (let ((if list)) (if 1 2 3)))
(show "=> as a variable" (let ((=> #f)) (cond (#t => 'yes))))
(show "else as a variable" (let ((else #f)) (cond (else 'no) (#t 'yes))))
(show "quasiquote as data" '(quasiquote (a (unquote b))))
(show "define as a parameter" ((lambda (define) (define 5)) (lambda (x) (* x x))))
(show "begin of a body" (let () (begin (define x 1) (define y 2)) (+ x y)))
(show "a definition refers to a later one" (let () (define (f) (g)) (define (g) 'g) (f)))
(show "a name that is used before it has a value"
  (guard (e ((error-object? e) 'refused)) (letrec ((a b) (b 1)) a)))

;;; Tail calls.

(define (count-down n how)
  (define (go n)
    (case how
      ((if) (if (= n 0) 'done (go (- n 1))))
      ((cond) (cond ((= n 0) 'done) (else (go (- n 1)))))
      ((cond=>) (cond ((= n 0) 'done) ((- n 1) => go)))
      ((and) (and #t (if (= n 0) 'done (go (- n 1)))))
      ((or) (or #f (if (= n 0) 'done (go (- n 1)))))
      ((case) (case n ((0) 'done) (else (go (- n 1)))))
      ((when) (when #t (if (= n 0) 'done (go (- n 1)))))
      ((do) (do () (#t (if (= n 0) 'done (go (- n 1))))))
      ((let) (let* ((m n)) (letrec ((k m)) (if (= k 0) 'done (go (- k 1))))))
      ((begin) (begin 1 (if (= n 0) 'done (go (- n 1)))))
      ((apply) (if (= n 0) 'done (apply go (list (- n 1)))))
      ((call/cc) (if (= n 0) 'done (call/cc (lambda (k) (go (- n 1))))))
      ((values) (if (= n 0) 'done (call-with-values (lambda () (- n 1)) go)))
      ((body) (let () (define m n) (if (= m 0) 'done (go (- m 1)))))))
  (go n))
; The frames of a million calls would not fit into the test's limit.
(define deep (if (small?) 300 200000))
(show "tail positions"
  (map (lambda (how) (count-down deep how))
       '(if cond cond=> and or case when do let begin apply call/cc values body)))
(define (even-one? n) (or (= n 0) (odd-one? (- n 1))))
(define (odd-one? n) (and (not (= n 0)) (even-one? (- n 1))))
(show "two that call each other" (even-one? (* 2 deep)))

;;; Values, equality, numbers.

(show "no values" (call-with-values (lambda () (values)) list))
(show "values through call/cc" (call-with-values (lambda () (call/cc (lambda (k) (k 1 2 3)))) list))
(show "eqv? of numbers" (list (eqv? 1 1.) (eqv? 2 2) (eqv? 0. -0.) (= 0. -0.) (eqv? "" "") (eqv? '() '())))
(show "equal?" (list (equal? '(1 #(2 "x")) (list 1 (vector 2 "x"))) (equal? 1 1.)))
(show "comparison of many" (list (< 1 2 3) (< 1 3 2) (= 1 1. 1) (<= 1 1 2)))
(show "exactness" (list (+ 1 2.) (* 0 1.5) (max 1 2.) (exact 2.) (/ 6 3) (/ 1 4)))
(show "division" (list (quotient -7 2) (remainder -7 2) (modulo -7 2) (modulo 7 -2) (floor-quotient -7 2)))
(show "rounding" (list (round 2.5) (round 3.5) (round -2.5) (truncate -2.7) (floor -2.7) (ceiling 2.1)))
(show "a sum that does not fit" (list (+ 9223372036854775807 1) (* 4611686018427387904 4)))
(show "strings as numbers" (list (string->number "ff" 16) (string->number "1e2") (string->number "x")))
(show "empty combinations" (list (+) (*) (and) (or) (append) (append '() 5) (list)))

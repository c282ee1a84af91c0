; dynamic-wind, handlers, parameters, promises: what is in force, and where.
(define (show name value) (display name) (display ": ") (write value) (newline))
(define trace '())
(define (note! x) (set! trace (cons x trace)))
(define (traced thunk) (set! trace '()) (let ((value (thunk))) (list value (reverse trace))))
(define (within name thunk) (dynamic-wind (lambda () (note! (list 'in name))) thunk (lambda () (note! (list 'out name)))))

(show "straight through" (traced (lambda () (within 'a (lambda () (note! 'body) 1)))))
(show "left" (traced (lambda () (call/cc (lambda (k) (within 'a (lambda () (within 'b (lambda () (k 2))))))))))
(show "entered again"
  (traced
   (lambda ()
     (let ((again #f) (rounds 0))
       (within 'a (lambda () (call/cc (lambda (k) (set! again k))) (note! rounds)))
       (set! rounds (+ rounds 1))
       (if (< rounds 3) (again #f) rounds)))))
(show "from one into another"
  (traced
   (lambda ()
     (let ((into #f) (done #f))
       (within 'a (lambda () (within 'b (lambda () (call/cc (lambda (k) (set! into k)))))))
       (if (not done)
           (begin (set! done #t) (within 'c (lambda () (into #f))))
           'end)))))
(show "left while leaving"
  (traced
   (lambda ()
     (call/cc
      (lambda (k)
        (dynamic-wind (lambda () (note! 'in))
                      (lambda () 'body)
                      (lambda () (note! 'out) (k 'escaped))))))))
(show "several values" (call-with-values (lambda () (within 'a (lambda () (values 1 2)))) list))

;;; Parameters.
(define p (make-parameter 1))
(define q (make-parameter 5 (lambda (x) (* x 10))))
(show "parameters" (list (p) (q) (parameterize ((p 2) (q 6)) (list (p) (q))) (p) (q)))
(show "a parameter and a continuation"
  (let ((k #f) (seen '()))
    (parameterize ((p 'inner))
      (call/cc (lambda (next) (set! k next)))
      (set! seen (cons (p) seen)))
    (set! seen (cons (p) seen))
    (if (< (length seen) 4) (k #f) (reverse seen))))
(define (reads) (p))
(show "seen by whoever is called" (parameterize ((p 'dynamic)) (reads)))

;;; Conditions.
(show "guard" (guard (e ((symbol? e) (list 'symbol e)) ((string? e) (list 'string e))) (raise 'boom)))
(show "guard with =>" (guard (e ((assq 'a e) => cdr) ((assq 'b e))) (raise (list (cons 'a 42)))))
(show "raised again" (guard (e ((string? e) (list 'outer e))) (guard (e ((number? e) (list 'inner e))) (raise "text"))))
(show "else" (guard (e (else (list 'other e))) (raise 1)))
(show "guard and dynamic-wind"
  (traced (lambda () (guard (e (#t (note! 'handled) e)) (within 'a (lambda () (raise 'x)))))))
(show "raise-continuable"
  (with-exception-handler (lambda (e) (* e 2)) (lambda () (+ 1 (raise-continuable 20)))))
(show "a handler that returns"
  (guard (e ((error-object? e) (error-object-irritants e)))
    (with-exception-handler (lambda (e) 'ignored) (lambda () (raise 'final)))))
(show "a handler within a handler"
  (guard (e (#t (list 'outer e)))
    (with-exception-handler (lambda (e) (raise (list 'again e))) (lambda () (raise 'first)))))
(show "error" (guard (e (#t (list (error-object-message e) (error-object-irritants e)))) (error "no good:" 1 "two" 'three)))
(show "errors of primitives"
  (map (lambda (thunk) (guard (e ((error-object? e) (error-object-message e))) (thunk)))
       (list (lambda () (car 5)) (lambda () (vector-ref (vector 1 2) 2)) (lambda () (+ 'a 1)) (lambda () (undefined-name))
             (lambda () ((lambda (x) x))) (lambda () ("no procedure")) (lambda () (/ 1 0)) (lambda () (apply car '(1 2)))
             (lambda () (integer->char 55296)) (lambda () (length '(1 . 2))))))
(show "a guard in a loop"
  (let next ((n 0) (caught 0))
    (if (= n 100)
        caught
        (next (+ n 1) (+ caught (guard (e (#t 1)) (raise n)))))))

;;; Promises.
(show "delay"
  (let* ((n 0) (promise (delay (begin (set! n (+ n 1)) n))))
    (list (force promise) (force promise) n)))
(show "a promise that forces itself"
  (let ((n 5))
    (define promise (delay (if (= n 0) 'done (begin (set! n (- n 1)) (force promise) (set! n (+ n 1)) n))))
    (list (force promise) (begin (set! n 100) (force promise)))))
(define (stream-from n) (cons-stream n (stream-from (+ n 1))))
(show "a stream" (stream-head (stream-tail (stream-from 0) 20) 3))
(define (countdown n) (delay-force (if (= n 0) (delay 'bottom) (countdown (- n 1)))))
(show "delay-force" (force (countdown (if (small?) 100 100000))))
(show "make-promise" (list (force (make-promise 1)) (promise? (make-promise 1)) (force 2)))

;;; Coroutines.
(define (make-coroutine f)
  (define return #f)
  (define (yield value) (call/cc (lambda (k) (set! resume k) (return value))))
  (define resume (lambda (ignored) (f yield) (return 'finished)))
  (lambda () (call/cc (lambda (k) (set! return k) (resume #f)))))
(define (walker tree) (make-coroutine (lambda (yield) (let walk ((t tree)) (if (pair? t) (begin (walk (car t)) (walk (cdr t))) (if (not (null? t)) (yield t)))))))
(define (same-fringe? a b)
  (let ((next-a (walker a)) (next-b (walker b)))
    (let loop ()
      (let* ((x (next-a)) (y (next-b)))
        (cond ((not (eqv? x y)) #f) ((eq? x 'finished) #t) (else (loop)))))))
(show "same fringe" (list (same-fringe? '(1 (2 3) 4) '((1 2) (3 (4)))) (same-fringe? '(1 2 3) '(1 3 2))))

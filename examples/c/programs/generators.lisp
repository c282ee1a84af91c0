; Generators: by closures over their state, and by continuations that go back and forth.

(define (range from to)
  (lambda ()
    (if (< from to)
        (let ((now from)) (set! from (+ from 1)) now)
        'end)))

(define (mapped f g)
  (lambda () (let ((next (g))) (if (eq? next 'end) 'end (f next)))))

(define (filtered f g)
  (define (next)
    (let ((value (g)))
      (if (or (eq? value 'end) (f value)) value (next))))
  next)

(define (collected g)
  (let loop ((l '()))
    (let ((value (g)))
      (if (eq? value 'end) (reverse l) (loop (cons value l))))))

(print (collected (filtered (lambda (n) (= 0 (remainder n 3))) (mapped (lambda (n) (* n n)) (range 0 30)))))

; The sieve as a chain of generators, one for each prime.
(define (primes)
  (let ((g (range 2 100000)))
    (lambda ()
      (let ((p (g)))
        (set! g (filtered (lambda (n) (not (= 0 (remainder n p)))) g))
        p))))
(define p (primes))
(define (times n f) (if (= n 0) '() (let ((first (f))) (cons first (times (- n 1) f)))))
(print (times 25 p))

; A walk over a tree that gives a leaf at a time: each call goes on where the last one left.
(define (leaves tree)
  (define return #f)
  (define (walk tree)
    (cond ((null? tree) 'nothing)
          ((pair? tree) (walk (car tree)) (walk (cdr tree)))
          (else
           (call/cc (lambda (rest)
                      (set! resume (lambda () (rest 'go-on)))
                      (return tree))))))
  (define resume (lambda () (walk tree) (return 'end)))
  (lambda ()
    (call/cc (lambda (k)
               (set! return k)
               (resume)))))

(define (same-fringe? a b)
  (let ((a (leaves a)) (b (leaves b)))
    (let loop ()
      (let ((x (a)) (y (b)))
        (cond ((not (eq? x y)) #f)
              ((eq? x 'end) #t)
              (else (loop)))))))

(print (collected (leaves '((1 2) (3 (4 (5)) 6) 7))))
(print (same-fringe? '(1 (2 3) (4)) '((1 2) 3 4)) " " (same-fringe? '(1 2 3) '(1 (3 2))))
(print (+ 1 (call/cc (lambda (k) (for-each (lambda (n) (if (> n 3) (k n))) '(1 2 3 4 5)) 100))))

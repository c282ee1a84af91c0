; Takeuchi's function, three ways and a fourth: numbers, lists as numbers, a continuation taken at every call, continuations passed on.
(define (tak x y z)
  (if (< y x)
      (tak (tak (- x 1) y z) (tak (- y 1) z x) (tak (- z 1) x y))
      z))

; A number is how long a list is.
(define (ones n) (if (= n 0) '() (cons 1 (ones (- n 1)))))
(define (shorter? x y)
  (and (pair? y) (or (null? x) (shorter? (cdr x) (cdr y)))))
(define (takl x y z)
  (if (shorter? y x)
      (takl (takl (cdr x) y z) (takl (cdr y) z x) (takl (cdr z) x y))
      z))

(define (ctak x y z)
  (call/cc
   (lambda (k)
     (if (< y x)
         (k (ctak (call/cc (lambda (k) (k (ctak (- x 1) y z))))
                  (call/cc (lambda (k) (k (ctak (- y 1) z x))))
                  (call/cc (lambda (k) (k (ctak (- z 1) x y))))))
         (k z)))))

(define (cpstak x y z)
  (define (next x y z k)
    (if (< y x)
        (next (- x 1) y z
              (lambda (a)
                (next (- y 1) z x
                      (lambda (b)
                        (next (- z 1) x y
                              (lambda (c) (next a b c k)))))))
        (k z)))
  (next x y z (lambda (value) value)))

(define sizes (if (small?) '(8 4 2) '(18 12 6)))
(define expected (if (small?) 3 7))
(define (check name f . arguments)
  (display name)
  (display (if (equal? (apply f arguments) expected) " ok" " is wrong"))
  (newline))
(apply check "tak" tak sizes)
(apply check "takl" (lambda lists (length (apply takl lists))) (map ones sizes))
(apply check "ctak" ctak sizes)
(apply check "cpstak" cpstak sizes)

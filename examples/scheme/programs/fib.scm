; The doubly recursive function, on integers and on floats.
(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(define (fibfp n) (if (< n 2.) n (+ (fibfp (- n 1.)) (fibfp (- n 2.)))))

; The same number by addition alone.
(define (sum n)
  (do ((n n (- n 1)) (a 0 b) (b 1 (+ a b))) ((= n 0) a)))

(define n (if (small?) 12 27))
(display (if (= (fib n) (sum n)) "fib ok" "fib is wrong")) (newline)
(display (if (= (fibfp (inexact n)) (sum n)) "fibfp ok" "fibfp is wrong")) (newline)

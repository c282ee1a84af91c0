; Depth: recursion that is as deep as a list is long, and loops that take no depth at all.

(define (count-up n) (if (= n 0) 0 (+ 1 (count-up (- n 1)))))
(print (count-up 8000))

(define (even? n) (if (= n 0) #t (odd? (- n 1))))
(define (odd? n) (if (= n 0) #f (even? (- n 1))))
(print (even? 10000))

(define (loop i sum) (if (= i 0) sum (loop (- i 1) (+ sum i))))
(print (loop 20000 0))

; Lists are made below a deep stack, and die there.
(define (busy n)
  (if (= n 0)
      (length (map1 (lambda (i) (list i i)) (iota 3000)))
      (+ 1 (busy (- n 1)))))
(print (busy 2000))

(define (ackermann m n)
  (cond ((= m 0) (+ n 1))
        ((= n 0) (ackermann (- m 1) 1))
        (else (ackermann (- m 1) (ackermann m (- n 1))))))
(print (ackermann 2 9))

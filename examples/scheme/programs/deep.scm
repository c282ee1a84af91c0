; Recursion that is not in tail position, far deeper than a stack would bear; and what does not end without memory.
(define depth (if (small?) 500 1000000))
(define (count n) (if (= n 0) 0 (+ 1 (count (- n 1)))))
(define (build n) (if (= n 0) '() (cons n (build (- n 1)))))
(define (show name value) (display name) (display ": ") (write value) (newline))
(show "sum" (= (count depth) depth))
(show "map" (= (length (map (lambda (n) (+ n 1)) (build depth))) depth))
(show "apply" (= (apply + (map (lambda (n) 1) (build depth))) depth))
(show "append" (= (length (append (build depth) '(1))) (+ depth 1)))
(show "thrown out of the depth"
  (call/cc (lambda (k) (let next ((n 0)) (if (= n depth) (k 'out) (+ 1 (next (+ n 1))))))))
; The continuation of the depth is entered more than once.
(show "entered again"
  (let ((again #f) (rounds 0))
    (let ((sum (let next ((n 0)) (if (= n depth) (call/cc (lambda (k) (set! again k) 0)) (+ 1 (next (+ n 1)))))))
      (set! rounds (+ rounds 1))
      (if (< rounds 3) (again rounds) (= sum (+ depth 2))))))
(show "handlers within handlers"
  (let next ((n (quotient depth 10)))
    (if (= n 0) 'bottom (guard (e ((string? e) e)) (next (- n 1))))))

; Queens on a board: all solutions, and the first one by backtracking with continuations.
(define (attacks? column others)
  (let next ((others others) (distance 1))
    (and (pair? others)
         (or (= (car others) column)
             (= (abs (- (car others) column)) distance)
             (next (cdr others) (+ distance 1))))))
(define (queens size)
  (let next ((row 0) (placed '()))
    (if (= row size)
        1
        (do ((column 0 (+ column 1))
             (sum 0 (if (attacks? column placed) sum (+ sum (next (+ row 1) (cons column placed))))))
            ((= column size) sum)))))

; amb: a choice that is made anew when what comes of it fails.
(define fail #f)
(define (choose list)
  (call/cc
   (lambda (return)
     (let ((before fail))
       (for-each
        (lambda (value)
          (call/cc
           (lambda (next)
             (set! fail (lambda () (next #f)))
             (return value))))
        list)
       (set! fail before)
       (fail)))))
(define (first-solution size)
  (let next ((row 0) (placed '()))
    (if (= row size)
        (reverse placed)
        (let ((column (choose (iota size))))
          (if (attacks? column placed) (fail) (next (+ row 1) (cons column placed)))))))

(define size (if (small?) 5 8))
(display (if (= (queens size) (if (small?) 10 92)) "nqueens ok" "nqueens is wrong")) (newline)
(write (first-solution 6)) (newline)

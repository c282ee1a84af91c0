; All ways to put n queens on a board, as lists of columns.

(define (safe? column distance others)
  (or (null? others)
      (and (not (= (car others) column))
           (not (= (abs (- (car others) column)) distance))
           (safe? column (+ distance 1) (cdr others)))))

(define (queens n)
  (let place ((row 0) (boards '(())))
    (if (= row n)
        boards
        (place (+ row 1)
               (apply append
                      (map (lambda (board)
                             (map (lambda (column) (cons column board))
                                  (filter (lambda (column) (safe? column 1 board)) (iota n))))
                           boards))))))

(do ((n 1 (+ n 1))) ((= n 7))
  (print n ": " (length (queens n))))
(print (queens 4))

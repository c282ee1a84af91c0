; Pegs on a triangular board: one jumps over another into a hole, and takes it away. In how many ways does one remain?
(define rows (if (small?) 4 5))
(define (place row column) (+ (quotient (* row (+ row 1)) 2) column))
(define (on-board? row column) (and (<= 0 column row) (< row rows)))

; From, over, to.
(define moves
  (let ((moves '()))
    (do ((row 0 (+ row 1))) ((= row rows))
      (do ((column 0 (+ column 1))) ((> column row))
        (for-each
         (lambda (direction)
           (let ((r (car direction)) (c (cdr direction)))
             (if (on-board? (+ row r r) (+ column c c))
                 (set! moves
                   (cons (vector (place row column) (place (+ row r) (+ column c)) (place (+ row r r) (+ column c c)))
                         moves)))))
         '((0 . 1) (0 . -1) (1 . 0) (-1 . 0) (1 . 1) (-1 . -1)))))
    moves))

(define holes (place rows 0))
(define (ways board pegs limit)
  (if (or (= pegs 1) (= limit 0))
      1
      (let next ((rest moves) (sum 0))
        (if (null? rest)
            sum
            (let* ((move (car rest)) (from (vector-ref move 0)) (over (vector-ref move 1)) (to (vector-ref move 2)))
              (if (and (vector-ref board from) (vector-ref board over) (not (vector-ref board to)))
                  (begin
                    (vector-set! board from #f)
                    (vector-set! board over #f)
                    (vector-set! board to #t)
                    (let ((found (ways board (- pegs 1) (- limit 1))))
                      (vector-set! board from #t)
                      (vector-set! board over #t)
                      (vector-set! board to #f)
                      (next (cdr rest) (+ sum found))))
                  (next (cdr rest) sum)))))))

(define (start hole)
  (let ((board (make-vector holes #t))) (vector-set! board hole #f) board))
; On the board of four rows from a hole on an edge; on that of five from the hole in its middle, nine moves far.
(define expected (if (small?) 14 68590))
(display (if (= (ways (start (if (small?) 1 4)) (- holes 1) (if (small?) 100 9)) expected) "triangle ok" "triangle is wrong"))
(newline)

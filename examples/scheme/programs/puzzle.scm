; Baskett's puzzle: boxes of thirteen shapes, in four classes, are put into a cube of five; how many places are tried is known: 2005, the full
; cube counted, which is not tried here.
(define side 8)
(define cells (* side side side))
(define (cell i j k) (+ i (* side (+ j (* side k)))))
(define taken (make-vector cells #t))

; A shape: its class, the cells that it takes counted from its first.
(define (shape class i-max j-max k-max)
  (let ((offsets '()))
    (do ((i i-max (- i 1))) ((< i 0))
      (do ((j j-max (- j 1))) ((< j 0))
        (do ((k k-max (- k 1))) ((< k 0))
          (set! offsets (cons (cell i j k) offsets)))))
    (cons class (list->vector (sort offsets <)))))
(define shapes
  (map (lambda (parts) (apply shape parts))
       '((0 3 1 0) (0 1 0 3) (0 0 3 1) (0 1 3 0) (0 3 0 1) (0 0 1 3)
         (1 2 0 0) (1 0 2 0) (1 0 0 2)
         (2 1 1 0) (2 1 0 1) (2 0 1 1)
         (3 1 1 1))))
(define left (vector 13 3 1 1))

(define (fits? shape place)
  (let ((offsets (cdr shape)))
    (let next ((n 0))
      (or (= n (vector-length offsets))
          (and (not (vector-ref taken (+ place (vector-ref offsets n)))) (next (+ n 1)))))))
(define (mark! shape place value)
  (vector-for-each (lambda (offset) (vector-set! taken (+ place offset) value)) (cdr shape))
  (let ((class (car shape)))
    (vector-set! left class (+ (vector-ref left class) (if value -1 1)))))
(define (first-free place)
  (cond ((= place cells) #f) ((vector-ref taken place) (first-free (+ place 1))) (else place)))

(define tried 0)
(define (try place)
  (set! tried (+ tried 1))
  (let next ((rest shapes))
    (if (null? rest)
        #f
        (let ((shape (car rest)))
          (if (and (> (vector-ref left (car shape)) 0) (fits? shape place))
              (begin
                (mark! shape place #t)
                (let ((free (first-free place)))
                  (if (or (not free) (try free))
                      #t
                      (begin (mark! shape place #f) (next (cdr rest))))))
              (next (cdr rest)))))))

(define (empty-cube! size)
  (do ((i 1 (+ i 1))) ((> i size))
    (do ((j 1 (+ j 1))) ((> j size))
      (do ((k 1 (+ k 1))) ((> k size))
        (vector-set! taken (cell i j k) #f)))))

(if (small?)
    ; A cube of two is one shape.
    (begin
      (empty-cube! 2)
      (set! left (vector 0 0 0 1))
      (display (if (and (try (first-free 0)) (= tried 1)) "puzzle ok" "puzzle is wrong")))
    (begin
      (empty-cube! 5)
      ; The first box is given.
      (mark! (car shapes) (cell 1 1 1) #t)
      (display (if (and (try (first-free 0)) (= tried 2004)) "puzzle ok" (list "puzzle" tried)))))
(newline)

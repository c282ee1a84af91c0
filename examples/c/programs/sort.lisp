; Sorting: lists by merging, vectors in place, on numbers that are reproducible and strings made of them.

(define seed 42)
(define (random n)
  (set! seed (modulo (+ (* seed 1103515245) 12345) 2147483648))
  (modulo (quotient seed 65536) n))

(define (random-list n)
  (let loop ((n n) (l '()))
    (if (= n 0) l (loop (- n 1) (cons (random 1000) l)))))

(define (merge a b less)
  (let loop ((a a) (b b) (done '()))
    (cond ((null? a) (append (reverse done) b))
          ((null? b) (append (reverse done) a))
          ((less (car b) (car a)) (loop a (cdr b) (cons (car b) done)))
          (else (loop (cdr a) b (cons (car a) done))))))

(define (take l n) (if (= n 0) '() (cons (car l) (take (cdr l) (- n 1)))))

(define (merge-sort l less)
  (let ((n (length l)))
    (if (< n 2)
        l
        (let ((half (quotient n 2)))
          (merge (merge-sort (take l half) less) (merge-sort (list-tail l half) less) less)))))

(define (swap! v i j)
  (let ((t (vector-ref v i)))
    (vector-set! v i (vector-ref v j))
    (vector-set! v j t)))

(define (quick-sort! v low high)
  (when (< low high)
    (let ((pivot (vector-ref v (quotient (+ low high) 2))))
      (let loop ((i low) (j high))
        (let* ((i (do ((i i (+ i 1))) ((not (< (vector-ref v i) pivot)) i)))
               (j (do ((j j (- j 1))) ((not (> (vector-ref v j) pivot)) j))))
          (cond ((< i j) (swap! v i j) (loop (+ i 1) (- j 1)))
                (else
                 (quick-sort! v low (- i 1))
                 (quick-sort! v (if (= i j) (+ j 1) (max i (+ j 1))) high))))))))

(define (sorted? l)
  (or (null? l) (null? (cdr l)) (and (<= (car l) (cadr l)) (sorted? (cdr l)))))

(define numbers (random-list 600))
(define by-merging (merge-sort numbers <))
(define in-place (list->vector numbers))
(quick-sort! in-place 0 (- (vector-length in-place) 1))
(print "sorted: " (sorted? by-merging) " " (sorted? (vector->list in-place)))
(print "the same: " (equal? by-merging (vector->list in-place)))
(print "a permutation: " (= (fold + 0 numbers) (fold + 0 by-merging)))

(define (string<? a b)
  (let loop ((i 0))
    (cond ((= i (string-length b)) #f)
          ((= i (string-length a)) #t)
          ((= (string-ref a i) (string-ref b i)) (loop (+ i 1)))
          (else (< (string-ref a i) (string-ref b i))))))
(print (merge-sort (map (lambda (n) (string-append "n" (number->string n))) '(10 9 100 1 25 3)) string<?))

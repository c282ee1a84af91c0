; Lists that are cut and joined in place. The numbers in them stay the same numbers, wherever they come to stand.
(define (make-lists count length)
  (list->vector
   (map (lambda (n) (map (lambda (m) (+ (* n length) m)) (iota length))) (iota count))))

; The parts of two lists behind a place of each change their owners.
(define (exchange! a b n)
  (let ((at (list-tail a (modulo n (length a))))
        (bt (list-tail b (modulo n (length b)))))
    (let ((rest (cdr at)))
      (set-cdr! at (cdr bt))
      (set-cdr! bt rest))))
(define (turn! list)
  (let next ((list list) (turned '()))
    (if (null? list)
        turned
        (let ((rest (cdr list))) (set-cdr! list turned) (next rest list)))))
; A moment as a ring, to be begun one further.
(define (rotate! list)
  (if (null? (cdr list))
      list
      (let ((begin-of-rest (cdr list)))
        (set-cdr! (last-pair list) list)
        (set-cdr! list '())
        begin-of-rest)))

(define (run count length rounds)
  (let ((lists (make-lists count length)))
    (do ((n 0 (+ n 1))) ((= n rounds))
      (let ((i (modulo (* n 7) count)) (j (modulo (+ 3 (* n 5)) count)))
        (if (not (= i j)) (exchange! (vector-ref lists i) (vector-ref lists j) n))
        (vector-set! lists i (turn! (vector-ref lists i)))
        (vector-set! lists j (rotate! (vector-ref lists j)))))
    (let ((all (sort (apply append (vector->list lists)) <)))
      (equal? all (iota (* count length))))))

(display (if (if (small?) (run 4 6 40) (run 40 50 20000)) "destruct ok" "destruct is wrong")) (newline)

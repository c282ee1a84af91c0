; What is garbage, what is not, and what a program can know of it.
(define (show name value) (display name) (display ": ") (write value) (newline))

(define kept (list 1 2))
(define weak-kept (weak-cons kept 'a))
(define weak-lost (weak-cons (list 1 2) 'b))
(define weak-number (weak-cons 5 'c))
(gc)
(show "weak pairs" (list (weak-car weak-kept) (weak-car weak-lost) (weak-pair/car? weak-lost) (weak-cdr weak-lost) (weak-car weak-number)))

(weak-set-cdr! weak-lost (list weak-lost))
(gc)
(show "a weak pair in itself" (eq? (car (weak-cdr weak-lost)) weak-lost))

; The datum leads to the key: that keeps neither.
(define key (string #\k))
(define ephemeron (make-ephemeron key (list key 'datum)))
(gc)
(show "an ephemeron" (list (ephemeron-broken? ephemeron) (ephemeron-datum ephemeron)))
(set! key #f)
(gc)
(show "without its key" (list (ephemeron-broken? ephemeron) (ephemeron-datum ephemeron)))

; Rings of all kinds, each alive for a moment.
(define (ring n)
  (let* ((pair (list n)) (vector (vector pair #f)) (table (make-eqv-hash-table)) (f (lambda () pair)))
    (set-cdr! pair vector)
    (vector-set! vector 1 table)
    (hash-table-set! table 'f f)
    (call/cc (lambda (k) (hash-table-set! table 'k k)))
    (hash-table-set! table 'promise (delay (ring pair)))
    (weak-cons pair #f)))
(define rings (map ring (iota (if (small?) 5 5000))))
(gc)
(show "rings that live" (count weak-pair/car? rings))

(define (figure name) (cdr (assq name (gc-stats))))
(gc)
(define before (figure 'used-bytes))
(define (make-garbage n) (if (> n 0) (begin (make-vector 100 n) (make-garbage (- n 1)))))
(make-garbage (if (small?) 50 100000))
(gc)
(show "garbage is gone" (< (- (figure 'used-bytes) before) 100000))
(show "counted" (<= (figure 'died-young) (figure 'allocated)))

; Memory that is not there is an error like any other, and what it was for is garbage then.
(define (refused thunk) (guard (e ((out-of-memory? e) 'refused)) (thunk)))
(show "a vector" (refused (lambda () (make-vector 100000000000 0))))
(show "a string" (refused (lambda () (string-length (make-string 500000000000 #\x)))))
(if (not (small?))
    (begin
      (let next ((n 0)) (if (< n 2) (begin (refused (lambda () (let grow ((l '())) (grow (cons l l))))) (next (+ n 1)))))
      (refused (lambda () (let deeper ((n 0)) (+ 1 (deeper n)))))))
(show "and on" (length (iota 1000)))

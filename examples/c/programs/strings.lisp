; Strings and symbols: text that is built, taken apart and counted; symbolic differentiation.

(define (repeat s n) (if (= n 0) "" (string-append s (repeat s (- n 1)))))
(define (digits n) (number->string n))
(define text
  (let loop ((i 1) (t ""))
    (if (= i 120) t (loop (+ i 1) (string-append t (if (= i 1) "" " ") (digits (remainder (* i i) 10)) "x")))))
(print (string-length text) " " (substring text 0 11))

(define (split text)
  (let ((n (string-length text)))
    (let loop ((i 0) (start 0) (words '()))
      (cond ((= i n) (reverse (cons (string->symbol (substring text start i)) words)))
            ((= (string-ref text i) 32) (loop (+ i 1) (+ i 1) (cons (string->symbol (substring text start i)) words)))
            (else (loop (+ i 1) start words))))))

(define (count words)
  (let loop ((words words) (counts '()))
    (if (null? words)
        counts
        (let ((known (assq (car words) counts)))
          (if known
              (begin (set-cdr! known (+ 1 (cdr known))) (loop (cdr words) counts))
              (loop (cdr words) (cons (cons (car words) 1) counts)))))))
(write (count (split text)))
(newline)
(write (list (repeat "ab" 5) "with \"quotes\" and \\" 'symbol))
(newline)

(define (derive e x)
  (cond ((number? e) 0)
        ((symbol? e) (if (eq? e x) 1 0))
        (else
         (let ((a (cadr e)) (b (caddr e)))
           (case (car e)
             ((+) (sum (derive a x) (derive b x)))
             ((*) (sum (product a (derive b x)) (product (derive a x) b)))
             (else (error "no such operator" (car e))))))))
(define (sum a b)
  (cond ((and (number? a) (number? b)) (+ a b)) ((equal? a 0) b) ((equal? b 0) a) (else `(+ ,a ,b))))
(define (product a b)
  (cond ((and (number? a) (number? b)) (* a b))
        ((or (equal? a 0) (equal? b 0)) 0)
        ((equal? a 1) b)
        ((equal? b 1) a)
        (else `(* ,a ,b))))
(print (derive '(+ (* x x) (+ (* 3 x) y)) 'x))
(print `(1 ,@(map (lambda (n) (* n n)) '(2 3)) ,(+ 4 5) . end))

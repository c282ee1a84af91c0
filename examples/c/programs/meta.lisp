; An evaluator of this language in itself, which runs programs with recursion, closures and assignment.

(define (lookup name env)
  (cond ((null? env) (error "unbound in the inner language" name))
        ((assq name (car env)) => (lambda (found) found))
        (else (lookup name (cdr env)))))

(define (bind names values env)
  (cons (let loop ((names names) (values values))
          (cond ((null? names) '())
                ((symbol? names) (list (cons names values)))
                (else (cons (cons (car names) (car values)) (loop (cdr names) (cdr values))))))
        env))

(define (m-eval exp env)
  (cond ((symbol? exp) (cdr (lookup exp env)))
        ((not (pair? exp)) exp)
        (else
         (case (car exp)
           ((quote) (cadr exp))
           ((if) (m-eval (if (m-eval (cadr exp) env) (caddr exp) (cadddr exp)) env))
           ((lambda) (list 'closure (cadr exp) (cddr exp) env))
           ((set!) (set-cdr! (lookup (cadr exp) env) (m-eval (caddr exp) env)))
           ((define)
            (let ((cell (cons (cadr exp) #f)))
              ; A cycle: the environment holds the closure that holds the environment.
              (set-car! env (cons cell (car env)))
              (set-cdr! cell (m-eval (caddr exp) env))
              (cadr exp)))
           (else (m-apply (m-eval (car exp) env) (map (lambda (e) (m-eval e env)) (cdr exp))))))))

(define (m-body body env)
  (let ((value (m-eval (car body) env)))
    (if (null? (cdr body)) value (m-body (cdr body) env))))

(define (m-apply f args)
  (if (procedure? f)
      (apply f args)
      (m-body (caddr f) (bind (cadr f) args (cadddr f)))))

(define global
  (list (list (cons '+ +) (cons '- -) (cons '* *) (cons '< <) (cons '= =) (cons 'cons cons) (cons 'car car) (cons 'cdr cdr)
              (cons 'null? null?) (cons 'list list))))

(define (run . program)
  (for-each (lambda (form) (m-eval form global)) program)
  (m-eval 'result global))

(print (run '(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))
            '(define result (fib 11))))
(print (run '(define make-counter (lambda () ((lambda (n) (lambda () (set! n (+ n 1)) n)) 0)))
            '(define a (make-counter))
            '(define b (make-counter))
            '(a) '(a)
            '(define result (list (a) (b)))))
(print (run '(define map (lambda (f l) (if (null? l) (quote ()) (cons (f (car l)) (map f (cdr l))))))
            '(define curry (lambda (f . first) (lambda (second) (f (car first) second))))
            '(define result (map (curry * 3) (list 1 2 3 4)))))

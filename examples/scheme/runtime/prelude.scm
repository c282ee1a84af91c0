; What a program begins with: the derived forms, and the procedures that call procedures.
;
; Names with % are for the prelude alone. Its code refers to the procedures that it knows, and its macros to the keywords, whatever a program makes of their names.

;;; ---- derived forms

(define-syntax when
  (syntax-rules () ((_ test body ...) (if test (begin body ...)))))
(define-syntax unless
  (syntax-rules () ((_ test body ...) (if test (begin) (begin body ...)))))

(define-syntax cond
  (syntax-rules (else =>)
    ((_) (begin))
    ((_ (else body ...)) (begin body ...))
    ((_ (test => receiver) clause ...)
     (let ((value test)) (if value (receiver value) (cond clause ...))))
    ((_ (test) clause ...) (or test (cond clause ...)))
    ((_ (test body ...) clause ...) (if test (begin body ...) (cond clause ...)))))

(define-syntax case
  (syntax-rules (else =>)
    ((_ (part ...) clause ...) (let ((key (part ...))) (case key clause ...)))
    ((_ key) (begin))
    ((_ key (else => receiver)) (receiver key))
    ((_ key (else body ...)) (begin body ...))
    ((_ key ((datum ...) => receiver) clause ...)
     (if (memv key '(datum ...)) (receiver key) (case key clause ...)))
    ((_ key ((datum) body ...) clause ...)
     (if (eqv? key 'datum) (begin body ...) (case key clause ...)))
    ((_ key ((datum ...) body ...) clause ...)
     (if (memv key '(datum ...)) (begin body ...) (case key clause ...)))))

(define-syntax %next
  (syntax-rules () ((_ variable) variable) ((_ variable step) step)))
(define-syntax do
  (syntax-rules ()
    ((_ ((variable init . step) ...) (test result ...) command ...)
     (let again ((variable init) ...)
       (if test
           (begin (begin) result ...)
           (begin command ... (again (%next variable . step) ...)))))))

(define-syntax let*-values
  (syntax-rules ()
    ((_ () body ...) (let () body ...))
    ((_ ((formals expression) more ...) body ...)
     (call-with-values (lambda () expression)
       (lambda formals (let*-values (more ...) body ...))))))
(define-syntax let-values
  (syntax-rules ()
    ((_ (binding ...) body ...) (%let-values (binding ...) () body ...))))
; All expressions first, each into a list of its values; then the variables.
(define-syntax %let-values
  (syntax-rules ()
    ((_ () () body ...) (let () body ...))
    ((_ () ((formals all) more ...) body ...)
     (apply (lambda formals (%let-values () (more ...) body ...)) all))
    ((_ ((formals expression) more ...) (done ...) body ...)
     (let ((all (call-with-values (lambda () expression) list)))
       (%let-values (more ...) (done ... (formals all)) body ...)))))
(define-syntax receive
  (syntax-rules ()
    ((_ formals expression body ...)
     (call-with-values (lambda () expression) (lambda formals body ...)))))
(define-syntax define-values
  (syntax-rules ()
    ((_ (name ...) expression)
     (%define-values (name ...) () expression))
    ((_ (name . more) expression)
     (begin (define %values (call-with-values (lambda () expression) list))
            (%define-parts %values name . more)))
    ((_ name expression)
     (define name (call-with-values (lambda () expression) list)))))
(define-syntax %define-values
  (syntax-rules ()
    ((_ () ((name new) ...) expression)
     (begin (define name (begin)) ...
            (define %values
              (call-with-values (lambda () expression) (lambda (new ...) (set! name new) ...)))))
    ((_ (name more ...) (done ...) expression)
     (%define-values (more ...) (done ... (name new)) expression))))
(define-syntax %define-parts
  (syntax-rules ()
    ((_ values) (begin))
    ((_ values name . more)
     (begin (define name (car values)) (define %rest (cdr values)) (%define-more %rest . more)))))
(define-syntax %define-more
  (syntax-rules ()
    ((_ values) (begin))
    ((_ values name . more)
     (begin (define name (car values)) (define %rest (cdr values)) (%define-more %rest . more)))
    ((_ values . name) (define name values))))

(define-syntax case-lambda
  (syntax-rules ()
    ((_ (formals body ...) ...) (%case-lambda (list (lambda formals body ...) ...)))))

(define-syntax delay-force
  (syntax-rules () ((_ expression) (%make-promise #f (lambda () expression)))))
(define-syntax delay
  (syntax-rules () ((_ expression) (delay-force (%make-promise #t expression)))))
(define-syntax cons-stream
  (syntax-rules () ((_ first rest) (cons first (delay rest)))))

(define-syntax parameterize
  (syntax-rules ()
    ((_ ((parameter value) ...) body ...)
     (%parameterize (list (cons parameter value) ...) (lambda () body ...)))))

; The body returns what returns its values: outside of the handler that is, and of whatever the condition was raised within.
(define-syntax guard
  (syntax-rules ()
    ((_ (variable clause ...) body ...)
     ((call/cc
       (lambda (leave)
         (with-exception-handler
          (lambda (condition)
            ((call/cc
              (lambda (back)
                (leave
                 (lambda ()
                   (let ((variable condition))
                     (%guard (back (lambda () (raise-continuable condition))) clause ...))))))))
          (lambda ()
            (call-with-values (lambda () body ...)
              (lambda results (lambda () (apply values results))))))))))))
(define-syntax %guard
  (syntax-rules (else =>)
    ((_ again) again)
    ((_ again (else body ...)) (begin body ...))
    ((_ again (test => receiver) clause ...)
     (let ((value test)) (if value (receiver value) (%guard again clause ...))))
    ((_ again (test) clause ...) (or test (%guard again clause ...)))
    ((_ again (test body ...) clause ...) (if test (begin body ...) (%guard again clause ...)))))

(define-syntax define-record-type
  (syntax-rules ()
    ((_ (type . options) more ...) (define-record-type type more ...))
    ((_ type (constructor name ...) predicate (field . procedures) ...)
     (begin (define type (%record-type 'type '(field ...)))
            (define constructor (%record-constructor type '(name ...)))
            (define predicate (%record-predicate type))
            (%record-field type field . procedures) ...))
    ((_ type #f predicate (field . procedures) ...)
     (begin (define type (%record-type 'type '(field ...)))
            (define predicate (%record-predicate type))
            (%record-field type field . procedures) ...))
    ((_ type constructor predicate (field . procedures) ...)
     (define-record-type type (constructor field ...) predicate (field . procedures) ...))))
(define-syntax %record-field
  (syntax-rules ()
    ((_ type field) (begin))
    ((_ type field accessor) (define accessor (%record-accessor type 'field)))
    ((_ type field accessor modifier)
     (begin (define accessor (%record-accessor type 'field))
            (define modifier (%record-modifier type 'field))))))

(define-syntax assert
  (syntax-rules () ((_ test) (if test (begin) (error "an assertion does not hold" 'test)))))
; Everything is there from the beginning.
(define-syntax import (syntax-rules () ((_ . sets) (begin))))

;;; ---- continuations, and what a program is within

(define call/cc %call/cc)
(define call-with-current-continuation call/cc)

; The dynamic state has a list of what dynamic-wind is within: (before after . the state around).
(define (dynamic-wind before thunk after)
  (before)
  (let ((outer (%dynamic)))
    (%set-dynamic! (%with-winds outer (cons (cons* before after outer) (%winds outer))))
    (call-with-values thunk
      (lambda results
        (%set-dynamic! outer)
        (after)
        (apply values results)))))

; From where the program is within to where a continuation was taken, one thunk after the other.
(define (%travel to)
  (let ((here (%winds (%dynamic))))
    (cond ((eq? here to))
          ((< (length here) (length to))
           (%travel (cdr to))
           (let ((wind (car to)))
             (%set-dynamic! (cddr wind))
             ((car wind))
             (%set-dynamic! (%with-winds (cddr wind) to))))
          (else
           (let ((wind (car here)))
             (%set-dynamic! (cddr wind))
             ((cadr wind))
             (%travel to))))))
(define (%rewind continuation value)
  (%travel (%winds continuation))
  (%throw continuation value))

(define (%within state thunk)
  (let ((outer (%dynamic)))
    (%set-dynamic! state)
    (call-with-values thunk
      (lambda results
        (%set-dynamic! outer)
        (apply values results)))))

(define (with-exception-handler handler thunk)
  (if (not (procedure? handler)) (error "no procedure" handler))
  (let ((state (%dynamic)))
    (%within (%with-handlers state (cons handler (%handlers state))) thunk)))

; A handler runs in the state of who raises, but for the handlers: those around it.
(define (raise condition)
  (let* ((state (%dynamic)) (handlers (%handlers state)))
    (if (null? handlers)
        (%uncaught condition)
        (begin
          (%set-dynamic! (%with-handlers state (cdr handlers)))
          ((car handlers) condition)
          (raise (%make-condition "a handler has returned from what can not be continued" (list condition)))))))
(define (raise-continuable condition)
  (let* ((state (%dynamic)) (handlers (%handlers state)))
    (if (null? handlers)
        (%uncaught condition)
        (%within (%with-handlers state (cdr handlers))
                 (lambda () ((car handlers) condition))))))
(define (error message . irritants) (raise (%make-condition message irritants)))
(define (error-message-string condition) (error-object-message condition))
(%install! raise %rewind)

(define (make-parameter value . converter)
  (if (null? converter)
      (%make-parameter value #f)
      (%make-parameter ((car converter) value) (car converter))))
(define (%parameterize bindings thunk)
  (let next ((bindings bindings) (state (%dynamic)))
    (if (null? bindings)
        (%within state thunk)
        (let* ((parameter (caar bindings))
               (converter (%parameter-converter parameter))
               (value (if converter (converter (cdar bindings)) (cdar bindings))))
          (next (cdr bindings) (%with-parameter state parameter value))))))

;;; ---- promises

(define (make-promise value) (if (promise? value) value (%make-promise #t value)))
(define (force promise)
  (if (promise? promise)
      (let again ()
        (if (%promise-done? promise)
            (%promise-value promise)
            (let ((next ((%promise-value promise))))
              (if (not (%promise-done? promise)) (%promise-adopt! promise next))
              (again))))
      promise))
(define (stream-head stream count)
  (if (= count 0) '() (cons (car stream) (stream-head (force (cdr stream)) (- count 1)))))
(define (stream-tail stream count)
  (if (= count 0) stream (stream-tail (force (cdr stream)) (- count 1))))

;;; ---- lists

(define (%case-lambda procedures)
  (lambda arguments
    (let ((count (length arguments)))
      (let next ((rest procedures))
        (cond ((null? rest) (error "wrong number of arguments" count))
              ((%accepts? (car rest) count) (apply (car rest) arguments))
              (else (next (cdr rest))))))))

(define (%any-empty? lists)
  (and (pair? lists) (or (not (pair? (car lists))) (%any-empty? (cdr lists)))))
(define (%map1 f list)
  (if (pair? list)
      (let ((first (f (car list)))) (cons first (%map1 f (cdr list))))
      '()))
(define (map f list . lists)
  (if (null? lists)
      (%map1 f list)
      (let next ((lists (cons list lists)))
        (if (%any-empty? lists)
            '()
            (let ((first (apply f (%map1 car lists)))) (cons first (next (%map1 cdr lists))))))))
(define (for-each f list . lists)
  (if (null? lists)
      (let next ((list list))
        (if (pair? list) (begin (f (car list)) (next (cdr list)))))
      (let next ((lists (cons list lists)))
        (if (not (%any-empty? lists))
            (begin (apply f (%map1 car lists)) (next (%map1 cdr lists)))))))
(define (append-map f list) (apply append (map f list)))
(define (filter keep? list)
  (cond ((null? list) '())
        ((keep? (car list)) (cons (car list) (filter keep? (cdr list))))
        (else (filter keep? (cdr list)))))
(define (remove drop? list) (filter (lambda (value) (not (drop? value))) list))
(define (delete value list) (remove (lambda (other) (equal? value other)) list))
(define (partition keep? list) (values (filter keep? list) (remove keep? list)))
(define (fold-left f first list)
  (if (null? list) first (fold-left f (f first (car list)) (cdr list))))
(define (fold f first list)
  (if (null? list) first (fold f (f (car list) first) (cdr list))))
(define (fold-right f last list)
  (if (null? list) last (f (car list) (fold-right f last (cdr list)))))
(define (reduce f default list)
  (if (null? list) default (fold f (car list) (cdr list))))
(define (find holds? list)
  (cond ((null? list) #f) ((holds? (car list)) (car list)) (else (find holds? (cdr list)))))
(define (find-tail holds? list)
  (cond ((null? list) #f) ((holds? (car list)) list) (else (find-tail holds? (cdr list)))))
(define (any holds? list)
  (and (pair? list) (or (holds? (car list)) (any holds? (cdr list)))))
(define (every holds? list)
  (or (null? list) (and (holds? (car list)) (every holds? (cdr list)))))
(define (count holds? list)
  (let next ((list list) (n 0))
    (if (null? list) n (next (cdr list) (if (holds? (car list)) (+ n 1) n)))))
(define (delete-duplicates list)
  (if (null? list) '() (cons (car list) (delete-duplicates (delete (car list) (cdr list))))))
(define (last-pair list) (if (pair? (cdr list)) (last-pair (cdr list)) list))
(define (last list) (car (last-pair list)))
(define (list-head list count)
  (if (= count 0) '() (cons (car list) (list-head (cdr list) (- count 1)))))
(define (list-set! list n value) (set-car! (list-tail list n) value))
(define (list-index holds? list)
  (let next ((list list) (n 0))
    (cond ((null? list) #f) ((holds? (car list)) n) (else (next (cdr list) (+ n 1))))))
(define (member value list . same)
  (if (null? same)
      (%member value list)
      (find-tail (lambda (other) ((car same) value other)) list)))
(define (assoc key list . same)
  (if (null? same)
      (%assoc key list)
      (find (lambda (entry) ((car same) key (car entry))) list)))
(define (reverse! list) (reverse list))
(define (append! . lists) (apply append lists))
(define append-reverse (lambda (list tail) (append (reverse list) tail)))

; Runs are merged two by two; a merge goes on in a loop.
(define (%merge a b less?)
  (let next ((a a) (b b) (merged '()))
    (cond ((null? a) (append (reverse merged) b))
          ((null? b) (append (reverse merged) a))
          ((less? (car b) (car a)) (next a (cdr b) (cons (car b) merged)))
          (else (next (cdr a) b (cons (car a) merged))))))
(define (%sort-list list less?)
  (let sort ((list list) (size (length list)))
    (if (< size 2)
        (if (= size 0) '() (cons (car list) '()))
        (let ((half (quotient size 2)))
          (%merge (sort list half) (sort (list-tail list half) (- size half)) less?)))))
(define (sort sequence less?)
  (cond ((procedure? sequence) (sort less? sequence))
        ((vector? sequence) (list->vector (%sort-list (vector->list sequence) less?)))
        (else (%sort-list sequence less?))))
(define list-sort sort)

;;; ---- vectors and strings

(define (vector-map f vector . vectors)
  (list->vector (apply map f (vector->list vector) (%map1 vector->list vectors))))
(define (vector-for-each f vector . vectors)
  (apply for-each f (vector->list vector) (%map1 vector->list vectors)))
(define (vector-binary-search vector key compare)
  (let next ((low 0) (high (vector-length vector)))
    (if (< low high)
        (let* ((middle (quotient (+ low high) 2)) (order (compare key (vector-ref vector middle))))
          (cond ((= order 0) (vector-ref vector middle))
                ((< order 0) (next low middle))
                (else (next (+ middle 1) high))))
        #f)))
(define (string-map f string . strings)
  (list->string (apply map f (string->list string) (%map1 string->list strings))))
(define (string-for-each f string . strings)
  (apply for-each f (string->list string) (%map1 string->list strings)))
(define (string-join strings . separator)
  (let ((separator (if (null? separator) " " (car separator))))
    (if (null? strings)
        ""
        (apply string-append (car strings)
               (append-map (lambda (string) (list separator string)) (cdr strings))))))
(define (string-null? string) (= (string-length string) 0))
(define (vector->string vector) (list->string (vector->list vector)))
(define (list-tabulate count f) (map f (iota count)))
(define (make-initialized-vector count f) (list->vector (list-tabulate count f)))
(define vector-tabulate (lambda (f count) (make-initialized-vector count f)))

;;; ---- numbers

(define (zero? n) (= n 0))
(define (positive? n) (> n 0))
(define (negative? n) (< n 0))
(define (even? n) (= (remainder n 2) 0))
(define (odd? n) (not (even? n)))
(define (1+ n) (+ n 1))
(define (-1+ n) (- n 1))
(define (square n) (* n n))
(define (cube n) (* n n n))
(define exact->inexact inexact)
(define inexact->exact exact)
(define (exact-integer-sqrt n) (let ((root (%integer-root n))) (values root (- n (* root root)))))
(define (floor/ n m) (values (floor-quotient n m) (floor-remainder n m)))
(define (truncate/ n m) (values (truncate-quotient n m) (truncate-remainder n m)))
(define (boolean=? a b) (if (and (boolean? a) (boolean? b)) (eq? a b) (error "no boolean" a b)))
(define (symbol=? a b) (if (and (symbol? a) (symbol? b)) (eq? a b) (error "no symbol" a b)))
(define (symbol<? a b) (string<? (symbol->string a) (symbol->string b)))

;;; ---- tables

(define (hash-table-ref table key . more)
  (let* ((nothing (cons 0 0)) (value (hash-table-ref/default table key nothing)))
    (cond ((not (eq? value nothing))
           (if (and (pair? more) (pair? (cdr more))) ((cadr more) value) value))
          ((and (pair? more) (car more)) ((car more)))
          (else (error "no such key" key)))))
(define (hash-table-update! table key f . default)
  (hash-table-set! table key (f (apply hash-table-ref table key default))))
(define (hash-table-update!/default table key f default)
  (hash-table-set! table key (f (hash-table-ref/default table key default))))
(define (hash-table-walk table f)
  (for-each (lambda (entry) (f (car entry) (cdr entry))) (hash-table->alist table)))
(define (alist->hash-table entries . same)
  (let ((table (apply make-hash-table same)))
    (for-each (lambda (entry) (hash-table-set! table (car entry) (cdr entry))) (reverse entries))
    table))
(define (hash-table-copy table . mutable) (alist->hash-table (hash-table->alist table)))

;;; ---- ports

(define (call-with-output-string f)
  (let ((port (open-output-string))) (f port) (get-output-string port)))
(define (call-with-port port f) (f port))
(define close-input-port close-port)
(define close-output-port close-port)
(define (print . values) (for-each display values) (newline))

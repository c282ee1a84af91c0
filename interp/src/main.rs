//! The command line of Neap.

use neap::value::Value;
use neap::vm::Vm;

fn main() {
    let path = std::env::args().nth(1).expect("a script");
    let source = std::fs::read(&path).expect("readable");
    let mut vm = Vm::new(neap_gc::Config::default()).expect("memory");
    let g = vm.globals();
    vm.register(
        g,
        &[
            ("print", |vm, args| {
                let mut line = Vec::new();
                for i in 0..args.count() {
                    if i > 0 {
                        line.push(b'\t');
                    }
                    let v = vm.arg(args, i);
                    line.extend_from_slice(vm.tostring(v)?.bytes());
                }
                println!("{}", String::from_utf8_lossy(&line));
                Ok(0)
            }),
            ("clock", |vm, _| {
                vm.ret1(Value::float(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()))
            }),
            ("setmetatable", |vm, args| {
                let t = vm.arg(args, 0);
                let m = vm.arg(args, 1).as_table();
                vm.set_metatable(t, m)?;
                vm.ret1(t)
            }),
        ],
    )
    .expect("memory");
    let f = match vm.load(neap::syntax::skip_shebang(&source), format!("@{path}").as_bytes()) {
        Ok(f) => Value::closure(f),
        Err(_) => {
            let e = vm.take_error();
            eprintln!("{}", String::from_utf8_lossy(e.as_str().unwrap().bytes()));
            std::process::exit(1)
        }
    };
    if vm.call_protected(f, &[]).is_err() {
        let e = vm.take_error();
        let s = vm.tostring(e).unwrap();
        eprintln!("neap: {}", String::from_utf8_lossy(s.bytes()));
        std::process::exit(1);
    }
}

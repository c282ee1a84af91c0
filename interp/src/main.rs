//! The command line of Neap.

use neap::value::Value;
use neap::vm::Vm;

fn main() {
    let path = std::env::args().nth(1).expect("a script");
    let source = std::fs::read(&path).expect("readable");
    let mut vm = Vm::new(neap_gc::Config::default()).expect("memory");
    neap::stdlib::open_all(&mut vm).expect("memory");
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
        vm.lib.flush();
        eprintln!("neap: {}", String::from_utf8_lossy(s.bytes()));
        std::process::exit(1);
    }
    vm.lib.flush();
}

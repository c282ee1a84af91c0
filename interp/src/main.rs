//! The command `neap`; all it does is in `neap::cli` and `neap::repl`.

fn main() {
    neap::cli::main(std::env::args_os(), neap::repl::interact)
}

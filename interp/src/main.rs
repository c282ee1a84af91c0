//! The command `neap`; all it does is in `neap::cli`.

fn main() {
    neap::cli::main(std::env::args_os())
}

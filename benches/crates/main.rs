//! Neap's heap beside the other collectors for Rust, on the same workloads, each written as the library's documentation asks for.
//!
//!     cargo bench --bench crates -- --table [ROUNDS [WORKLOAD]]     processes of their own, one after the other; the tables of docs/DESIGN.md
//!     cargo bench --bench crates -- [FILTER]                        criterion, at a tenth of the size
//!     cargo bench --bench crates -- --test                          whether all of them compute what they should
//!
//! What is in which file: `workloads` says what is done and what must come out; `raw` and `arena` are the faces of the heap, `gc_arena`, `counted` and `rust_gc` the peers, the
//! last two on the common text of `owning`; `bump` is the ceiling. `meter` measures a run, `table` all of them.
//!
//! * Every result is compared with what an equation or a model of plain numbers says.
//! * mimalloc is the allocator of all of them: the peers are faster with it than with the system's. Neap's heap maps its own memory.
//! * Several peers follow references by recursion, in lists a million deep; so everything runs on a large stack.

mod arena;
#[allow(clippy::drop_non_drop, reason = "the workloads drop what other libraries have to")]
mod bump;
mod counted;
mod gc_arena;
mod meter;
mod owning;
mod raw;
mod rust_gc;
mod table;
mod workloads;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use meter::Meter;
use mimalloc::MiMalloc;
use std::time::Duration;
use workloads::{Scale, Workload, run};

#[global_allocator]
static GLOBAL: MiMalloc = MiMalloc;

const STACK_BYTES: usize = 8 << 30;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Ceiling,
    Neap,
    Peer,
    /// No collector; stands beside them.
    Reference,
}

struct Entry {
    name: &'static str,
    role: Role,
    run: fn(Workload, Scale, &mut Meter) -> Option<u64>,
}

const CONTENDERS: [Entry; 9] = [
    Entry { name: "bump", role: Role::Ceiling, run: run::<bump::Bump> },
    Entry { name: "neap arena", role: Role::Neap, run: run::<arena::NeapArena> },
    Entry { name: "neap heap", role: Role::Neap, run: run::<raw::NeapHeap> },
    Entry { name: "gc-arena", role: Role::Peer, run: run::<gc_arena::GcArena> },
    Entry { name: "dumpster", role: Role::Peer, run: run::<counted::dumpster::Dumpster> },
    Entry { name: "bacon_rajan_cc", role: Role::Peer, run: run::<counted::bacon::Bacon> },
    Entry { name: "gcmodule", role: Role::Peer, run: run::<counted::gcmodule::GcModule> },
    Entry { name: "gc", role: Role::Peer, run: run::<rust_gc::RustGc> },
    Entry { name: "Rc and Weak", role: Role::Reference, run: run::<counted::rc::RcWeak> },
];

fn benchmarks(scale: Scale) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(2))
        .sample_size(10)
        .configure_from_args();
    for workload in Workload::ALL {
        let expected = workload.expected(scale);
        let mut group = criterion.benchmark_group(workload.name());
        group.sampling_mode(SamplingMode::Flat);
        for contender in &CONTENDERS {
            let run = || {
                let mut meter = Meter::start();
                let result = (contender.run)(workload, scale, &mut meter)?;
                let times = meter.finish();
                assert_eq!(result, expected, "{} of {}", workload.name(), contender.name);
                Some(times.total())
            };
            // A workload that is left out returns at once.
            if run().is_some() {
                group.bench_function(BenchmarkId::from_parameter(contender.name), |b| {
                    b.iter_custom(|rounds| (0..rounds).filter_map(|_| run()).sum());
                });
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let behind = |word: &'static str| arguments.iter().skip_while(move |argument| *argument != word).skip(1);
    let work = || {
        if has("--run") {
            table::run_one(behind("--run"));
        } else if has("--table") {
            table::print(behind("--table").filter(|argument| !argument.starts_with("--")));
        } else {
            // As criterion understands it: without `--bench` it is a test, too.
            benchmarks(if has("--test") || !has("--bench") { Scale::Smoke } else { Scale::Tenth });
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        thread.expect("room for a large stack").join().expect("all results are right");
    });
}

//! All contenders on all workloads, each run in a process of its own, and what that gives as Markdown.
//!
//! Rounds alternate between the contenders, so that a slow minute of the machine is everybody's; what is shown are medians. A process's peak is what the system says
//! of it (`VmHWM`), the same for a heap that maps its memory and for one of an allocator.

use crate::meter::{Meter, Times, peak_kib};
use crate::workloads::{Scale, Workload};
use crate::{CONTENDERS, Entry, Role};
use std::process::Command;
use std::time::Duration;

/// What one process has found.
#[derive(Clone, Debug)]
struct Run {
    times: Times,
    peak_kib: u64,
    /// The timed steps, if there are any: 50 %, 99 %, 99.9 %, longest; by the wall clock, by the thread's.
    steps: Option<[[u64; 4]; 2]>,
}

/// What a process of the table does: `--run CONTENDER WORKLOAD SCALE`, by their numbers. Prints the figures of its run, or nothing if the workload is left out.
pub fn run_one<'a>(arguments: impl Iterator<Item = &'a String>) {
    let numbers: Vec<usize> = arguments.take(3).map(|word| word.parse().expect("a number")).collect();
    let [contender, workload, scale] = numbers[..] else { panic!("--run CONTENDER WORKLOAD SCALE") };
    let mut meter = Meter::start();
    let Some(result) = (CONTENDERS[contender].run)(Workload::ALL[workload], Scale::ALL[scale], &mut meter) else { return };
    let times = meter.finish();
    print!("{result} {} {} {}", times.work.as_nanos(), times.close.as_nanos(), peak_kib());
    if let (Some(wall), Some(thread)) = (meter.percentiles(|step| step.0), meter.percentiles(|step| step.1)) {
        wall.iter().chain(&thread).for_each(|nanoseconds| print!(" {nanoseconds}"));
    }
    println!();
}

/// Runs it in another process, and compares the result.
fn run_apart(contender: usize, workload: usize, scale: Scale, expected: u64) -> Option<Run> {
    let scale = Scale::ALL.iter().position(|&one| one == scale).expect("one of them");
    let program = std::env::current_exe().expect("this program");
    let arguments = [contender, workload, scale].map(|number| number.to_string());
    let output = Command::new(program).arg("--run").args(arguments).output().expect("a process");
    let name = || format!("{} of {}", Workload::ALL[workload].name(), CONTENDERS[contender].name);
    assert!(output.status.success(), "{}: {}", name(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("figures");
    let figures: Vec<u64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let &[result, work, close, peak_kib, ref steps @ ..] = &figures[..] else { return None };
    assert_eq!(result, expected, "{}", name());
    let times = Times { work: Duration::from_nanos(work), close: Duration::from_nanos(close) };
    let steps = (steps.len() == 8).then(|| std::array::from_fn(|clock| std::array::from_fn(|n| steps[4 * clock + n])));
    Some(Run { times, peak_kib, steps })
}

fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("an order"));
    sorted[sorted.len() / 2]
}

/// The runs of a contender on a workload.
#[derive(Default, Clone)]
struct Runs(Vec<Run>);

impl Runs {
    fn seconds(&self) -> f64 {
        median(self.0.iter().map(|run| run.times.total().as_secs_f64()))
    }
    fn work_seconds(&self) -> f64 {
        median(self.0.iter().map(|run| run.times.work.as_secs_f64()))
    }
    fn mib(&self) -> f64 {
        median(self.0.iter().map(|run| run.peak_kib as f64 / 1024.0))
    }
    /// A percentile of the timed steps, in milliseconds.
    fn step(&self, clock: usize, percentile: usize) -> f64 {
        median(self.0.iter().filter_map(|run| run.steps).map(|steps| steps[clock][percentile] as f64 / 1e6))
    }
}

fn geometric_mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

/// `--table [ROUNDS [WORKLOAD]]`: the workloads with such a word in their names.
pub fn print<'a>(mut arguments: impl Iterator<Item = &'a String>) {
    let rounds = arguments.next().map_or(5, |word| word.parse().expect("a number of rounds"));
    let filter = arguments.next().map_or("", String::as_str);
    let mut results = Vec::new();
    for (number, workload) in Workload::ALL.into_iter().enumerate().filter(|(_, workload)| workload.name().contains(filter)) {
        let expected = workload.expected(Scale::Full);
        let mut runs = vec![Runs::default(); CONTENDERS.len()];
        for _ in 0..rounds {
            for (contender, runs) in runs.iter_mut().enumerate() {
                runs.0.extend(run_apart(contender, number, Scale::Full, expected));
            }
        }
        eprintln!("{} done", workload.name());
        results.push((workload, runs));
    }
    summary(&results);
    details(&results, "Seconds of processor time", Runs::seconds, 2);
    details(&results, "Seconds of processor time, without the end, when all is given back", Runs::work_seconds, 2);
    details(&results, "Peak of resident memory, in MiB", Runs::mib, 0);
    for (workload, runs) in &results {
        if *workload == Workload::Sessions {
            steps(runs);
        }
    }
}

type Results = [(Workload, Vec<Runs>)];

/// The contenders of a role that have run, with a figure of each.
fn of_role(runs: &[Runs], role: Role, figure: fn(&Runs) -> f64) -> impl Iterator<Item = (&'static Entry, f64)> {
    let all = CONTENDERS.iter().zip(runs).filter(move |(entry, runs)| entry.role == role && !runs.0.is_empty());
    all.map(move |(entry, runs)| (entry, figure(runs)))
}

fn best(runs: &[Runs], figure: fn(&Runs) -> f64) -> (&'static Entry, f64) {
    of_role(runs, Role::Peer, figure).min_by(|a, b| a.1.total_cmp(&b.1)).expect("a peer that has run")
}

/// Both faces relative to the best peer of each workload, which is another one for time and for memory.
fn summary(results: &Results) {
    println!(
        "| workload | best time of a peer | arena | heap | ceiling | arena / ceiling | least memory of a peer | arena | heap |"
    );
    println!("|---|---|---:|---:|---:|---:|---|---:|---:|");
    let mut columns: [Vec<f64>; 6] = Default::default();
    for (workload, runs) in results {
        let (fastest, seconds) = best(runs, Runs::seconds);
        let (smallest, mib) = best(runs, Runs::mib);
        let faces: Vec<f64> = of_role(runs, Role::Neap, Runs::seconds).map(|(_, face)| face / seconds).collect();
        let memory: Vec<f64> = of_role(runs, Role::Neap, Runs::mib).map(|(_, face)| face / mib).collect();
        let ceiling = of_role(runs, Role::Ceiling, Runs::seconds).map(|(_, ceiling)| ceiling / seconds).sum::<f64>();
        let figures = [faces[0], faces[1], ceiling, faces[0] / ceiling, memory[0], memory[1]];
        columns.iter_mut().zip(figures).for_each(|(column, figure)| column.push(figure));
        let times = figures[..4].iter().map(|figure| format!(" {figure:.2} |")).collect::<String>();
        println!(
            "| {} | {}, {seconds:.2} s |{times} {}, {mib:.0} MiB | {:.2} | {:.2} |",
            workload.name(),
            fastest.name,
            smallest.name,
            memory[0],
            memory[1]
        );
    }
    let means = columns.map(|column| format!(" **{:.2}** |", geometric_mean(&column)));
    println!("| **geometric mean** | |{} |{}", means[..4].concat(), means[4..].concat());
    for (workload, runs) in results {
        if *workload == Workload::Sessions {
            let longest = |figure: fn(&Runs) -> f64| {
                let (peer, shortest) = best(runs, figure);
                let faces = of_role(runs, Role::Neap, figure).map(|(_, face)| format!(" {face:.2} ms |")).collect::<String>();
                format!(" {}, {shortest:.2} ms |{faces}", peer.name)
            };
            println!("| longest step of the sessions, wall clock |{} | | | | |", longest(|runs| runs.step(0, 3)));
            println!("| longest step of the sessions, processor time |{} | | | | |", longest(|runs| runs.step(1, 3)));
        }
    }
}

fn details(results: &Results, title: &str, figure: fn(&Runs) -> f64, digits: usize) {
    println!("\n{title}:\n");
    println!("| workload |{}", CONTENDERS.iter().map(|entry| format!(" {} |", entry.name)).collect::<String>());
    println!("|---|{}", "---:|".repeat(CONTENDERS.len()));
    for (workload, runs) in results {
        let cell = |runs: &Runs| if runs.0.is_empty() { " |".to_string() } else { format!(" {:.digits$} |", figure(runs)) };
        println!("| {} |{}", workload.name(), runs.iter().map(cell).collect::<String>());
    }
}

fn steps(runs: &[Runs]) {
    println!("\nSteps of the sessions, in milliseconds, by the wall clock and by the processor time of the thread:\n");
    println!("| | p50 | p99 | p99.9 | longest | p50, processor | p99 | p99.9 | longest |");
    println!("|---|{}", "---:|".repeat(8));
    for (entry, runs) in CONTENDERS.iter().zip(runs).filter(|(_, runs)| !runs.0.is_empty()) {
        let figures = (0..8).map(|n| format!(" {:.3} |", runs.step(n / 4, n % 4))).collect::<String>();
        println!("| {} |{figures}", entry.name);
    }
}

//! Programs on the real heap, held against a naive oracle: directed scenarios, random programs, removed rules, failing memory.

mod program;
mod shadow;
mod toy;
mod whole;
mod world;

use neap_gc::heap::Sabotage;
use program::{Op, Scenario};
use world::Options;

fn scenarios() -> Vec<Scenario> {
    program::parse(include_str!("scenarios.txt"))
}

/// How often the random tests go round; `NEAP_TEST_ROUNDS` makes them longer.
fn rounds() -> usize {
    std::env::var("NEAP_TEST_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(1)
}

fn report(name: &str, ops: Vec<Op>, options: &Options) -> ! {
    eprintln!("{name}: {:?}", program::run(&ops, options));
    let first = program::run(&ops, options).err();
    let small = program::minimise(ops, options);
    let last = program::run(&small, options).err();
    panic!("{name}: {first:?}\nsmallest: {last:?}\n{}", program::text(&small));
}

fn random_programs(shard: u64, programs: usize, options: &Options) {
    let scenarios = scenarios();
    for i in 0..(programs * rounds()) as u64 {
        let seed = shard << 32 | i;
        let ops = program::random(seed, &scenarios);
        let options = Options { drop_all: i % 2 == 0, abandon: i % 7 == 0, ..options.clone() };
        if program::run(&ops, &options).is_err() {
            report(&format!("seed {seed:#x}"), ops, &options);
        }
    }
}

/// The chosen scenarios with every pair of numbers below `range`, until they fail.
fn run_scenarios(range: usize, options: &Options, chosen: impl Fn(&str) -> bool, mut failed: impl FnMut(&Scenario, Vec<Op>)) {
    for scenario in scenarios().iter().filter(|s| chosen(&s.name)) {
        'numbers: for n in 0..range {
            for m in 0..if scenario.uses_m() { range } else { 1 } {
                let ops = scenario.expand(n, m);
                if program::run(&ops, options).is_err() {
                    failed(scenario, ops);
                    break 'numbers;
                }
            }
        }
    }
}

#[test]
fn every_rule_has_its_scenario() {
    for drop_all in [true, false] {
        let options = Options { drop_all, ..Options::default() };
        run_scenarios(5 + 3 * rounds(), &options, |_| true, |s, ops| report(&s.name, ops, &options));
    }
}

#[test]
fn random_programs_first_half() {
    random_programs(1, 1500, &Options::default());
}

#[test]
fn random_programs_second_half() {
    random_programs(2, 1500, &Options::default());
}

#[test]
fn random_programs_under_stress() {
    for stress_cycle in [1, 3, 20] {
        random_programs(4, 60, &Options { stress_cycle, ..Options::default() });
    }
}

#[test]
fn random_programs_with_failing_memory() {
    for n in [1, 3, 10] {
        random_programs(3, 150, &Options { fault_every: Some(n), ..Options::default() });
    }
}

/// How many of the rule's scenarios notice.
fn noticed(rule: &str, options: &Options) -> usize {
    let mut names = Vec::new();
    let of_rule = |name: &str| name.split(' ').next() == Some(rule);
    run_scenarios(8, options, of_rule, |s, _| names.push(s.name.clone()));
    names.len()
}

#[test]
fn a_missing_barrier_is_seen() {
    assert!(noticed("R17", &Options { skip_barrier: true, ..Options::default() }) > 2);
}

/// Each removed rule is noticed by a scenario of its own; the switches exist only where debug assertions do.
#[test]
#[cfg(debug_assertions)]
fn a_removed_rule_is_noticed() {
    let unnoticed: Vec<Sabotage> = Sabotage::ALL
        .into_iter()
        .filter(|&sabotage| noticed(sabotage.rule(), &Options { sabotage, ..Options::default() }) == 0)
        .collect();
    assert_eq!(unnoticed, [Sabotage::None]);
}

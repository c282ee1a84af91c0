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

/// A program that leaves out the write barrier is found out: by the auditor, before anything that can be reached has gone.
#[test]
#[cfg_attr(neap_asan, ignore = "a heap without a rule looks into dead cells")]
fn a_missing_barrier_makes_the_auditor_fail() {
    let options = Options { skip_barrier: true, ..Options::default() };
    let mut audits = 0;
    run_scenarios(
        8,
        &options,
        |_| true,
        |_, ops| {
            audits += usize::from(program::run(&ops, &options).is_err_and(|text| text.contains("audit: ")));
        },
    );
    assert!(audits > 20, "{audits}");
}

/// A row of the table in `docs/COLLECTOR.md`: the rule, the files that uphold it, the switches that take it away, the tests that notice.
struct Row {
    rule: String,
    files: Vec<String>,
    switches: Vec<String>,
    tests: Vec<String>,
}

fn table() -> Vec<Row> {
    let text = include_str!("../../../docs/COLLECTOR.md");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    let list = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_string).collect();
    let rows =
        text.lines().map(cells).filter(|row| row.len() == 6 && row[1].strip_prefix('R').is_some_and(|n| n.parse::<u8>().is_ok()));
    rows.map(|row| Row { rule: row[1].clone(), files: list(&row[2]), switches: list(&row[3]), tests: list(&row[4]) }).collect()
}

#[test]
fn every_rule_is_cited_where_it_is_upheld() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rows = table();
    let rules: Vec<&str> = rows.iter().map(|row| &*row.rule).collect();
    assert_eq!(rules, (1..=28).map(|n| format!("R{n}")).collect::<Vec<_>>());
    for row in &rows {
        assert!(!row.files.is_empty(), "{}", row.rule);
        for file in &row.files {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let cited = text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == row.rule);
            assert!(cited, "{file} does not cite {}", row.rule);
        }
        let switches: Vec<String> =
            Sabotage::ALL.iter().filter(|switch| switch.rule() == row.rule).map(|switch| format!("{switch:?}")).collect();
        assert_eq!(row.switches, switches, "{}", row.rule);
    }
}

/// What each switch takes away is noticed by one of the tests that the table names for its rule; the switches exist only where debug
/// assertions do.
#[test]
#[cfg(debug_assertions)]
#[cfg_attr(neap_asan, ignore = "a heap without a rule looks into dead cells")]
fn a_removed_rule_is_noticed() {
    for row in table() {
        let mut idle = row.tests.clone();
        for &sabotage in Sabotage::ALL.iter().filter(|switch| switch.rule() == row.rule) {
            let mut notices = Vec::new();
            // What these rules save is work as well; no object need be lost or kept without them.
            if sabotage == Sabotage::Cancelling && whole::cycles_of_a_quiet_program(sabotage) != 0 {
                notices.push("whole::without_an_event_no_cycle_starts".to_string());
            }
            if sabotage == Sabotage::Events && whole::rings_within_the_limit(sabotage).is_err() {
                notices.push("whole::garbage_of_both_kinds_stays_within_the_limit".to_string());
            }
            let options = Options { sabotage, ..Options::default() };
            run_scenarios(8, &options, |name| row.tests.iter().any(|test| test == name), |s, _| notices.push(s.name.clone()));
            assert!(!notices.is_empty(), "nobody notices {sabotage:?}");
            idle.retain(|test| !notices.contains(test));
        }
        assert!(row.switches.is_empty() || idle.is_empty(), "{}: these notice nothing: {idle:?}", row.rule);
    }
}

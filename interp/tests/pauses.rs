//! `neap pauses` and its reports: their figures are those of the raw list of stops, by computations of their own.

mod common;

use common::{Folder, Outcome};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// Live objects that are replaced, and cycles: every cause that a program brings about by itself.
const CHURN: &str = "\
local live = {}
for i = 1, 5000 do live[i] = { id = i } end
for i = 1, 60000 do
  local k = i * 7919 % 5000 + 1
  live[k] = { id = i, other = live[k * 31 % 5000 + 1] }
  local ring = {}
  ring.self = ring
end
";

struct Run {
    folder: Folder,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file that has been written")
    }
    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.file(name)).expect("JSON")
    }
}

/// Runs a script with options before it, in a folder of its own.
fn run(options: &[&str], script: &str) -> Run {
    let folder = Folder::new();
    std::fs::write(folder.0.join("script.lua"), script).expect("a file");
    let mut command = common::command();
    command.current_dir(&folder.0).args(options).arg("script.lua");
    let Outcome { status, stdout, stderr } = common::run(command, b"", LIMIT).expect("a run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run { folder, code: status.code(), out: text(stdout), err: text(stderr) }
}

/// The rows of a table with a header, each by the names of its columns.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let row = |line: &str| {
        // No name in these tests has a comma in it.
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), names.len(), "{line}");
        names.iter().zip(fields).map(|(name, field)| (name.to_string(), field.to_string())).collect()
    };
    lines.map(row).collect()
}

fn number(row: &BTreeMap<String, String>, name: &str) -> u64 {
    row[name].parse().unwrap_or_else(|_| panic!("{name}: {}", row[name]))
}

/// The least value that is not exceeded by `percent` of all.
fn percentile(times: &[u64], percent: f64) -> u64 {
    let enough =
        |value: u64| times.iter().filter(|time| **time <= value).count() as f64 >= times.len() as f64 * percent / 100.0 - 1e-6;
    times.iter().copied().filter(|value| enough(*value)).min().unwrap_or(0)
}

#[test]
fn figures_are_those_of_the_raw_stops() {
    let run = run(&["--csv=stops.csv", "--json=figures.json", "--hgrm=stops.hgrm", "--gc-trace", "trace.json"], CHURN);
    assert_eq!((run.code, &*run.out, &*run.err), (Some(0), "", ""));
    let (stops, figures) = (rows(&run.file("stops.csv")), run.json("figures.json"));
    assert!(stops.len() > 50, "{}", stops.len());
    for (clock, column) in [("wall_ns", "wall_ns"), ("cpu_ns", "cpu_ns")] {
        let times: Vec<u64> = stops.iter().map(|stop| number(stop, column)).collect();
        let of = &figures["pauses"]["stop"][clock];
        assert_eq!(figures["pauses"]["stop"]["count"], times.len());
        assert_eq!(
            (&of["total"], &of["max"]),
            (&times.iter().sum::<u64>().into(), &(*times.iter().max().expect("stops")).into())
        );
        for percent in [50.0, 90.0, 99.0, 99.9, 99.99] {
            assert_eq!(of[format!("p{percent}")], percentile(&times, percent), "p{percent}");
        }
    }
    for (cause, column) in [("epoch end", "epoch_end"), ("release", "release"), ("mark", "mark"), ("sweep", "sweep")] {
        for clock in ["wall_ns", "cpu_ns"] {
            let total: u64 = stops.iter().map(|stop| number(stop, &format!("{column}_{clock}"))).sum();
            assert_eq!(figures["pauses"][cause][clock]["total"], total, "{cause}");
        }
    }
    // Stops do not overlap; the windows of the utilisation that begin with each stop, by hand.
    let spans: Vec<(u64, u64)> =
        stops.iter().map(|s| (number(s, "start_ns"), number(s, "start_ns") + number(s, "wall_ns"))).collect();
    assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0));
    let run_ns = figures["run_ns"].as_u64().expect("a number");
    for (name, window) in [("1ms", 1_000_000), ("5ms", 5_000_000), ("20ms", 20_000_000)] {
        let stopped = |from: u64| spans.iter().map(|s| s.1.min(from + window).saturating_sub(s.0.max(from))).sum::<u64>();
        let begins = spans.iter().map(|s| s.0.min(run_ns - window));
        let ends = spans.iter().map(|s| s.1.saturating_sub(window));
        let least = 1.0 - begins.chain(ends).map(stopped).max().expect("stops") as f64 / window as f64;
        let told = figures["least_utilisation"]["wall"][name].as_f64().expect("a number");
        assert!((told - least).abs() < 1e-9, "{name}: {told} {least}");
        let cpu = figures["least_utilisation"]["cpu"][name].as_f64().expect("a number");
        assert!((told..=1.0).contains(&cpu), "{name}: {cpu}");
    }
    // Every stop was somewhere in the program.
    assert!(stops.iter().all(|stop| stop["source"] == "\"script.lua\"" && (1..=9).contains(&number(stop, "line"))));
    let slowest: Vec<u64> =
        figures["slowest"].as_array().expect("a list").iter().map(|s| s["wall_ns"].as_u64().unwrap()).collect();
    let mut times: Vec<u64> = stops.iter().map(|stop| number(stop, "wall_ns")).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(slowest, times[..10]);

    check_hgrm(&run.file("stops.hgrm"), &times);
    check_trace(&run.json("trace.json"), &stops, &figures);
}

/// Each line says that so many of the times are not longer than the value, to the three digits of the histogram.
fn check_hgrm(text: &str, times: &[u64]) {
    let mut lines = 0;
    for line in text.lines().skip(2).filter(|line| !line.starts_with('#')) {
        let fields: Vec<f64> = line.split_whitespace().map(|field| field.parse().expect("a number")).collect();
        let (value, quantile, count) = (fields[0] * 1e6, fields[1], fields[2] as usize);
        let shorter = |bound: f64| times.iter().filter(|time| **time as f64 <= bound).count();
        assert!(shorter(value * 0.998) <= count && count <= shorter(value * 1.002), "{line}");
        assert!(count as f64 >= quantile * times.len() as f64 - 1.0, "{line}");
        if fields.len() == 4 {
            assert!((fields[3] - 1.0 / (1.0 - quantile)).abs() <= 0.01 * fields[3], "{line}");
        }
        lines += 1;
    }
    assert!(lines > 10 && text.contains(&format!("Total count    = {:>12}]", times.len())), "{text}");
}

/// Valid events; slices nest; their sums are the figures.
fn check_trace(trace: &Value, stops: &[BTreeMap<String, String>], figures: &Value) {
    let events = trace["traceEvents"].as_array().expect("a list");
    let ns = |value: &Value| (value.as_f64().expect("microseconds") * 1e3).round() as u64;
    let slices = |thread: u64| events.iter().filter(move |e| e["ph"] == "X" && e["tid"] == thread);
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut stop = (0, 0);
    for slice in slices(1) {
        let (name, from) = (slice["name"].as_str().expect("a name"), ns(&slice["ts"]));
        let to = from + ns(&slice["dur"]);
        if name == "stop" {
            assert!(stop.1 <= from, "stops overlap");
            stop = (from, to);
        } else {
            assert!(stop.0 <= from && to <= stop.1, "{slice} is not within {stop:?}");
        }
        let sum = sums.entry(name).or_default();
        *sum = (sum.0 + 1, sum.1 + to - from);
    }
    assert_eq!(sums["stop"].0 as usize, stops.len());
    for (name, (count, total)) in sums {
        let of = &figures["pauses"][name];
        assert_eq!((&of["count"], &of["wall_ns"]["total"]), (&count.into(), &total.into()), "{name}");
    }
    // The phases of the cycles follow each other.
    let phases: Vec<(u64, u64)> = slices(2).map(|e| (ns(&e["ts"]), ns(&e["ts"]) + ns(&e["dur"]))).collect();
    assert!(phases.len() > 3 && phases.windows(2).all(|two| two[0].1 <= two[1].0), "{phases:?}");
    let used = events.iter().filter(|e| e["ph"] == "C" && e["name"] == "bytes in use").map(|e| e["args"]["bytes"].to_string());
    assert!(used.eq(stops.iter().map(|stop| stop["used_bytes"].clone())));
}

#[test]
fn a_stop_is_at_the_line_that_allocates() {
    let script =
        "local t\nfor i = 1, 2e5 do\n\n  t = { i }\n\nend\nlocal s\nfor i = 1, 3e4 do\n  s = ('x'):rep(i % 100) .. i\nend\n";
    let run = run(&["--csv=stops"], script);
    let lines: std::collections::BTreeSet<String> =
        rows(&run.file("stops")).into_iter().map(|mut stop| stop.remove("line").unwrap()).collect();
    assert_eq!(lines.into_iter().collect::<Vec<_>>(), ["4", "9"]);
}

#[test]
fn the_table() {
    let run = run(&["pauses"], CHURN);
    assert_eq!((run.code, &*run.out), (Some(0), ""));
    assert!(run.err.starts_with("pauses of script.lua: "), "{}", run.err);
    for part in [
        "\nwall, ms ",
        "\nCPU, ms ",
        "\nstop  ",
        "\nepoch end ",
        "\nmark ",
        "p99.99  longest\n",
        "\nutilisation",
        "\nallocation ",
        "\nmemory ",
        "\nmachine ",
        "\nslowest ",
        "  script.lua:",
    ] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    let to_file = self::run(&["--pauses=table"], CHURN);
    assert_eq!((to_file.code, &*to_file.err), (Some(0), ""));
    assert!(to_file.file("table").starts_with("pauses of script.lua: "));
    // However the program ends, and whatever it returns.
    for (end, code) in [("os.exit(7)", 7), ("os.exit(0, true)", 0), ("error('x', 0)", 1)] {
        let run = self::run(&["pauses"], &format!("{CHURN}{end}"));
        assert!(run.code == Some(code) && run.err.contains("pauses of script.lua: "), "{}", run.err);
    }
}

#[test]
fn what_can_not_be_written_is_told_first() {
    let run = run(&["--json=none/x.json"], "print('run')");
    assert_eq!((run.code, &*run.out), (Some(1), ""));
    assert_eq!(run.err, "neap: cannot write none/x.json: No such file or directory (os error 2)\n");
}

#[test]
fn figures_for_programs_go_to_the_standard_output() {
    let run = run(&["--json"], "io.stderr:write('told')");
    assert_eq!((run.code, &*run.err), (Some(0), "told"));
    let figures: Value = serde_json::from_str(&run.out).expect("JSON");
    // A short run: what it has allocated counts, though no epoch has ended.
    assert_eq!(figures["pauses"]["stop"]["count"], 0);
    assert!(figures["totals"]["allocated_bytes"].as_u64() > Some(10_000), "{figures}");
    assert_eq!(figures["least_utilisation"]["wall"]["100ms"], Value::Null);
}

/// A stop of five milliseconds that the program asks for.
const PLANTED: &str = "local live = {}\nfor i = 1, 2e5 do live[i] = { i } end\ncollectgarbage()\n";

#[test]
fn a_budget_that_is_broken_is_the_exit_code() {
    let kept = run(&["pauses", "--budget", "10s,p99.9=5s"], CHURN);
    assert_eq!(kept.code, Some(0));
    assert!(kept.err.contains("\nbudget, on CPU time\n") && kept.err.contains("10000 ms: kept\n"), "{}", kept.err);
    // Without a table only what is wrong is told.
    assert_eq!(run(&["--budget", "10s"], CHURN).err, "");
    for options in [&["--budget=1us"][..], &["pauses", "--budget=1us"]] {
        let broken = run(options, PLANTED);
        assert_eq!(broken.code, Some(3), "{}", broken.err);
        assert!(broken.err.contains(": BROKEN\n"), "{}", broken.err);
        let named = broken.err.lines().find(|line| line.contains("broken by a stop of")).expect("a stop");
        assert!(named.contains("script.lua:3, whole"), "the longest is the planted one: {named}");
    }
    // What the program asks for can be left out.
    assert_eq!(run(&["--budget=own,10s"], PLANTED).code, Some(0));
    let named = run(&["--budget=own,1ns"], PLANTED).err;
    assert!(named.contains("broken by a stop of") && !named.contains(", whole"), "{named}");
    // A program that fails says so by its own code.
    assert_eq!(run(&["--budget=1us"], &format!("{PLANTED}os.exit(9)")).code, Some(9));
}

#[test]
fn goals_that_stops_miss_are_told() {
    let run = run(&["pauses", "--max-pause", "50us", "--max-overhead=90"], PLANTED);
    let line = run.err.lines().find(|line| line.starts_with("goal ")).expect("a line");
    assert!(line.contains("0.050 ms: ") && line.ends_with(": whole at script.lua:3"), "{line}");
    let kept = self::run(&["pauses", "--max-pause", "1s"], CHURN);
    assert!(kept.err.contains("\ngoal         1000 ms: no stop has computed longer\n"), "{}", kept.err);
}

#[test]
fn the_warm_up_is_not_counted() {
    let long = "local t = os.clock() repeat local x = {} for i = 1, 1000 do x[i] = {} end until os.clock() - t > 0.5";
    let run = run(&["--after", "200ms", "--csv=stops", "--json=figures"], long);
    let (stops, figures) = (rows(&run.file("stops")), run.json("figures"));
    assert!(!stops.is_empty() && stops.iter().all(|stop| number(stop, "start_ns") >= 200_000_000));
    assert_eq!(figures["since_ns"], 200_000_000);
    let (run_ns, allocated) = (figures["run_ns"].as_u64(), figures["totals"]["allocated_bytes"].as_u64());
    assert!(run_ns >= Some(200_000_000) && allocated > Some(100_000), "{figures}");
    let cold = self::run(&["pauses", "--after=1m"], CHURN);
    assert!(cold.err.contains("\nthe run has ended before its warm-up: nothing is counted\n"), "{}", cold.err);
}

#[test]
fn the_log_has_a_line_for_each_epoch_and_cycle() {
    let run = run(&["--gc-log=log", "--json=figures"], &format!("{CHURN}collectgarbage()"));
    let (log, figures) = (run.file("log"), run.json("figures"));
    let lines = |word: &str| log.lines().filter(|line| line.contains(&format!("] {word} "))).count() as u64;
    assert_eq!(Some(lines("epoch")), figures["pauses"]["epoch end"]["count"].as_u64());
    assert_eq!(log.lines().filter(|line| line.contains("] whole: ")).count(), 1);
    let cycles = figures["totals"]["cycles"].as_u64().expect("a number");
    // Those of the whole collection have one line together.
    assert!((1..=cycles).contains(&lines("cycle")), "{log}");
    assert!(log.lines().all(|line| line.starts_with('[') && line.ends_with(" in use")), "{log}");
    assert!(!self::run(&["--gc-log"], CHURN).err.is_empty());
}

/// A program that runs for ever, but not for longer than its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_running_program_reports_on_request() {
    let folder = Folder::new();
    let script = "for i = 1, 1e5 do local t = { {} } end print('runs') io.stdout:flush() while true do local t = {} for i = 1, 100 do t[i] = {} end end";
    let mut command: Command = common::command();
    command.current_dir(&folder.0).args(["pauses", "--json=figures", "-e", script]);
    let Ended(child) = &mut Ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child"));
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    for _ in 0..2 {
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::USR1).expect("a signal");
        line.clear();
        while !line.starts_with("pauses of the command line: ") {
            line.clear();
            err.read_line(&mut line).expect("a line");
            assert!(!line.is_empty(), "it has ended");
        }
    }
    // The files come behind the table.
    let start = Instant::now();
    let figures: Value = loop {
        let text = std::fs::read_to_string(folder.0.join("figures")).expect("a file");
        match serde_json::from_str(&text) {
            Ok(figures) => break figures,
            Err(error) => assert!(start.elapsed() < LIMIT, "{error}: {text}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(figures["pauses"]["stop"]["count"].as_u64() > Some(0));
    assert_eq!(child.try_wait().expect("a child"), None, "it goes on");
}

/// What the REPL says to these lines.
fn talk(lines: &str) -> String {
    let mut command = common::command();
    command.arg("-i");
    let outcome = common::run(command, lines.as_bytes(), LIMIT).expect("a run");
    assert!(outcome.status.success());
    [outcome.stdout, outcome.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat()
}

#[test]
fn the_repl_shows_heap_and_pauses() {
    let told = talk("kept = { deep = { {} } }\n.why kept.deep[1]\n.why 5\n.why {}\n.why nothing.x\n.why\n");
    for answer in [
        "> _G.kept.deep[1]\n",
        "> a number is no object of the heap\n",
        "> nothing holds this table\n",
        "attempt to index a nil value (global 'nothing')",
        "usage: .why CODE\n",
    ] {
        assert!(told.contains(answer), "{answer}: {told}");
    }
    let told = talk(".census\nkept = {} for i = 1, 100 do kept[i] = {} end\n.census\n.census now\n");
    let tables: Vec<Vec<&str>> =
        told.lines().filter(|line| line.starts_with("table ")).map(|l| l.split_whitespace().collect()).collect();
    assert_eq!((tables.len(), tables[0].len()), (2, 4), "{told}");
    assert_eq!(tables[1][4], "+101", "{told}");
    assert!(told.contains(".census takes no argument\n"));
    let told = talk("collectgarbage()\n.pauses\n.pauses reset\n.pauses\n.pauses x\n.heap\n.gc\n");
    assert_eq!(told.lines().filter(|line| line.starts_with("whole ")).count(), 2, "on both clocks, once: {told}");
    for part in ["wall, ms ", "CPU, ms ", "usage: .pauses [reset]\n", "\ncommitted ", "\nkind  ", "heap  "] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let run = run(&["--report=page.html", "--budget=1ns"], CHURN);
    assert_eq!(run.code, Some(3));
    let page = run.file("page.html");
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    for outside in ["http://", "https://", "src=", "<link", "<script", "url(", "@import"] {
        let found = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!found.contains(outside), "{outside}");
    }
    for part in ["<title>Pauses of script.lua</title>", "The budget is broken.", "script.lua:", "id=\"slowest\"", "light-dark("] {
        assert!(page.contains(part), "{part}");
    }
    // Each picture has its words; every element that is opened is closed.
    assert_eq!(page.matches("<figure>").count(), 5);
    assert_eq!(page.matches("<svg ").count(), page.matches("<figcaption>").count());
    for element in ["section", "figure", "table", "div", "ul", "svg", "main", "header", "tr", "td", "dl"] {
        let (opened, closed) = (format!("<{element}"), format!("</{element}>"));
        let count = page.match_indices(&opened).filter(|(at, _)| page[at + opened.len()..].starts_with([' ', '>'])).count();
        assert_eq!(count, page.matches(&closed).count(), "{element}");
    }
    // Names that are markup are shown as they are written.
    let named = Folder::new();
    std::fs::write(named.0.join("<b>&.lua"), "local x = 1").expect("a file");
    let mut command = common::command();
    command.current_dir(&named.0).args(["--report", "page", "<b>&.lua"]);
    common::run(command, b"", LIMIT).expect("a run");
    let page = std::fs::read_to_string(named.0.join("page")).expect("a file");
    assert!(page.contains("<h1>Pauses of &lt;b&gt;&amp;.lua</h1>"));
}

#[test]
fn a_script_marks_moments_and_begins_anew() {
    let script = format!("{CHURN}gc.mark('before') gc.reset() gc.mark('a \"mark\"') gc.collect() gc.mark('end')");
    let run = run(&["--gc-trace=trace", "--json=figures", "--csv=stops"], &script);
    let (trace, figures, stops) = (run.json("trace"), run.json("figures"), rows(&run.file("stops")));
    let marks: Vec<&Value> = figures["marks"].as_array().expect("a list").iter().collect();
    assert_eq!(marks.iter().map(|mark| &mark["name"]).collect::<Vec<_>>(), ["a \"mark\"", "end"]);
    // Of all that was before only what the heap holds is left.
    assert_eq!((stops.len(), &figures["pauses"]["whole"]["count"]), (1, &1.into()));
    let at = |mark: &Value| mark["at_ns"].as_u64().expect("a time");
    let stop = number(&stops[0], "start_ns");
    let since = figures["since_ns"].as_u64().expect("a time");
    assert!(since > 0 && since <= at(marks[0]) && at(marks[0]) <= stop && stop + number(&stops[0], "wall_ns") <= at(marks[1]));
    assert!(figures["totals"]["allocated_bytes"].as_u64() < Some(100_000), "{figures}");
    let events = trace["traceEvents"].as_array().expect("a list").iter().filter(|event| event["ph"] == "i");
    let traced: Vec<(&Value, u64)> = events.map(|e| (&e["name"], (e["ts"].as_f64().expect("us") * 1e3).round() as u64)).collect();
    assert_eq!(traced, marks.iter().map(|mark| (&mark["name"], at(mark))).collect::<Vec<_>>());
}

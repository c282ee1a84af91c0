//! The command line, read by the grammar of the reference: options stand one by one (`-vi` is no option), `-e` and `-l` take their
//! argument attached or apart, but apart not if it starts with `-`, and the first word that is no option is the script.
//!
//! By hand, not by a crate (`lexopt` was looked at): those accept what this grammar refuses, such as `-vi` and `-e=x`, and the table `arg`
//! wants the place of the script among all words, which they do not tell.
//!
//! Pure.

use super::check::Inspection;
use super::pauses::budget::{self, Budget};
use super::pauses::{Request, Target};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// What an option asks for, in its place among the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// `-e stat`
    Execute(Vec<u8>),
    /// `-l mod`
    Require(Vec<u8>),
    /// `-W`
    Warnings,
}

/// A command line.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Options {
    /// All words, the program's name first.
    pub words: Vec<Vec<u8>>,
    /// The place of the script among the words; 0: there is none.
    pub script: usize,
    pub steps: Vec<Step>,
    pub interactive: bool,
    pub version: bool,
    pub ignore_environment: bool,
    pub help: bool,
    pub gc_stats: bool,
    pub heap_limit: Option<usize>,
    /// Explicit memory that was never freed is an error.
    pub leaks_are_errors: bool,
    pub fuel: Option<u64>,
    pub time: Option<Duration>,
    /// What is to be told of the pauses, and the other goal of the collector, in percent.
    pub pauses: Request,
    pub max_overhead: Option<u32>,
    /// The files that follow are only looked at.
    pub inspection: Option<Inspection>,
}

/// The options whose argument stands behind `=` or in the next word.
const WITH_ARGUMENT: [&[u8]; 10] = [
    b"-heap-limit",
    b"-leaks",
    b"-fuel",
    b"-time",
    b"-max-pause",
    b"-max-overhead",
    b"-budget",
    b"-after",
    b"-gc-trace",
    b"-report",
];
/// Those that may have one behind `=`.
const WITH_TARGET: [&[u8]; 5] = [b"-pauses", b"-json", b"-csv", b"-hgrm", b"-gc-log"];

/// The first word that is a command and no script: `neap ./pauses` runs a script of that name.
const PAUSES: &[u8] = b"pauses";

impl Options {
    /// Reads the words of a command line. The error is the message.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Options, Vec<u8>> {
        let words: Vec<Vec<u8>> = words.into_iter().map(OsString::into_vec).collect();
        let mut options = Options::default();
        let mut next = 1;
        let command = words.get(1).is_some_and(|word| word == PAUSES);
        if command {
            options.pauses.table = Some(Target::Standard);
            next = 2;
        }
        while let Some(word) = words.get(next) {
            let Some(option) = word.strip_prefix(b"-") else { break };
            match option {
                // The script "-" is the standard input.
                b"" => break,
                b"-" => {
                    next += 1;
                    break;
                }
                b"i" => (options.interactive, options.version) = (true, true),
                b"v" => options.version = true,
                b"E" => options.ignore_environment = true,
                b"W" => options.steps.push(Step::Warnings),
                [b'e' | b'l', attached @ ..] => {
                    let argument = if attached.is_empty() {
                        next += 1;
                        match words.get(next) {
                            Some(argument) if !argument.starts_with(b"-") => argument.clone(),
                            _ => return Err(quoted(b"", word, b" needs argument")),
                        }
                    } else {
                        attached.to_vec()
                    };
                    options.steps.push(if option[0] == b'e' { Step::Execute(argument) } else { Step::Require(argument) });
                }
                b"-help" => options.help = true,
                b"-gc-stats" => options.gc_stats = true,
                b"-check" | b"-disasm" => {
                    options.inspection = Some(if option == b"-check" { Inspection::Check } else { Inspection::Disassemble });
                    next += 1;
                    if next == words.len() {
                        return Err(quoted(b"", word, b" needs argument"));
                    }
                    break;
                }
                _ => {
                    let (name, attached) = match memchr::memchr(b'=', option) {
                        Some(place) => (&option[..place], Some(&option[place + 1..])),
                        None => (option, None),
                    };
                    if WITH_TARGET.contains(&name) {
                        options.pauses.set_target(name, target(name, attached)?);
                        next += 1;
                        continue;
                    }
                    if !WITH_ARGUMENT.contains(&name) {
                        return Err(quoted(b"unrecognized option ", word, b""));
                    }
                    let value = match attached {
                        Some(value) => value,
                        None => {
                            next += 1;
                            words.get(next).ok_or_else(|| quoted(b"", word, b" needs argument"))?
                        }
                    };
                    match name {
                        b"-heap-limit" => options.heap_limit = Some(size(value)?),
                        b"-leaks" => {
                            options.leaks_are_errors = match value {
                                b"error" => true,
                                b"warning" => false,
                                _ => return Err(quoted(b"", value, b" is not what leaks can be ('warning' or 'error')")),
                            }
                        }
                        b"-fuel" => options.fuel = Some(count(value)?),
                        b"-max-pause" => options.pauses.goal = Some(pause(value)?),
                        b"-max-overhead" => options.max_overhead = Some(percent(value)?),
                        b"-budget" => options.pauses.budget = Some(Budget::parse(value)?),
                        b"-after" => options.pauses.after = Some(duration(value)?),
                        b"-gc-trace" | b"-report" if value.is_empty() => return Err(quoted(b"", word, b" needs argument")),
                        b"-report" => options.pauses.page = Some(Target::File(value.to_vec())),
                        b"-gc-trace" => options.pauses.trace = Some(Target::File(value.to_vec())),
                        _ => options.time = Some(duration(value)?),
                    }
                }
            }
            next += 1;
        }
        options.script = if next < words.len() { next } else { 0 };
        options.pauses.check()?;
        if command && options.script == 0 && !options.executes() && !options.help {
            return Err(b"'pauses' needs a script".to_vec());
        }
        options.words = words;
        Ok(options)
    }

    /// The files that are only looked at, and how.
    pub fn inspected(&self) -> Option<(Inspection, &[Vec<u8>])> {
        self.inspection.map(|inspection| (inspection, &self.words[self.script..]))
    }

    /// Whether `-e` was given.
    pub fn executes(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Execute(_)))
    }

    /// Whether the script's word stands for the standard input.
    pub fn script_is_stdin(&self) -> bool {
        self.words[self.script] == b"-" && self.words[self.script - 1] != b"--"
    }
}

fn quoted(before: &[u8], word: &[u8], after: &[u8]) -> Vec<u8> {
    [before, b"'", word, b"'", after].concat()
}

/// A number of steps, with `K`, `M` or `G` for powers of 1000.
fn count(text: &[u8]) -> Result<u64, Vec<u8>> {
    let (digits, factor) = match text {
        [digits @ .., b'K' | b'k'] => (digits, 1_000),
        [digits @ .., b'M' | b'm'] => (digits, 1_000_000),
        [digits @ .., b'G' | b'g'] => (digits, 1_000_000_000),
        digits => (digits, 1),
    };
    let number: Option<u64> = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.and_then(|number| number.checked_mul(factor)).ok_or_else(|| quoted(b"not a number of steps: ", text, b""))
}

/// A time: seconds, or with `ms`, `s` or `m` behind it.
fn duration(text: &[u8]) -> Result<Duration, Vec<u8>> {
    let (digits, factor) = match text {
        [digits @ .., b'm', b's'] => (digits, 0.001),
        [digits @ .., b's'] => (digits, 1.0),
        [digits @ .., b'm'] => (digits, 60.0),
        digits => (digits, 1.0),
    };
    let number: Option<f64> = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    let time = number.and_then(|number| Duration::try_from_secs_f64(number * factor).ok());
    time.ok_or_else(|| quoted(b"not a time: ", text, b""))
}

/// Where a report goes: to a file, if one is given.
fn target(name: &[u8], attached: Option<&[u8]>) -> Result<Target, Vec<u8>> {
    match attached {
        None => Ok(Target::Standard),
        Some(b"") => Err(quoted(b"", &[b"-", name, b"="].concat(), b" needs the name of a file")),
        Some(file) => Ok(Target::File(file.to_vec())),
    }
}

/// The longest that a stop should be: a time with its unit.
fn pause(text: &[u8]) -> Result<Duration, Vec<u8>> {
    let time = std::str::from_utf8(text).ok().and_then(budget::nanoseconds).map(Duration::from_nanos);
    time.filter(|time| PAUSES_US.contains(&time.as_micros()))
        .ok_or_else(|| quoted(b"", text, b" is no goal for pauses (from 50us to 1s, such as 250us)"))
}

/// The goals for pauses that the collector can follow, in microseconds.
const PAUSES_US: std::ops::RangeInclusive<u128> = 50..=1_000_000;

/// A share of the time, in percent.
fn percent(text: &[u8]) -> Result<u32, Vec<u8>> {
    let digits = text.strip_suffix(b"%").unwrap_or(text);
    let number: Option<u32> = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.filter(|n| (1..=95).contains(n)).ok_or_else(|| quoted(b"", text, b" is no share of the time (from 1 to 95 percent)"))
}

/// A number of bytes, with `K`, `M` or `G` for powers of 1024.
fn size(text: &[u8]) -> Result<usize, Vec<u8>> {
    let (digits, shift) = match text.split_last() {
        Some((b'K' | b'k', digits)) => (digits, 10),
        Some((b'M' | b'm', digits)) => (digits, 20),
        Some((b'G' | b'g', digits)) => (digits, 30),
        _ => (text, 0),
    };
    let number = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    number
        .and_then(|digits| digits.parse::<usize>().ok()?.checked_mul(1 << shift))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| quoted(b"", text, b" is not a size (such as 64M)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let words = std::iter::once("neap").chain(line.split_whitespace()).map(OsString::from);
        Options::parse(words).map_err(|message| String::from_utf8(message).unwrap())
    }

    #[test]
    fn places_of_the_script() {
        for (line, script) in
            [("", 0), ("a b c", 1), ("-v a", 2), ("-e x a -v", 3), ("-", 1), ("-- -v", 2), ("--", 0), ("-ex", 0), ("-v -i", 0)]
        {
            assert_eq!(parse(line).unwrap().script, script, "{line}");
        }
        assert!(parse("-").unwrap().script_is_stdin());
        assert!(!parse("-- -").unwrap().script_is_stdin());
    }

    #[test]
    fn steps_keep_their_order() {
        let o = parse("-lm -e x -W -l g=m").unwrap();
        let [m, x, gm] = [b"m".to_vec(), b"x".to_vec(), b"g=m".to_vec()];
        assert_eq!(o.steps, [Step::Require(m), Step::Execute(x), Step::Warnings, Step::Require(gm)]);
        assert!(o.executes() && !parse("-l m").unwrap().executes());
    }

    #[test]
    fn refusals() {
        for (line, message) in [
            ("-vi", "unrecognized option '-vi'"),
            ("--x", "unrecognized option '--x'"),
            ("-E1", "unrecognized option '-E1'"),
            ("-e", "'-e' needs argument"),
            ("-e -x", "'-e' needs argument"),
            ("-l", "'-l' needs argument"),
            ("--heap-limit", "'--heap-limit' needs argument"),
            ("--leaks=no", "'no' is not what leaks can be ('warning' or 'error')"),
            ("--check", "'--check' needs argument"),
            ("--disasm", "'--disasm' needs argument"),
            ("--heap-limit 1T", "'1T' is not a size (such as 64M)"),
            ("--heap-limit=0", "'0' is not a size (such as 64M)"),
            ("--heap-limit=99999999999G", "'99999999999G' is not a size (such as 64M)"),
            ("--json=", "'--json=' needs the name of a file"),
            ("--gc-trace", "'--gc-trace' needs argument"),
            ("--gc-trace=", "'--gc-trace=' needs argument"),
            ("--max-pause 250", "'250' is no goal for pauses (from 50us to 1s, such as 250us)"),
            ("--max-pause=1us", "'1us' is no goal for pauses (from 50us to 1s, such as 250us)"),
            ("--max-overhead 100", "'100' is no share of the time (from 1 to 95 percent)"),
            ("--budget=x", "'x' in the budget 'x' is not a time (such as 1ms or 300us)"),
            ("--after 2x", "not a time: '2x'"),
            (
                "--json --csv x",
                "only one of --json, --csv and --hgrm can go to the standard output; give the others a file (--csv=FILE)",
            ),
            ("pauses", "'pauses' needs a script"),
            ("pauses -l m", "'pauses' needs a script"),
        ] {
            assert_eq!(parse(line).unwrap_err(), message);
        }
    }

    #[test]
    fn what_is_told_of_pauses() {
        let of = |line: &str| parse(line).unwrap();
        let file = |name: &str| Some(Target::File(name.into()));
        let o = of("pauses --json=j --csv -v a b");
        assert_eq!((o.script, o.version), (5, true));
        assert_eq!((o.pauses.table, o.pauses.json, o.pauses.csv), (Some(Target::Standard), file("j"), Some(Target::Standard)));
        let o = of("--pauses=t --hgrm=h --gc-trace x --gc-log --after 2s --max-pause=1ms --max-overhead 20% a");
        let p = o.pauses;
        assert_eq!((p.table, p.hgrm, p.trace, p.log), (file("t"), file("h"), file("x"), Some(Target::Standard)));
        assert_eq!((p.after, p.goal, o.max_overhead), (Some(Duration::from_secs(2)), Some(Duration::from_millis(1)), Some(20)));
        // Only the first word is a command.
        assert_eq!((of("-v pauses").script, of("./pauses").script, of("-v pauses").pauses), (2, 1, Request::default()));
        assert!(of("pauses -e x").executes() && of("pauses -").script == 2);
    }

    #[test]
    fn all_words_behind_an_inspection_are_files() {
        let o = parse("-v --check a - -x").unwrap();
        assert_eq!(o.inspected(), Some((Inspection::Check, &[b"a".to_vec(), b"-".to_vec(), b"-x".to_vec()][..])));
        assert_eq!(parse("--disasm a").unwrap().inspected(), Some((Inspection::Disassemble, &[b"a".to_vec()][..])));
        assert_eq!(parse("a --check").unwrap().inspected(), None);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("1", 1), ("2K", 2048), ("64M", 64 << 20), ("3g", 3 << 30)] {
            assert_eq!(parse(&format!("--heap-limit {text}")).unwrap().heap_limit, Some(bytes));
        }
    }
}

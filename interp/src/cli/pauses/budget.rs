//! `--budget`: what stops may take, and which of them took more.
//!
//! A budget is a list of bounds: a time is a bound for every stop, `p99.9=300us` one for that percentile of all stops. Both are of the time that the thread has
//! computed, so that a machine that gave the processor to others breaks no budget. The word `own` in the list leaves out the stops that the program has asked
//! for (`collectgarbage()`): they take as long as they take.
//!
//! Pure.

use super::figures::percentile;
use super::record::Record;
use super::text;
use neap_gc::observe::Cause;
use std::fmt::Write;

/// A bound.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Bound {
    /// 100: of every stop.
    percent: f64,
    ns: u64,
}

/// What stops may take.
#[derive(Clone, PartialEq, Debug)]
pub struct Budget {
    bounds: Vec<Bound>,
    /// Only stops of the collector's own are judged.
    own: bool,
}

impl Eq for Budget {}

/// So many of the stops that broke a bound are named.
const NAMED: usize = 5;

impl Budget {
    /// Reads `1ms,p99.9=300us`. The error is the message.
    pub fn parse(text: &[u8]) -> Result<Budget, Vec<u8>> {
        let word = String::from_utf8_lossy(text);
        let (mut bounds, mut own) = (Vec::new(), false);
        for bound in word.split(',').map(str::trim) {
            if bound == "own" {
                own = true;
                continue;
            }
            let (name, time) = bound.split_once('=').map_or(("max", bound), |(name, time)| (name.trim(), time.trim()));
            let percent = match name {
                "max" => Some(100.0),
                _ => name.strip_prefix('p').and_then(|n| n.parse().ok()).filter(|percent| (0.0..=100.0).contains(percent)),
            };
            let Some(percent) = percent else {
                return Err(format!("'{name}' in the budget '{word}' is no percentile (such as p99.9)").into_bytes());
            };
            let Some(ns) = nanoseconds(time) else {
                return Err(format!("'{time}' in the budget '{word}' is not a time (such as 1ms or 300us)").into_bytes());
            };
            bounds.push(Bound { percent, ns });
        }
        if bounds.is_empty() {
            return Err(format!("the budget '{word}' has no bound (such as 1ms)").into_bytes());
        }
        Ok(Budget { bounds, own })
    }

    /// Looks whether the stops kept to it.
    pub fn judge(&self, record: &Record) -> Verdict {
        let asked_for = |stop: usize| record.parts(stop).iter().any(|part| part.cause == Cause::Whole);
        let judged: Vec<usize> = (0..record.stops.len()).filter(|&stop| !self.own || !asked_for(stop)).collect();
        let mut times: Vec<u64> = judged.iter().map(|&stop| record.stops[stop].cpu_ns).collect();
        times.sort_unstable();
        let found = |bound: &Bound| (*bound, percentile(&times, bound.percent));
        let findings: Vec<_> = self.bounds.iter().map(found).collect();
        let strictest = findings.iter().filter(|(bound, ns)| *ns > bound.ns).map(|(bound, _)| bound.ns).min();
        let mut breakers = judged;
        breakers.retain(|&stop| strictest.is_some_and(|limit_ns| record.stops[stop].cpu_ns > limit_ns));
        breakers.sort_by_key(|&stop| std::cmp::Reverse(record.stops[stop].cpu_ns));
        Verdict { findings, breakers, own: self.own }
    }
}

/// A time with its unit, which must be there.
pub fn nanoseconds(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let (digits, factor) = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let number: f64 = digits.trim_end().parse().ok()?;
    let ns = number * factor;
    // Less than a nanosecond is no time, and a hundred years are none that a stop takes.
    ((1.0..3.2e18).contains(&ns)).then_some(ns as u64)
}

/// Whether a budget was kept.
pub struct Verdict {
    findings: Vec<(Bound, u64)>,
    /// The stops that computed longer than the strictest of the broken bounds, the longest first.
    breakers: Vec<usize>,
    own: bool,
}

impl Verdict {
    pub fn is_broken(&self) -> bool {
        self.findings.iter().any(|(bound, ns)| *ns > bound.ns)
    }

    pub fn text(&self, record: &Record) -> String {
        let mut out = String::from("\nbudget, on CPU time");
        out.push_str(if self.own { ", of the stops that the program has not asked for\n" } else { "\n" });
        // Writing to a `String` does not fail.
        let _ = self.write(record, &mut out);
        out
    }

    fn write(&self, record: &Record, out: &mut String) -> std::fmt::Result {
        for (bound, ns) in &self.findings {
            let what = if bound.percent == 100.0 { "longest".into() } else { format!("p{}", bound.percent) };
            let kept = if ns > &bound.ns { "BROKEN" } else { "kept" };
            writeln!(out, "  {what:<8} {:>8} ms of {} ms: {kept}", text::ms(*ns), text::ms(bound.ns))?;
        }
        for &at in self.breakers.iter().take(NAMED) {
            let stop = &record.stops[at];
            let (causes, place, work) = (text::causes(record, at), text::place(record, stop), text::work(stop));
            let since = text::seconds(stop.start_ns);
            writeln!(out, "  broken by a stop of {} ms at {since}, {place}, {causes}: {work}", text::ms(stop.cpu_ns))?;
        }
        match self.breakers.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => writeln!(out, "  and by {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Budget, String> {
        Budget::parse(text.as_bytes()).map_err(|message| String::from_utf8(message).expect("UTF-8"))
    }

    #[test]
    fn budgets_are_read() {
        let bounds = |text| parse(text).map(|budget| budget.bounds.iter().map(|b| (b.percent, b.ns)).collect::<Vec<_>>());
        assert_eq!(bounds("1ms"), Ok(vec![(100.0, 1_000_000)]));
        assert_eq!(bounds("1ms,p99.9=300us"), Ok(vec![(100.0, 1_000_000), (99.9, 300_000)]));
        assert_eq!(bounds(" p50 = 1.5 us , max=2s"), Ok(vec![(50.0, 1_500), (100.0, 2_000_000_000)]));
        let time = |word: &str, of: &str| Err(format!("'{word}' in the budget '{of}' is not a time (such as 1ms or 300us)"));
        for (text, word) in
            [("", ""), ("1", "1"), ("1ms,", ""), ("p99=", ""), ("xms", "xms"), ("-1ms", "-1ms"), ("0ms", "0ms"), ("1m", "1m")]
        {
            assert_eq!(bounds(text), time(word, text), "{text}");
        }
        for (text, word) in
            [("q=1ms", "q"), ("p=1ms", "p"), ("p101=1ms", "p101"), ("p-1=1ms", "p-1"), ("=1ms", ""), ("pNaN=1ms", "pNaN")]
        {
            assert_eq!(bounds(text), Err(format!("'{word}' in the budget '{text}' is no percentile (such as p99.9)")));
        }
    }

    #[test]
    fn what_is_asked_for_may_be_left_out() {
        let whole = Record::of(&[(0, 10_000_000)], Cause::Whole);
        let mark = Record::of(&[(0, 10_000_000)], Cause::Mark);
        let judge = |text, record| parse(text).expect("a budget").judge(record);
        assert!(judge("1ms", &whole).is_broken() && !judge("own,1ms,p50=1ms", &whole).is_broken());
        assert!(judge("1ms,own", &mark).is_broken());
        assert!(judge("own,1ms", &whole).text(&whole).contains("has not asked for\n"));
        assert_eq!(parse("own"), Err("the budget 'own' has no bound (such as 1ms)".into()));
    }

    #[test]
    fn who_breaks_it_is_named() {
        let stops: Vec<(u64, u64)> = (1..=100).map(|n| (n * 1_000_000, n * 1_000)).collect();
        let record = Record::of(&stops, Cause::Mark);
        let judge = |text| parse(text).expect("a budget").judge(&record);
        assert!(!judge("100us,p50=50us").is_broken() && judge("99us").is_broken() && judge("100us,p50=49us").is_broken());
        assert!(judge("100us").breakers.is_empty());
        assert_eq!(judge("98us").breakers, [99, 98]);
        // Of a broken percentile, all that are beyond its bound.
        assert_eq!(judge("100us,p90=89us").breakers.len(), 11);
        let told = judge("98us").text(&record);
        assert!(told.contains("longest     0.100 ms of 0.098 ms: BROKEN\n"), "{told}");
        assert!(told.contains("  broken by a stop of 0.100 ms at 0.100 s, ?, mark: 1 unit\n"), "{told}");
        assert!(judge("1us").text(&record).ends_with("  and by 94 more\n"));
        // A run without stops keeps every budget.
        assert!(!parse("1ns").expect("a budget").judge(&Record::of(&[], Cause::Mark)).is_broken());
    }
}

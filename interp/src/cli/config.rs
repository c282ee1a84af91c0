//! The settings of the heap: from the command line and from the variable `NEAP_GC`.

use super::args::Options;
use neap_gc::Config;

/// The variable that sets the heap under stress: a list, separated by commas, of `stress` (an epoch end at every safepoint),
/// `stress=N` (and a full cycle at every N-th), `audit` (check the heap after each epoch end), `audit=N` (after every N-th) and `poison`
/// (overwrite cells that die).
pub const VARIABLE: &str = "NEAP_GC";

/// How often `stress` alone makes a full cycle.
const STRESS_CYCLE: u32 = 64;

/// The settings that the options and the value of [`VARIABLE`] ask for. The error is the message.
pub fn config(options: &Options, variable: &str) -> Result<Config, Vec<u8>> {
    let mut config = Config { ticker: true, ..Config::default() };
    let positive = |number: &str| number.parse::<u32>().ok().filter(|&n| n > 0);
    if let Some(limit) = options.heap_limit {
        config.limit_bytes = limit;
    }
    if let Some(goal) = options.pauses.goal {
        config.max_pause_us = u32::try_from(goal.as_micros()).unwrap_or(u32::MAX);
    }
    if let Some(percent) = options.max_overhead {
        config.max_overhead_percent = percent;
    }
    for word in variable.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("stress", "") => config.stress_cycle = STRESS_CYCLE,
            ("audit", "") => config.audit = 1,
            ("poison", "") => config.poison = true,
            (setting @ ("stress" | "audit"), number) if let Some(n) = positive(number) => {
                *(if setting == "stress" { &mut config.stress_cycle } else { &mut config.audit }) = n;
            }
            _ => return Err(format!("{VARIABLE}: '{word}' is not one of stress, stress=N, audit, audit=N, poison").into_bytes()),
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_variable() {
        let of = |text: &str| config(&Options::default(), text);
        let c = of("stress=7, audit,poison").unwrap();
        assert_eq!((c.stress_cycle, c.audit, c.poison), (7, 1, true));
        assert_eq!(of("audit=100").unwrap().audit, 100);
        let c = of("").unwrap();
        assert_eq!((c.stress_cycle, c.audit, c.poison), (0, 0, false));
        assert_eq!(of("stress").unwrap().stress_cycle, STRESS_CYCLE);
        for bad in ["stress=0", "stress=x", "audit=0", "audit=x", "poison=1", "Stress"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn goals_of_the_heap() {
        let mut options = Options { max_overhead: Some(20), ..Options::default() };
        options.pauses.goal = Some(std::time::Duration::from_micros(1500));
        let config = config(&options, "").unwrap();
        assert_eq!((config.max_pause_us, config.max_overhead_percent), (1500, 20));
    }

    #[test]
    fn limit_of_the_heap() {
        let options = Options { heap_limit: Some(1 << 20), ..Options::default() };
        assert_eq!(config(&options, "").unwrap().limit_bytes, 1 << 20);
    }
}

//! Programs: a list of small operations with number arguments, written as text in `scenarios.txt`, made at random, made smaller.

use super::world::{Options, World};

/// One operation: its index in [`NAMES`] and four arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    pub code: u8,
    pub args: [u8; 4],
}

pub const NAMES: &[&str] = &[
    "new",
    "load",
    "store",
    "unset",
    "move",
    "drop",
    "push",
    "pop",
    "gset",
    "gget",
    "wset",
    "wget",
    "wdel",
    "eset",
    "eget",
    "enext",
    "edel",
    "copy",
    "adopt",
    "adopt2",
    "grow",
    "thread",
    "resume",
    "yield",
    "end",
    "close",
    "handle",
    "unhandle",
    "fromhandle",
    "setfin",
    "runfin",
    "intern",
    "epoch",
    "start",
    "release",
    "phase",
    "clean",
    "markall",
    "until",
    "step",
    "full",
    "deep",
    "shallow",
    "sticky",
    "rearm",
    "sethandle",
    "emove",
    "eadopt",
    "row",
    "slide",
];

pub fn code(name: &str) -> Option<u8> {
    NAMES.iter().position(|n| *n == name).map(|i| i as u8)
}

/// How often an operation of a scenario is done.
#[derive(Clone, Copy)]
pub enum Repeat {
    Times(usize),
    /// `*N` and `*M`: all of a range are tried.
    N,
    M,
}

pub struct Scenario {
    pub name: String,
    pub ops: Vec<(Op, Repeat)>,
}

/// Reads `== name` headers, operations separated by `;` or ends of lines, and `#` comments.
pub fn parse(text: &str) -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix("==") {
            scenarios.push(Scenario { name: name.trim().to_string(), ops: vec![] });
            continue;
        }
        for part in line.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let mut words = part.split_whitespace();
            let word = words.next().unwrap_or_default();
            let (name, repeat) = match word.split_once('*') {
                None => (word, Repeat::Times(1)),
                Some((name, "N")) => (name, Repeat::N),
                Some((name, "M")) => (name, Repeat::M),
                Some((name, n)) => (name, Repeat::Times(n.parse().expect("a number"))),
            };
            let mut args = [0; 4];
            for (arg, word) in args.iter_mut().zip(words) {
                *arg = word.parse().expect("a number");
            }
            let code = code(name).unwrap_or_else(|| panic!("no operation {name}"));
            scenarios.last_mut().expect("a scenario before its operations").ops.push((Op { code, args }, repeat));
        }
    }
    scenarios
}

impl Scenario {
    pub fn uses_m(&self) -> bool {
        self.ops.iter().any(|(_, r)| matches!(r, Repeat::M))
    }

    pub fn expand(&self, n: usize, m: usize) -> Vec<Op> {
        let times = |r: &Repeat| match r {
            Repeat::Times(t) => *t,
            Repeat::N => n,
            Repeat::M => m,
        };
        self.ops.iter().flat_map(|(op, r)| std::iter::repeat_n(*op, times(r))).collect()
    }
}

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// A program made from disturbed scenarios with random operations between.
pub fn random(seed: u64, scenarios: &[Scenario]) -> Vec<Op> {
    let mut r = Random::new(seed);
    let mut weights: Vec<usize> = NAMES.iter().map(|_| [0, 1, 2, 6][r.below(4)]).collect();
    let mut set = |name: &str, w: usize| weights[code(name).expect("a name of the table") as usize] = w;
    for name in ["new", "store", "load", "drop"] {
        set(name, 4 + r.below(6));
    }
    for name in ["close", "end", "edel", "wdel", "markall", "until"] {
        set(name, r.below(3));
    }
    set("epoch", 1 + r.below(4));
    set("full", usize::from(r.below(4) == 0));
    set("phase", 2 + r.below(8));
    let total: usize = weights.iter().sum();
    let op = |r: &mut Random| {
        let mut x = r.below(total);
        let mut c = 0;
        while x >= weights[c] {
            x -= weights[c];
            c += 1;
        }
        let mut args = r.next().to_le_bytes()[..4].try_into().expect("four of eight");
        if NAMES[c] == "new" && r.below(3) == 0 {
            let a: &mut [u8; 4] = &mut args;
            a[1] = 0;
        }
        Op { code: c as u8, args }
    };
    let mut ops = Vec::new();
    for _ in 0..1 + r.below(3) {
        let density = r.below(6);
        let chosen = &scenarios[r.below(scenarios.len())];
        for (o, repeat) in &chosen.ops {
            if r.below(24) == 0 {
                continue;
            }
            let times = if let Repeat::Times(t) = repeat { *t } else { r.below(12) };
            for _ in 0..times {
                let mut o = *o;
                if r.below(40) == 0 {
                    o.args[r.below(4)] = r.next() as u8;
                }
                ops.push(o);
                if r.below(12) < density {
                    ops.push(op(&mut r));
                }
            }
        }
    }
    for _ in 0..r.below(120) {
        ops.push(op(&mut r));
    }
    ops
}

/// Runs the program; what went wrong, if something did.
pub fn run(ops: &[Op], options: &Options) -> Result<(), String> {
    let attempt = std::panic::catch_unwind(|| World::run(ops, options));
    attempt.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Takes operations away as long as the program still fails.
pub fn minimise(mut ops: Vec<Op>, options: &Options) -> Vec<Op> {
    // The same kind of failure: what it says apart from numbers.
    let kind = |text: String| {
        let (_, what) = text.split_once(": ").unwrap_or_default();
        what.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
    };
    let wanted = run(&ops, options).err().map(kind);
    let fails = |ops: &[Op]| run(ops, options).err().map(kind) == wanted;
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut i = 0;
        while i < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(i..(i + chunk).min(ops.len()));
            if fails(&fewer) {
                ops = fewer;
            } else {
                i += chunk;
            }
        }
        chunk /= 2;
    }
    for i in 0..ops.len() {
        for j in 0..4 {
            for value in 0..ops[i].args[j].min(4) {
                let mut simpler = ops.clone();
                simpler[i].args[j] = value;
                if fails(&simpler) {
                    ops = simpler;
                    break;
                }
            }
        }
    }
    ops
}

pub fn text(ops: &[Op]) -> String {
    let line = |o: &Op| format!("{} {} {} {} {}", NAMES[o.code as usize], o.args[0], o.args[1], o.args[2], o.args[3]);
    ops.iter().map(line).collect::<Vec<_>>().join("; ")
}

//! `neap pauses`, and what an ordinary run can be asked to tell of its pauses.
//!
//! * [`record`]: what the heap's observer and the machine's chronicle say, kept; [`figures`]: what is computed of it; [`budget`]: whether it is good enough
//! * [`text`], [`files`], [`trace`], [`page`] with the pictures of [`plot`]: the reports; [`log`]: what is told as it happens
//!
//! * **P1** Nothing of this runs, or costs anything, unless one of the options asks for it.
//! * **P2** Files are opened before the program runs: what can't be written is known before hours have gone by.
//!
//! May import everything of `cli`.

pub mod budget;
mod figures;
mod files;
mod log;
mod page;
mod plot;
mod record;
mod text;
mod trace;

use super::stats;
use crate::value::LuaRuntime;
use crate::vm::{Chronicle, Vm};
use budget::Budget;
use figures::Figures;
use neap_gc::Heap;
use neap_gc::observe::Counters;
use record::{Record, Recorder, Shared};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::Duration;

/// The exit code of a program that was fine, but for its pauses.
pub const BROKEN: i32 = 3;

/// Where a report goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// To the standard error, for the table and the log; to the standard output for what programs read.
    Standard,
    File(Vec<u8>),
}

/// What has been asked for.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Request {
    pub table: Option<Target>,
    pub json: Option<Target>,
    pub csv: Option<Target>,
    pub hgrm: Option<Target>,
    pub log: Option<Target>,
    pub trace: Option<Target>,
    pub page: Option<Target>,
    pub budget: Option<Budget>,
    pub after: Option<Duration>,
    /// What the table calls a goal: `--max-pause`.
    pub goal: Option<Duration>,
}

impl Request {
    /// Whether the run is to be recorded.
    fn is_any(&self) -> bool {
        let reports = [&self.table, &self.json, &self.csv, &self.hgrm, &self.log, &self.trace, &self.page];
        reports.iter().any(|report| report.is_some()) || self.budget.is_some()
    }

    /// Sets where a report goes, by the name of its option.
    pub fn set_target(&mut self, option: &[u8], target: Target) {
        let report = match option {
            b"-json" => &mut self.json,
            b"-csv" => &mut self.csv,
            b"-hgrm" => &mut self.hgrm,
            b"-gc-log" => &mut self.log,
            _ => &mut self.table,
        };
        *report = Some(target);
    }

    /// Says if two of the reports would be mixed up. The error is the message.
    pub fn check(&self) -> Result<(), Vec<u8>> {
        let mixed = [&self.json, &self.csv, &self.hgrm].iter().filter(|report| **report == &Some(Target::Standard)).count();
        if mixed > 1 {
            return Err(
                b"only one of --json, --csv and --hgrm can go to the standard output; give the others a file (--csv=FILE)".into(),
            );
        }
        Ok(())
    }
}

/// What a report says beside the record.
pub struct Heading {
    /// What has run.
    pub title: String,
    pub counters: Counters,
    pub used_bytes: u64,
    pub peak_bytes: u64,
    pub resident_bytes: u64,
    pub resident_peak_bytes: u64,
    pub goal_ns: Option<u64>,
}

impl Heading {
    fn new(vm: &Vm, title: &str, goal: Option<Duration>) -> Heading {
        Heading {
            title: title.into(),
            counters: vm.heap.counters(),
            used_bytes: vm.heap.used_bytes() as u64,
            peak_bytes: vm.heap.peak_bytes() as u64,
            resident_bytes: stats::resident_bytes(),
            resident_peak_bytes: stats::resident_peak_bytes(),
            goal_ns: goal.map(|goal| goal.as_nanos() as u64),
        }
    }
}

/// What a report is written by.
type Writer = fn(&Record, &Figures, &Heading, Option<&budget::Verdict>, &mut dyn Write) -> std::io::Result<()>;

/// A report, and where it goes.
struct Report {
    write: Writer,
    /// `None`: the standard output.
    file: Option<(Vec<u8>, File)>,
}

/// Keeps the record of a run and writes its reports.
struct Keeper {
    record: Shared,
    title: String,
    goal: Option<Duration>,
    budget: Option<Budget>,
    /// To the standard error, if there is no file for it.
    table: bool,
    reports: Vec<Report>,
}

fn open(path: &[u8]) -> Result<File, Vec<u8>> {
    File::create(OsStr::from_bytes(path)).map_err(|error| [b"cannot write ", path, b": ", error.to_string().as_bytes()].concat())
}

/// Begins the record that a request asks for. The error is the message.
pub fn begin(vm: &mut Vm, request: &Request, title: &[u8]) -> Result<(), Vec<u8>> {
    if !request.is_any() {
        return Ok(());
    }
    let record = Rc::new(RefCell::new(Record::new(request.after.unwrap_or_default())));
    let log = match &request.log {
        None => None,
        Some(Target::Standard) => Some(log::Log::new(Box::new(std::io::stderr()))),
        Some(Target::File(path)) => Some(log::Log::new(Box::new(open(path)?))),
    };
    let writers: [(&Option<Target>, Writer); 6] = [
        (&request.table, |record, figures, heading, verdict, out| {
            out.write_all(text::report(record, figures, heading, verdict).as_bytes())
        }),
        (&request.json, files::write_json),
        (&request.csv, |record, _, _, _, out| files::write_csv(record, out)),
        (&request.hgrm, |record, _, _, _, out| files::write_hgrm(record, out)),
        (&request.page, page::write),
        (&request.trace, |record, _, heading, _, out| trace::write(record, &heading.title, out)),
    ];
    let mut reports = Vec::new();
    for (at, (target, write)) in writers.into_iter().enumerate() {
        match target {
            Some(Target::File(path)) => reports.push(Report { write, file: Some((path.clone(), open(path)?)) }),
            // The table has a way of its own.
            Some(Target::Standard) if at > 0 => reports.push(Report { write, file: None }),
            _ => {}
        }
    }
    let keeper = Rc::new(RefCell::new(Keeper {
        record: record.clone(),
        title: String::from_utf8_lossy(title).into_owned(),
        goal: request.goal,
        budget: request.budget.clone(),
        table: request.table == Some(Target::Standard),
        reports,
    }));
    vm.heap.set_observer(Some(Box::new(Recorder { record, log })));
    vm.chronicle = Some(Box::new(keeper.clone()));
    super::signals::report_on_request(vm.heap.poll_word());
    let before = vm.at_exit.take();
    vm.at_exit = Some(Box::new(move |vm, status| {
        let status = before.map_or(status, |at_exit| at_exit(vm, status));
        keeper.borrow_mut().end(vm, status)
    }));
    Ok(())
}

impl Keeper {
    /// Writes all reports. What is wrong with it: the budget is broken, or something could not be written.
    fn write(&mut self, vm: &Vm) -> (bool, bool) {
        let record = &*self.record.borrow();
        let (figures, heading) = (Figures::of(record), Heading::new(vm, &self.title, self.goal));
        let verdict = self.budget.as_ref().map(|budget| budget.judge(record));
        if self.table {
            super::write_error(text::report(record, &figures, &heading, verdict.as_ref()).as_bytes());
        } else if let Some(verdict) = verdict.as_ref().filter(|verdict| verdict.is_broken()) {
            super::write_error(verdict.text(record).as_bytes());
        }
        let mut failed = false;
        for report in &mut self.reports {
            let write = |out: &mut dyn Write| {
                let out = &mut BufWriter::new(out);
                (report.write)(record, &figures, &heading, verdict.as_ref(), out)?;
                out.flush()
            };
            let (path, result) = match &mut report.file {
                None => (&b"the standard output"[..], write(&mut std::io::stdout().lock())),
                Some((path, file)) => {
                    // A report of a running program stood there before. What can't be rewound is no file, and gets one after the other.
                    let _ = file.rewind().and_then(|()| file.set_len(0));
                    (&path[..], write(file))
                }
            };
            if let Err(error) = result {
                failed = true;
                super::complain(None, &[b"cannot write ", path, b": ", error.to_string().as_bytes()].concat());
            }
        }
        (verdict.is_some_and(|verdict| verdict.is_broken()), failed)
    }

    /// The program ends, with an exit code; gives the one to end with.
    fn end(&mut self, vm: &mut Vm, status: i32) -> i32 {
        // The observer has its say no more: the log is written out.
        vm.heap.set_observer(None);
        match self.write(vm) {
            _ if status != 0 => status,
            (_, true) => 1,
            (true, _) => BROKEN,
            _ => status,
        }
    }
}

/// The machine's chronicle and what is done at the end share it.
impl Chronicle for Rc<RefCell<Keeper>> {
    fn stops(&self) -> usize {
        self.borrow().record.borrow().stops.len()
    }
    fn place(&mut self, first: usize, source: &[u8], line: u32) {
        self.borrow().record.borrow_mut().set_place(first, source, line);
    }
    fn mark(&mut self, name: &[u8]) {
        self.borrow().record.borrow_mut().mark(name);
    }
    fn reset(&mut self, heap: &Heap<LuaRuntime>) {
        self.borrow().record.borrow_mut().restart(heap);
    }
    fn report(&mut self, vm: &mut Vm) {
        self.borrow_mut().write(vm);
    }
}

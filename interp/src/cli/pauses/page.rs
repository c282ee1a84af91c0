//! `--report`: one page with the figures and the pictures, which needs nothing but itself: no network, no script.
//!
//! Light and dark by the reader's settings; each picture has a caption that says what is in it, for those who do not see it, and the figures stand in tables.
//!
//! Pure, but for the file that it is given.

use super::Heading;
use super::budget::Verdict;
use super::figures::{Figures, PERCENTILES, Row, Times, WINDOWS_NS};
use super::plot;
use super::record::{Record, StopRecord};
use super::text::{self, ms, percent, seconds};
use crate::cli::stats::bytes;
use std::fmt::Write as _;
use std::io::{Error, Result, Write};

const STYLE: &str = include_str!("page.css");

/// A text within the page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

struct Page {
    html: String,
}

impl Page {
    fn put(&mut self, html: &str) {
        self.html.push_str(html);
    }

    fn fact(&mut self, name: &str, value: &str, note: &str) {
        let [name, value, note] = [name, value, note].map(escaped);
        self.put(&format!("<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>\n"));
    }

    /// A picture with its lines' names, and what it shows in words.
    fn figure(&mut self, id: &str, title: &str, legend: &[&str], svg: &str, caption: &str) {
        let _ = write!(self.html, "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n<figure>\n", escaped(title));
        if legend.len() > 1 {
            self.put("<ul class=\"legend\">");
            legend.iter().for_each(|name| self.put(&format!("<li>{}</li>", escaped(name))));
            self.put("</ul>\n");
        }
        self.put(svg);
        let _ = write!(self.html, "<figcaption>{}</figcaption>\n</figure>\n</section>\n", escaped(caption));
    }

    /// A table; columns whose names begin with a point hold words.
    fn table(&mut self, caption: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        let _ = write!(
            self.html,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\">\n<table>\n<caption>{0}</caption>\n<tr>",
            escaped(caption)
        );
        let class = |name: &str| if name.starts_with('.') { " class=\"text\"" } else { "" };
        for name in head {
            let _ = write!(self.html, "<th scope=\"col\"{}>{}</th>", class(name), escaped(name.trim_start_matches('.')));
        }
        self.put("</tr>\n");
        for row in rows {
            self.put("<tr>");
            for (at, cell) in row.iter().enumerate() {
                let cell = escaped(cell);
                let html = match at {
                    0 => format!("<th scope=\"row\">{cell}</th>"),
                    _ => format!("<td{}>{cell}</td>", class(head[at])),
                };
                self.put(&html);
            }
            self.put("</tr>\n");
        }
        self.put("</table>\n</div>\n");
    }
}

pub fn write(
    record: &Record,
    figures: &Figures,
    heading: &Heading,
    verdict: Option<&Verdict>,
    out: &mut dyn Write,
) -> Result<()> {
    let (from, to) = (record.since_ns(), record.since_ns() + figures.run_ns);
    let title = format!("Pauses of {}", heading.title);
    let mut page = Page { html: String::new() };
    page.put("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.put("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.put(&format!("<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n", escaped(&title)));
    page.put(&format!("<a class=\"skip\" href=\"#pictures\">To the pictures</a>\n<header>\n<h1>{}</h1>\n", escaped(&title)));
    facts(&mut page, record, figures, heading);
    if let Some(verdict) = verdict {
        page.put(&format!(
            "<p><strong>{}</strong></p>\n<pre>{}</pre>\n",
            if verdict.is_broken() { "The budget is broken." } else { "The budget is kept." },
            escaped(verdict.text(record).trim())
        ));
    }
    page.put("</header>\n<main id=\"pictures\">\n");
    let drawn = |picture: std::result::Result<String, Box<dyn std::error::Error>>| {
        picture.map_err(|error| Error::other(error.to_string()))
    };
    let stops = figures.stops();
    let both = ["by the wall", "CPU time of the thread"];
    page.figure(
        "timeline",
        "Pauses over time",
        &both,
        &drawn(plot::timeline(record, from, to))?,
        &format!(
            "Each dot is a stop, or the longest of those that share a column. The longest took {} ms, and computed {} ms at most; a dot of the wall far above that of the CPU was held up by the machine.",
            ms(stops.wall.max_ns),
            ms(stops.cpu.max_ns)
        ),
    );
    page.figure(
        "percentiles",
        "How long stops are",
        &both,
        &drawn(plot::percentiles(record))?,
        &format!(
            "Half of the stops are below {} ms, 99 % below {} ms, 99.9 % below {} ms.",
            ms(stops.wall.percentiles_ns[0]),
            ms(stops.wall.percentiles_ns[2]),
            ms(stops.wall.percentiles_ns[3])
        ),
    );
    let least: Vec<String> = WINDOWS_NS
        .iter()
        .zip(figures.utilisation)
        .filter_map(|(window, least)| Some(format!("{} of any {} ms", percent(least?), window / 1_000_000)))
        .collect();
    page.figure(
        "utilisation",
        "What is left to the program",
        &both,
        &drawn(plot::utilisation(record, from, to))?,
        &format!(
            "The least share of the time that the program had in any window of a length: {}.",
            if least.is_empty() { "the run is too short to tell".into() } else { least.join(", ") }
        ),
    );
    page.figure(
        "heap",
        "Heap over time",
        &["in use", "of it explicit", "committed"],
        &drawn(plot::bytes(record, from, to, &[|stop| stop.used_bytes, |stop| stop.explicit_bytes, |stop| stop.mapped_bytes]))?,
        &format!(
            "{} in use at the end, {} at the most at a stop; {} committed at the most.",
            bytes(heading.used_bytes),
            bytes(record.peak_used_bytes.max(heading.used_bytes)),
            bytes(heading.peak_bytes)
        ),
    );
    let reclaimed: [fn(&StopRecord) -> u64; 3] =
        [|stop| stop.reclaimed_bytes[0], |stop| stop.reclaimed_bytes[1], |stop| stop.reclaimed_bytes[2]];
    let (total, first) = (&heading.counters, &record.first);
    page.figure(
        "reclaimed",
        "How garbage was reclaimed",
        &["while young", "by counting", "in cycles"],
        &drawn(plot::bytes(record, from, to, &reclaimed))?,
        &format!(
            "Since the beginning of the program; in the time of this report {} while young, {} by counting, {} in cycles.",
            bytes(total.young_bytes - first.young_bytes),
            bytes(total.counted_bytes - first.counted_bytes),
            bytes(total.cyclic_bytes - first.cyclic_bytes)
        ),
    );
    tables(&mut page, record, figures);
    page.put("</main>\n</body>\n</html>\n");
    out.write_all(page.html.as_bytes())
}

fn facts(page: &mut Page, record: &Record, figures: &Figures, heading: &Heading) {
    let stops = figures.stops();
    let allocated = heading.counters.allocated_bytes - record.first.allocated_bytes;
    let rate = (allocated as f64 / (figures.run_ns.max(1) as f64 / 1e9)) as u64;
    let since = if record.since_ns() > 0 { format!(" from {} on", seconds(record.since_ns())) } else { String::new() };
    page.put("<dl class=\"facts\">\n");
    page.fact("Stops", &stops.wall.count.to_string(), &format!("in {}{since}", seconds(figures.run_ns)));
    page.fact(
        "Share of the time",
        &percent(figures.share()),
        &format!("{} of what the thread computed", percent(figures.cpu_share())),
    );
    page.fact("Longest", &format!("{} ms", ms(stops.wall.max_ns)), &format!("{} ms of CPU at the most", ms(stops.cpu.max_ns)));
    page.fact(
        "99.9 %",
        &format!("{} ms", ms(stops.wall.percentiles_ns[3])),
        &format!("{} ms of CPU", ms(stops.cpu.percentiles_ns[3])),
    );
    page.fact("Allocation", &format!("{}/s", bytes(rate)), &format!("{} in all", bytes(allocated)));
    page.fact(
        "Resident",
        &bytes(heading.resident_bytes),
        &format!("{} at the most", bytes(heading.resident_peak_bytes.max(heading.resident_bytes))),
    );
    page.fact("The machine", &text::count(figures.disturbed_stops, "stop"), "held up by other threads");
    page.put("</dl>\n");
    if record.left_out > 0 {
        page.put(&format!("<p>The record is full: {} after these are left out.</p>\n", text::count(record.left_out, "stop")));
    }
}

fn tables(page: &mut Page, record: &Record, figures: &Figures) {
    page.put("<section class=\"wide\" aria-labelledby=\"causes\">\n<h2 id=\"causes\">By cause</h2>\n");
    let names = PERCENTILES.map(|percent| format!("p{percent}"));
    let mut head = vec!["", "count", "total"];
    head.extend(names.iter().map(String::as_str));
    head.push("longest");
    for (caption, of) in [
        ("By the wall, in milliseconds", (|row| &row.wall) as fn(&Row) -> &Times),
        ("CPU time of the thread, in milliseconds", |row| &row.cpu),
    ] {
        let row = |row: &Row| {
            let times = of(row);
            let mut cells = vec![row.cause.name().to_owned(), times.count.to_string(), ms(times.total_ns)];
            cells.extend(times.percentiles_ns.map(ms));
            cells.push(ms(times.max_ns));
            cells
        };
        page.table(caption, &head, figures.rows.iter().map(row));
    }
    page.table(
        "What the causes are",
        &["", ".meaning"],
        figures.rows.iter().map(|row| vec![row.cause.name().into(), text::explained(row.cause).into()]),
    );
    page.put("</section>\n<section class=\"wide\" aria-labelledby=\"slowest\">\n<h2 id=\"slowest\">The slowest stops</h2>\n");
    let head = ["", "since the start", "wall, ms", "CPU, ms", "switches", "page faults", ".line", ".causes", ".work"];
    let rows = text::slowest(record).into_iter().enumerate().map(|(number, at)| {
        let stop = &record.stops[at];
        vec![
            (number + 1).to_string(),
            seconds(stop.start_ns),
            ms(stop.ns),
            ms(stop.cpu_ns),
            stop.switches.to_string(),
            stop.faults.to_string(),
            text::place(record, stop),
            text::causes(record, at),
            text::work(stop),
        ]
    });
    page.table("The longest by the wall; a stop that computed much less was held up by the machine", &head, rows);
    page.put("</section>\n");
}

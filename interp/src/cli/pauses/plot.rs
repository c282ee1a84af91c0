//! The pictures of the report, as SVG that takes its colours from the page.
//!
//! They are drawn by `plotters`. It writes colours into the attributes of each shape; the palette here has one for each role, by which the style sheet of the page
//! finds the shapes and gives them the colours of light and dark (`page.css` has the same numbers).
//!
//! * **G1** A picture has no more shapes than a screen has columns: what is drawn of many stops is, for each column, the longest.
//!
//! Pure.

use super::figures::{Utilisation, percentile};
use super::record::{Record, StopRecord};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// Roles of colours.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
pub const SERIES: [RGBColor; 4] = [RGBColor(11, 0, 0), RGBColor(12, 0, 0), RGBColor(13, 0, 0), RGBColor(14, 0, 0)];

/// In a narrow column the letters are still as high as ten pixels.
const SIZE: (u32, u32) = (560, 300);
/// Columns of a picture (G1).
const COLUMNS: usize = 600;

type Drawn = Result<String, Box<dyn std::error::Error>>;

/// The points of a line of a picture.
type Line = Vec<(f64, f64)>;

/// Draws a picture: axes by `draw`, on a transparent ground.
fn picture(draw: impl FnOnce(&DrawingArea<SVGBackend, Shift>) -> Result<(), Box<dyn std::error::Error>>) -> Drawn {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    // In the page it is as wide as there is room for.
    let sized = format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1);
    Ok(svg.replacen(&sized, "preserveAspectRatio=\"xMidYMid meet\" aria-hidden=\"true\" focusable=\"false\"", 1))
}

/// How a number stands at an axis.
type AsText = fn(f64) -> String;

/// The axes of a picture, and its lines.
fn lines<X, Y>(lines: &[Line], x: X, y: Y, (x_name, y_name): (&str, &str), [x_text, y_text]: [AsText; 2], dots: bool) -> Drawn
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    picture(|area| {
        let font = |size: i32| ("sans-serif", size).into_font().color(&INK);
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(20)
            .x_label_area_size(46)
            .y_label_area_size(74)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(font(15))
            .axis_desc_style(font(15))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| x_text(*x))
            .y_label_formatter(&|y| y_text(*y))
            .x_desc(x_name)
            .y_desc(y_name)
            .draw()?;
        for (line, colour) in lines.iter().zip(SERIES) {
            if dots {
                chart.draw_series(line.iter().map(|point| Circle::new(*point, 2, colour.filled())))?;
            } else {
                chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?;
            }
        }
        Ok(())
    })
}

/// A number without needless zeros.
fn plain(n: f64) -> String {
    let text = format!("{n:.3}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The bounds of a logarithmic axis around values: powers of ten.
fn decades(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (mut least, mut most) = (f64::INFINITY, 0.0f64);
    for value in values.filter(|value| *value > 0.0) {
        (least, most) = (least.min(value), most.max(value));
    }
    if most == 0.0 {
        return 0.001..1.0;
    }
    let (from, to) = (10f64.powf(least.log10().floor()), 10f64.powf(most.log10().ceil()));
    if from < to { from..to } else { from..from * 10.0 }
}

/// The longest of the points in each column (G1).
fn thinned(points: impl Iterator<Item = (f64, f64)>, from: f64, to: f64) -> Line {
    let mut most: Vec<Option<(f64, f64)>> = vec![None; COLUMNS];
    for point in points {
        let column = ((point.0 - from) / (to - from) * COLUMNS as f64) as usize;
        let most = &mut most[column.min(COLUMNS - 1)];
        if most.is_none_or(|most| most.1 < point.1) {
            *most = Some(point);
        }
    }
    most.into_iter().flatten().collect()
}

/// Each stop at its time: how long it took, on both clocks.
pub fn timeline(record: &Record, from_ns: u64, to_ns: u64) -> Drawn {
    let (from, to) = (seconds(from_ns), seconds(to_ns.max(from_ns + 1)));
    let of = |ms: fn(&StopRecord) -> u64| {
        thinned(record.stops.iter().map(|stop| (seconds(stop.start_ns), ms(stop) as f64 / 1e6)), from, to)
    };
    let both = [of(|stop| stop.ns), of(|stop| stop.cpu_ns)];
    let y = decades(both.iter().flat_map(|line| line.iter().map(|point| point.1)));
    lines(&both, from..to, y.log_scale(), ("seconds since the start", "stop, ms"), [plain, plain], true)
}

/// How long the stops are, by the part of all that is longer.
pub fn percentiles(record: &Record) -> Drawn {
    let sorted = |of: fn(&StopRecord) -> u64| {
        let mut times: Vec<u64> = record.stops.iter().map(of).collect();
        times.sort_unstable();
        times
    };
    // 1 in so many is longer.
    let rarest = (record.stops.len().max(10)) as f64;
    let steps = 200;
    let one_in = |step: usize| rarest.powf(step as f64 / steps as f64);
    let curve = |times: &[u64]| -> Line {
        let at = |n: f64| percentile(times, 100.0 * (1.0 - 1.0 / n).max(0.0)) as f64 / 1e6;
        (0..=steps).map(one_in).map(|n| (n, at(n))).filter(|point| point.1 > 0.0).collect()
    };
    let both = [curve(&sorted(|stop| stop.ns)), curve(&sorted(|stop| stop.cpu_ns))];
    let y = decades(both.iter().flat_map(|line| line.iter().map(|point| point.1)));
    let x_text: AsText = |n| if n < 2.0 { "all".into() } else { plain(100.0 - 100.0 / n) };
    lines(&both, (1.0..rarest).log_scale(), y.log_scale(), ("percentile", "stop, ms"), [x_text, plain], false)
}

/// The least share that the program had of windows, by their length.
pub fn utilisation(record: &Record, from_ns: u64, to_ns: u64) -> Drawn {
    const SHORTEST_NS: f64 = 1e5;
    const STEPS: usize = 60;
    let run = (to_ns - from_ns.min(to_ns)) as f64;
    let longest = (run / 2.0).max(SHORTEST_NS * 10.0);
    let window = |step: usize| SHORTEST_NS * (longest / SHORTEST_NS).powf(step as f64 / STEPS as f64);
    let curve = |of: &Utilisation| -> Line {
        let point = |window: f64| of.least(window as u64).map(|least| (window / 1e6, least * 100.0));
        (0..=STEPS).map(window).filter_map(point).collect()
    };
    let both =
        [curve(&Utilisation::new(&record.stops, from_ns, to_ns)), curve(&Utilisation::computed(&record.stops, from_ns, to_ns))];
    let x = (SHORTEST_NS / 1e6..longest / 1e6).log_scale();
    lines(&both, x, 0.0..100.0, ("window, ms", "left to the program, %"), [plain, plain], false)
}

/// Lines over time, of what each stop tells, in MiB.
pub fn bytes(record: &Record, from_ns: u64, to_ns: u64, of: &[fn(&StopRecord) -> u64]) -> Drawn {
    const MIB: f64 = 1_048_576.0;
    let (from, to) = (seconds(from_ns), seconds(to_ns.max(from_ns + 1)));
    let all: Vec<Line> = of
        .iter()
        .map(|bytes| thinned(record.stops.iter().map(|stop| (seconds(stop.end_ns()), bytes(stop) as f64 / MIB)), from, to))
        .collect();
    let most = all.iter().flat_map(|line| line.iter().map(|point| point.1)).fold(0.001, f64::max);
    lines(&all, from..to, 0.0..most * 1.05, ("seconds since the start", "MiB"), [plain, plain], false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_gc::observe::Cause;

    #[test]
    fn pictures_are_small_and_have_only_colours_of_the_page() {
        let stops: Vec<(u64, u64)> = (0..50_000).map(|n| (n * 20_000, n * 31 % 9_000)).collect();
        let record = Record::of(&stops, Cause::Mark);
        let end = 50_000 * 20_000;
        let pictures = [
            timeline(&record, 0, end),
            percentiles(&record),
            utilisation(&record, 0, end),
            bytes(&record, 0, end, &[|stop| stop.used_bytes]),
            // Of nothing.
            timeline(&Record::of(&[], Cause::Mark), 0, 0),
            percentiles(&Record::of(&[], Cause::Mark)),
            utilisation(&Record::of(&[], Cause::Mark), 0, 0),
        ];
        for picture in pictures {
            let svg = picture.expect("a picture");
            assert!(svg.starts_with("<svg preserveAspectRatio") && svg.trim_end().ends_with("</svg>"), "{}", &svg[..80]);
            assert!(svg.len() < 300_000, "{}", svg.len());
            for part in svg.split(['"', ' ']).filter(|part| part.starts_with('#')) {
                assert!(["#010101", "#020202", "#0B0000", "#0C0000", "#0D0000", "#0E0000"].contains(&part), "{part}");
            }
        }
    }

    #[test]
    fn decades_are_around_the_values() {
        assert_eq!(decades([0.02, 3.0].into_iter()), 0.01..10.0);
        assert_eq!(decades([1.0].into_iter()), 1.0..10.0);
        assert_eq!(decades(std::iter::empty()), 0.001..1.0);
    }
}

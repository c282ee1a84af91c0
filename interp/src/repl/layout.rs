//! From a tree of texts to lines: what fits stands on one line, what does not is broken up, one entry a line or, in a list of short ones, as many as fit.
//!
//! * **L1** Widths are counted in columns of the terminal; a line is only longer than the screen where a single text is.
//!
//! Pure: imports `colour` and `text`.

use crate::cli::colour::{Colour, paint};
use crate::cli::text::columns;

/// A value as it is to be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doc {
    Leaf {
        text: String,
        colour: Colour,
    },
    /// Braces, with a name in front or an empty one.
    Braces {
        name: String,
        entries: Vec<Entry>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What stands before the ` = `; none in a list.
    pub key: Option<String>,
    pub value: Doc,
}

/// How far entries stand in.
const INDENT: usize = 2;
/// Entries of a list that are not longer stand in one line with others.
const SHORT: usize = 20;

impl Doc {
    pub fn leaf(text: impl Into<String>, colour: Colour) -> Doc {
        Doc::Leaf { text: text.into(), colour }
    }

    /// The width on one line; `None` if it can't stand on one, or not within `limit`.
    fn width(&self, limit: usize) -> Option<usize> {
        let width = match self {
            Doc::Leaf { text, .. } => {
                if text.contains('\n') {
                    return None;
                }
                columns(text)
            }
            Doc::Braces { name, entries } => {
                let mut width = 2 + if name.is_empty() { 0 } else { columns(name) + 1 };
                for (i, entry) in entries.iter().enumerate() {
                    width += if i > 0 { 2 } else { 0 } + entry.key_width();
                    width += entry.value.width(limit.checked_sub(width)?)?;
                }
                width
            }
        };
        (width <= limit).then_some(width)
    }

    /// Whether all of it fits on a line.
    pub fn fits(&self, columns: usize) -> bool {
        self.width(columns).is_some()
    }

    /// Appends the lines. The first one begins at `column`; the entries of braces that are broken up stand `INDENT` further in than `indent`.
    pub fn write(&self, out: &mut Painter, indent: usize, column: usize) {
        match self {
            Doc::Leaf { text, colour } => {
                for (i, line) in text.split('\n').enumerate() {
                    if i > 0 {
                        out.newline(indent);
                    }
                    out.put(*colour, line);
                }
            }
            Doc::Braces { entries, .. } if entries.is_empty() => self.write_on_one_line(out),
            // One column stays for a comma.
            Doc::Braces { name, entries } => match self.width(out.columns.saturating_sub(column + 1)) {
                Some(_) => self.write_on_one_line(out),
                None => write_broken(name, entries, out, indent),
            },
        }
    }

    fn write_on_one_line(&self, out: &mut Painter) {
        match self {
            Doc::Leaf { text, colour } => out.put(*colour, text),
            Doc::Braces { name, entries } => {
                out.put_name(name);
                out.put(Colour::Plain, "{");
                for (i, entry) in entries.iter().enumerate() {
                    out.put(Colour::Plain, if i > 0 { ", " } else { "" });
                    entry.write_key(out);
                    entry.value.write_on_one_line(out);
                }
                out.put(Colour::Plain, "}");
            }
        }
    }
}

impl Entry {
    fn key_width(&self) -> usize {
        self.key.as_ref().map_or(0, |key| columns(key) + 3)
    }

    fn write_key(&self, out: &mut Painter) {
        if let Some(key) = &self.key {
            out.put(Colour::Plain, key);
            out.put(Colour::Plain, " = ");
        }
    }
}

fn write_broken(name: &str, entries: &[Entry], out: &mut Painter, indent: usize) {
    out.put_name(name);
    out.put(Colour::Plain, "{");
    let inner = indent + INDENT;
    // The column after a short entry of a list, where another one may follow.
    let mut open_line = None;
    for (i, entry) in entries.iter().enumerate() {
        let comma = usize::from(i + 1 < entries.len());
        let short = if entry.key.is_none() { entry.value.width(SHORT) } else { None };
        match (open_line, short) {
            (Some(column), Some(width)) if column + 1 + width + comma <= out.columns => {
                out.put(Colour::Plain, " ");
                entry.value.write_on_one_line(out);
                open_line = Some(column + 1 + width + comma);
            }
            _ => {
                out.newline(inner);
                entry.write_key(out);
                entry.value.write(out, inner, inner + entry.key_width());
                open_line = short.map(|width| inner + width + comma);
            }
        }
        if comma > 0 {
            out.put(Colour::Plain, ",");
        }
    }
    out.newline(indent);
    out.put(Colour::Plain, "}");
}

/// Text under construction for a screen.
pub struct Painter {
    pub text: String,
    pub columns: usize,
    pub colour: bool,
}

impl Painter {
    fn put(&mut self, colour: Colour, text: &str) {
        paint(&mut self.text, if self.colour { colour } else { Colour::Plain }, text);
    }

    fn put_name(&mut self, name: &str) {
        if !name.is_empty() {
            self.put(Colour::Command, name);
            self.put(Colour::Plain, " ");
        }
    }

    fn newline(&mut self, indent: usize) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', indent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: usize) -> Doc {
        Doc::leaf(n.to_string(), Colour::Number)
    }

    fn list(entries: Vec<Doc>) -> Doc {
        Doc::Braces { name: String::new(), entries: entries.into_iter().map(|value| Entry { key: None, value }).collect() }
    }

    fn shown(doc: &Doc, columns: usize) -> String {
        let mut out = Painter { text: String::new(), columns, colour: false };
        doc.write(&mut out, 0, 0);
        out.text
    }

    #[test]
    fn what_fits_stands_on_one_line() {
        let doc = list((1..=3).map(number).collect());
        assert_eq!(shown(&doc, 10), "{1, 2, 3}");
        assert_eq!(shown(&doc, 9), "{\n  1, 2, 3\n}");
        assert_eq!(shown(&doc, 8), "{\n  1, 2,\n  3\n}");
        assert_eq!(shown(&list(vec![]), 1), "{}");
        assert!(doc.fits(9) && !doc.fits(8));
    }

    #[test]
    fn what_does_not_is_broken_up_from_the_outside() {
        let entry = |key: &str, value| Entry { key: Some(key.into()), value };
        let doc = Doc::Braces {
            name: "Point".into(),
            entries: vec![
                entry("x", list(vec![number(1), number(2)])),
                entry("long_name", list((100..110).map(number).collect())),
            ],
        };
        let lines = "Point {\n  x = {1, 2},\n  long_name = {\n    100, 101, 102,\n    103, 104, 105,\n    106, 107, 108,\n    109\n  }\n}";
        assert_eq!(shown(&doc, 20), lines);
        assert_eq!(shown(&Doc::leaf("a\nb", Colour::Plain), 20), "a\nb");
        assert_eq!(shown(&list(vec![Doc::leaf("a\nb", Colour::Plain)]), 20), "{\n  a\n  b\n}");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let doc = list(vec![Doc::leaf("漢字", Colour::Plain), Doc::leaf("e\u{301}", Colour::Plain)]);
        assert_eq!(shown(&doc, 10), "{漢字, e\u{301}}");
        assert_eq!(shown(&doc, 9), "{\n  漢字, e\u{301}\n}");
        assert_eq!(shown(&doc, 8), "{\n  漢字,\n  e\u{301}\n}");
    }

    #[test]
    fn lines_stay_within_the_screen() {
        for columns in 8..60 {
            let doc =
                list((0..50).map(|n| if n % 7 == 0 { list((0..n).map(number).collect()) } else { number(n * n) }).collect());
            assert!(shown(&doc, columns).lines().all(|line| line.len() <= columns), "{columns}\n{}", shown(&doc, columns));
        }
    }
}

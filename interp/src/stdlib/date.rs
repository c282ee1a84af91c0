//! Dates: the arithmetic of the calendar, the local time zone, and `strftime` in the C locale (`os.date`, `os.time`).
//!
//! The zones come from `jiff`; the calendar is counted here, because a date of Lua may lie millions of years away.
//!
//! * **I1** A year is within 32 bits after 1900 is subtracted; a time beyond is an error.
//! * **I2** The calendar repeats every 400 years, to the day of the week: a zone beyond the years that `jiff` knows is asked
//!   about the same day of a year that it knows.
//!
//! May import `fault` alone.

use super::fault::Fault;
use jiff::{Timestamp, tz::TimeZone};
use std::io::Write;

const DAY: i64 = 24 * 60 * 60;
/// 400 years (I2).
const CYCLE: i64 = 146_097 * DAY;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// A point of time, in the terms of the calendar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Date {
    pub year: i64,
    /// 1 to 12
    pub month: i64,
    /// 1 to 31
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    /// 0 to 6, from Sunday
    pub weekday: i64,
    /// 1 to 366
    pub yearday: i64,
    pub dst: bool,
    /// Seconds east of Greenwich.
    offset: i64,
    zone: String,
}

/// A zone at one time.
#[derive(Clone, PartialEq, Eq)]
struct Offset {
    seconds: i64,
    dst: bool,
    name: String,
}

/// The days from 1970-01-01 to a date; the month is 1 to 12.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March on, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let (cycle, year_of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    cycle * 146_097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year - 719_468
}

/// Year, month and day of the day that comes so many days after 1970-01-01.
fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (cycle, day_of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = (march_month + 2) % 12 + 1;
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The time that `jiff` is asked about in the place of `time` (I2).
fn known(time: i64) -> Timestamp {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second() - CYCLE);
    let time = if time > last { last - CYCLE + (time - last).rem_euclid(CYCLE) } else { time.max(first) };
    Timestamp::from_second(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn offset_at(zone: &TimeZone, time: i64) -> Offset {
    let info = zone.to_offset_info(known(time));
    Offset { seconds: info.offset().seconds().into(), dst: info.dst().is_dst(), name: info.abbreviation().into() }
}

fn date_at(time: i64, offset: Offset) -> Option<Date> {
    let local = time.checked_add(offset.seconds)?;
    let (days, seconds) = (local.div_euclid(DAY), local.rem_euclid(DAY));
    let (year, month, day) = date_from_days(days);
    i32::try_from(year - 1900).ok()?;
    Some(Date {
        year,
        month,
        day,
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        weekday: (days + 4).rem_euclid(7),
        yearday: days - days_from_date(year, 1, 1) + 1,
        dst: offset.dst,
        offset: offset.seconds,
        zone: offset.name,
    })
}

impl Date {
    /// The date of a time (seconds since 1970), in UTC or in the local zone. `None`: it has none (I1).
    pub fn new(time: i64, utc: bool) -> Option<Date> {
        let offset =
            if utc { Offset { seconds: 0, dst: false, name: "GMT".into() } } else { offset_at(&TimeZone::system(), time) };
        date_at(time, offset)
    }

    /// Week and year of the week, by ISO 8601.
    fn iso_week(&self) -> (i64, i64) {
        // The week belongs to the year of its Thursday.
        let monday_based = (self.weekday + 6) % 7;
        let thursday = self.yearday - 1 - monday_based + 3;
        let length = |year| if is_leap(year) { 366 } else { 365 };
        if thursday < 0 {
            (self.year - 1, (thursday + length(self.year - 1)) / 7 + 1)
        } else if thursday >= length(self.year) {
            (self.year + 1, 1)
        } else {
            (self.year, thursday / 7 + 1)
        }
    }

    /// Writes the date by a format of `strftime`: the conversion at `*at`, or what comes before it, as far as it is short. Moves `*at` behind it.
    pub fn format(&self, out: &mut Vec<u8>, format: &[u8], at: &mut usize) -> Result<(), Fault> {
        const SHORT: usize = 4096;
        let near = &format[*at..format.len().min(*at + SHORT)];
        let plain = memchr::memchr(b'%', near).unwrap_or(near.len());
        out.extend_from_slice(&near[..plain]);
        *at += plain;
        if near.get(plain) == Some(&b'%') {
            *at += 1;
            let (modifier, letter) = match format[*at..] {
                [modifier @ (b'E' | b'O'), letter, ..] => (modifier, letter),
                [letter, ..] => (0, letter),
                [] => (0, 0),
            };
            let allowed: &[u8] = match modifier {
                b'E' => b"cCxXyY",
                b'O' => b"deHImMSuUVwWy",
                _ => b"aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%",
            };
            if !allowed.contains(&letter) {
                // The reference quotes all that follows.
                let rest = &format[*at..format.len().min(*at + SHORT)];
                let rest = &rest[..memchr::memchr(0, rest).unwrap_or(rest.len())];
                return Err(Fault::Argument(1, [b"invalid conversion specifier '%", rest, b"'"].concat().into()));
            }
            *at += 1 + usize::from(modifier != 0);
            self.item(out, letter);
        }
        Ok(())
    }

    /// Writes one conversion. In the C locale the modifiers change nothing.
    fn item(&self, out: &mut Vec<u8>, letter: u8) {
        let day = DAYS[self.weekday as usize];
        let month = MONTHS[(self.month - 1) as usize];
        let twelve = (self.hour + 11) % 12 + 1;
        let half = if self.hour < 12 { "AM" } else { "PM" };
        let written = match letter {
            b'a' => write!(out, "{}", &day[..3]),
            b'A' => write!(out, "{day}"),
            b'b' | b'h' => write!(out, "{}", &month[..3]),
            b'B' => write!(out, "{month}"),
            b'c' => return self.items(out, b"a b e T Y", b' '),
            b'C' => write!(out, "{}", self.year.div_euclid(100)),
            b'd' => write!(out, "{:02}", self.day),
            b'D' | b'x' => return self.items(out, b"m d y", b'/'),
            b'e' => write!(out, "{:2}", self.day),
            b'F' => return self.items(out, b"Y m d", b'-'),
            b'g' => write!(out, "{:02}", self.iso_week().0.rem_euclid(100)),
            b'G' => write!(out, "{}", self.iso_week().0),
            b'H' => write!(out, "{:02}", self.hour),
            b'I' => write!(out, "{twelve:02}"),
            b'j' => write!(out, "{:03}", self.yearday),
            b'm' => write!(out, "{:02}", self.month),
            b'M' => write!(out, "{:02}", self.minute),
            b'n' => writeln!(out),
            b'p' => write!(out, "{half}"),
            b'r' => write!(out, "{twelve:02}:{:02}:{:02} {half}", self.minute, self.second),
            b'R' => return self.items(out, b"H M", b':'),
            b'S' => write!(out, "{:02}", self.second),
            b't' => write!(out, "\t"),
            b'T' | b'X' => return self.items(out, b"H M S", b':'),
            b'u' => write!(out, "{}", (self.weekday + 6) % 7 + 1),
            b'U' => write!(out, "{:02}", (self.yearday + 6 - self.weekday) / 7),
            b'V' => write!(out, "{:02}", self.iso_week().1),
            b'w' => write!(out, "{}", self.weekday),
            b'W' => write!(out, "{:02}", (self.yearday + 6 - (self.weekday + 6) % 7) / 7),
            b'y' => write!(out, "{:02}", self.year.rem_euclid(100)),
            b'Y' => write!(out, "{}", self.year),
            b'z' => {
                let minutes = self.offset.abs() / 60;
                let sign = if self.offset < 0 { '-' } else { '+' };
                write!(out, "{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            b'Z' => write!(out, "{}", self.zone),
            _ => write!(out, "%"),
        };
        written.expect("a Vec takes every write");
    }

    /// Several conversions; a blank stands for the separator.
    fn items(&self, out: &mut Vec<u8>, letters: &[u8], separator: u8) {
        for &letter in letters {
            if letter == b' ' { out.push(separator) } else { self.item(out, letter) }
        }
    }
}

/// What `os.time` is given: numbers that need not be in their range.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub dst: Option<bool>,
}

/// A field as the table of `os.time` gives it.
pub enum Field {
    Absent,
    Integer(i64),
    Other,
}

/// Checks a field: `default` stands for an absent one, and `delta` is what C subtracts from it (I1).
pub fn check_field(name: &str, field: Field, default: Option<i64>, delta: i64) -> Result<i64, Fault> {
    let problem = match field {
        Field::Absent => match default {
            Some(value) => return Ok(value),
            None => "missing in date table",
        },
        Field::Integer(value) if value.checked_sub(delta).is_some_and(|value| i32::try_from(value).is_ok()) => return Ok(value),
        Field::Integer(_) => "is out-of-bound",
        Field::Other => "is not an integer",
    };
    Err(Fault::composed(format!("field '{name}' {problem}")))
}

impl Fields {
    /// The time of these fields in the local zone, and the date with every field in its range.
    pub fn time(&self) -> Result<(i64, Date), Fault> {
        self.time_in(&TimeZone::system())
    }

    fn time_in(&self, zone: &TimeZone) -> Result<(i64, Date), Fault> {
        let months = self.year * 12 + self.month - 1;
        let days = days_from_date(months.div_euclid(12), months.rem_euclid(12) + 1, 1) + self.day - 1;
        let local = days * DAY + self.hour * 3600 + self.minute * 60 + self.second;
        let time = find_time(zone, local, self.dst);
        let date = date_at(time, offset_at(zone, time)).filter(|_| time != -1);
        date.map(|date| (time, date)).ok_or(Fault::error("time result cannot be represented in this installation"))
    }
}

/// How far from a time its transitions say something about it: some eight years.
const NEAR: i64 = 268_000_000;

/// The time at which the clocks of the zone show `local` seconds since 1970.
fn find_time(zone: &TimeZone, local: i64, dst: Option<bool>) -> i64 {
    let (before, after) = (offset_at(zone, local - DAY), offset_at(zone, local + DAY));
    let shows = |offset: &Offset| offset_at(zone, local - offset.seconds) == *offset;
    // Without more knowledge: the standard time of an hour that comes twice; an hour that is skipped is counted on from before.
    let natural = match (shows(&before), shows(&after)) {
        (true, true) if before.dst => after,
        (false, true) => after,
        _ => before,
    };
    let Some(wanted) = dst else { return local - natural.seconds };
    let natural = if shows(&natural) { natural } else { offset_at(zone, local - natural.seconds) };
    if natural.dst == wanted {
        return local - natural.seconds;
    }
    // The clocks are said to show the other kind of time: take its difference from the transition next to this time.
    let place = known(local);
    let near = zone.following(place).take(2).chain(zone.preceding(place).take(2));
    let is_near = |time: Timestamp| (time.as_second() - place.as_second()).abs() < NEAR;
    let other = near.into_iter().find(|transition| transition.dst().is_dst() == wanted && is_near(transition.timestamp()));
    let usual = natural.seconds + if wanted { 3600 } else { -3600 };
    local - other.map_or(usual, |transition| transition.offset().seconds().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(time: i64, format: &str) -> String {
        let mut out = Vec::new();
        let (date, mut at) = (Date::new(time, true).expect("a date"), 0);
        while at < format.len() {
            date.format(&mut out, format.as_bytes(), &mut at).expect("a format");
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn days_and_dates() {
        assert_eq!(days_from_date(1970, 1, 1), 0);
        assert_eq!(days_from_date(2000, 3, 1), 11_017);
        for days in (-1_000_000..1_000_000).step_by(13) {
            let (year, month, day) = date_from_days(days);
            assert_eq!(days_from_date(year, month, day), days);
            let next = date_from_days(days + 1);
            assert!(next == (year, month, day + 1) || (next.2 == 1 && day >= 28));
        }
    }

    // The expectations are what strftime of glibc writes.
    #[test]
    fn conversions() {
        assert_eq!(
            utc(1_000_000_000, "%a %A %b %B %c %C %d %D %e %F"),
            "Sun Sunday Sep September Sun Sep  9 01:46:40 2001 20 09 09/09/01  9 2001-09-09"
        );
        assert_eq!(utc(1_000_000_000, "%g %G %h %H %I %j %m %M%n%p %r %R"), "01 2001 Sep 01 01 252 09 46\nAM 01:46:40 AM 01:46");
        assert_eq!(
            utc(1_000_000_000, "%S%t%T %u %U %V %w %W %x %X %y %Y %z %Z %%"),
            "40\t01:46:40 7 36 36 0 36 09/09/01 01:46:40 01 2001 +0000 GMT %"
        );
        assert_eq!(utc(1_000_000_000, "%Ec|%Ey|%Od|%Oy"), "Sun Sep  9 01:46:40 2001|01|09|01");
        assert_eq!(utc(1 << 55, "%c"), "Sun Jun 13 06:26:08 1141709097");
        assert_eq!(utc(-(1 << 55), "%c"), "Sun Jul 20 17:33:52 -1141705158");
        // The last days of years, by ISO 8601.
        assert_eq!(utc(1_230_681_600, "%F %G-W%V-%u"), "2008-12-31 2009-W01-3");
        assert_eq!(utc(1_262_476_800, "%F %G-W%V-%u"), "2010-01-03 2009-W53-7");
        assert_eq!(Date::new(1 << 56, true), None);
        assert_eq!(Date::new(i64::MIN, false), None);
    }

    #[test]
    fn errors_in_the_words_of_the_reference() {
        let message = |format: &[u8]| {
            Date::new(0, true).expect("a date").format(&mut Vec::new(), format, &mut 0).expect_err("an error").message()
        };
        assert_eq!(message(b"%Ez abc\0x"), "#1 invalid conversion specifier '%Ez abc'");
        assert_eq!(message(b"x%"), "#1 invalid conversion specifier '%'");
        assert_eq!(message(b"%E"), "#1 invalid conversion specifier '%E'");
        assert_eq!(message(b"%Q"), "#1 invalid conversion specifier '%Q'");
        let message = |field, default, delta| check_field("day", field, default, delta).expect_err("an error").message();
        assert_eq!(message(Field::Absent, None, 0), "field 'day' missing in date table");
        assert_eq!(message(Field::Other, None, 0), "field 'day' is not an integer");
        assert_eq!(message(Field::Integer(1 << 31), None, 0), "field 'day' is out-of-bound");
        assert_eq!(message(Field::Integer(i64::MIN), None, 1900), "field 'day' is out-of-bound");
        assert_eq!(check_field("year", Field::Integer((1 << 31) + 1899), None, 1900), Ok((1 << 31) + 1899));
        assert_eq!(check_field("hour", Field::Absent, Some(12), 0), Ok(12));
    }

    fn fields(numbers: [i64; 6], dst: Option<bool>) -> Fields {
        let [year, month, day, hour, minute, second] = numbers;
        Fields { year, month, day, hour, minute, second, dst }
    }

    #[test]
    fn times_are_normalised() {
        let utc = TimeZone::UTC;
        let (time, date) = fields([2023, 14, -3, 25, -1, 61], None).time_in(&utc).expect("a time");
        assert_eq!((date.year, date.month, date.day, date.hour, date.minute, date.second), (2024, 1, 29, 1, 0, 1));
        assert_eq!(time, 1_706_490_001);
        assert_eq!((date.weekday, date.yearday), (1, 29));
        assert_eq!(
            fields([1970, 1, 1, 0, 0, -1], None).time_in(&utc).expect_err("an error").message(),
            "time result cannot be represented in this installation"
        );
        assert_eq!(
            fields([(1 << 31) + 1899, 12, 31, 12, 0, 0], None).time_in(&utc).map(|(time, _)| time),
            Ok(67_768_036_191_633_600)
        );
        assert!(fields([(1 << 31) + 1899, 13, 31, 12, 0, 0], None).time_in(&utc).is_err());
        assert_eq!(fields([2023, 1, 15, 12, 0, 0], Some(true)).time_in(&utc).map(|(time, _)| time), Ok(1_673_780_400));
    }

    // The expectations are what mktime of glibc gives.
    #[test]
    fn zones_and_daylight_saving() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a zone");
        let expected = [
            ([2023, 1, 15, 12, 0, 0], [1673802000, 1673798400, 1673802000]),
            ([2023, 7, 15, 12, 0, 0], [1689436800, 1689436800, 1689440400]),
            ([2023, 3, 12, 2, 30, 0], [1678606200, 1678602600, 1678606200]),
            ([2023, 11, 5, 1, 30, 0], [1699165800, 1699162200, 1699165800]),
            ([2023, 3, 12, 1, 59, 0], [1678604340, 1678600740, 1678604340]),
            ([2023, 3, 12, 3, 0, 0], [1678604400, 1678604400, 1678608000]),
            ([2023, 11, 5, 2, 0, 0], [1699167600, 1699164000, 1699167600]),
            ([5_000_000, 7, 1, 0, 0, 0], [157722608520000, 157722608520000, 157722608523600]),
        ];
        for (numbers, times) in expected {
            for (dst, time) in [None, Some(true), Some(false)].into_iter().zip(times) {
                let found = fields(numbers, dst).time_in(&zone).map(|(time, _)| time);
                assert_eq!(found, Ok(time), "{numbers:?} {dst:?}");
            }
        }
    }
}

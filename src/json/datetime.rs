//! Dates and times as sources write them, turned into RFC 3339, which is all that Flow takes for
//! `format: date-time`.
//!
//! Which forms are read, and when a number counts milliseconds, is as airbyte-to-flow had it
//! (flow-protocol.md, 9.2), so that a capture that was taken over goes on alike. Text that could mean
//! several days, or none, is left alone, but for month/day/year, which the predecessor read so.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;
use jiff::{Timestamp, fmt::rfc2822};

/// Numbers above this count milliseconds, up to it seconds: January 1st, 3000, in seconds.
const SECONDS_MAX: i64 = 32_503_680_000;

/// Forms with a time of day, in the order in which they are tried. An offset may follow.
const TIMES: &[&str] = &[
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %I:%M %p",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%B %d %Y %H:%M",
    "%B %d %Y %I:%M %p",
    "%b %d %Y %H:%M",
    "%b %d %Y %I:%M %p",
    "%d %B %Y %H:%M",
    "%d %b %Y %H:%M",
];
/// Forms of a day alone: midnight UTC.
const DAYS: &[&str] = &[
    "%Y/%m/%d", "%m/%d/%Y", "%Y-%b-%d", "%B %d %Y", "%b %d %Y", "%d %B %Y", "%d %b %Y", "%m.%d.%Y",
    "%Y.%m.%d",
];
/// The longest text that is looked at.
const LONGEST: usize = 64;

/// Whether Flow takes the text for a `date-time`.
pub fn conforms(text: &str) -> bool {
    let bytes = text.as_bytes();
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        rest @ ..,
    ] = bytes
    else {
        return false;
    };
    let two =
        |a: &u8, b: &u8| (a.is_ascii_digit() && b.is_ascii_digit()).then(|| (a - b'0') * 10 + (b - b'0'));
    let (Some(century), Some(year), Some(month), Some(day)) =
        (two(y1, y2), two(y3, y4), two(m1, m2), two(d1, d2))
    else {
        return false;
    };
    let time = [(two(h1, h2), 23), (two(n1, n2), 59), (two(s1, s2), 59)];
    if time.iter().any(|(value, max)| value.is_none_or(|value| value > *max)) {
        return false;
    }
    let leap = if year == 0 { century % 4 == 0 } else { year % 4 == 0 };
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    if day == 0 || day > days {
        return false;
    }
    let offset = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    match offset {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            two(h1, h2).is_some_and(|hour| hour <= 23) && two(m1, m2).is_some_and(|minute| minute <= 59)
        }
        _ => false,
    }
}

/// What the text means, as RFC 3339 in UTC; `None` where it conforms already or cannot be read.
pub fn from_text(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.len() > LONGEST || !trimmed.is_ascii() || conforms(text) {
        return None;
    }
    print(read(trimmed)?)
}

fn read(text: &str) -> Option<Timestamp> {
    let first = text.as_bytes().first()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return counted(text);
    }
    if first.is_ascii_digit()
        && let Some(time) = iso(text)
    {
        return Some(time);
    }
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok().or_else(|| by_form(text))
}

/// Seconds, milliseconds or nanoseconds as text, told apart by their digits.
fn counted(digits: &str) -> Option<Timestamp> {
    let count: i64 = digits.parse().ok()?;
    match digits.len() {
        10 => Timestamp::from_second(count).ok(),
        13 => Timestamp::from_millisecond(count).ok(),
        19 => Timestamp::from_nanosecond(count.into()).ok(),
        _ => None,
    }
}

/// ISO 8601 and what resembles it: a blank for the T, no seconds, no offset (which is UTC then).
fn iso(text: &str) -> Option<Timestamp> {
    if let Ok(date) = strict_date(text) {
        return utc(date.at(0, 0, 0, 0));
    }
    let (local, offset) = split_offset(text);
    let local = local.replacen(' ', "T", 1);
    // A time needs its minutes: what else a parser takes for a time may be anything.
    if local.len() < 16 || !matches!(local.as_bytes()[10], b'T' | b't') {
        return None;
    }
    // An offset with seconds, or a zone's name: the parser of local times would pass over them.
    if local[11..].contains(['+', '-', '[']) {
        return text.parse().ok();
    }
    at_offset(local.parse().ok()?, offset)
}

/// A date as `YYYY-MM-DD` and nothing else.
fn strict_date(text: &str) -> Result<Date, jiff::Error> {
    Date::strptime("%Y-%m-%d", text)
}

fn by_form(text: &str) -> Option<Timestamp> {
    let (local, offset) = split_offset(text);
    let plain = local.replace(',', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    // `10:09am` and `oct.` are written without the blank and with a dot.
    let plain = plain.replace("am", " am").replace("pm", " pm").replace("AM", " AM").replace("PM", " PM");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    // Each form of a time has a colon; most text that comes here has none.
    for form in TIMES.iter().filter(|_| plain.contains(':')) {
        for seconds in ["", ":%S", ":%S.%f"] {
            let form = form.replacen("%M", &format!("%M{seconds}"), 1);
            let parsed = BrokenDownTime::parse(&form, &plain).and_then(|parsed| parsed.to_datetime());
            if let Ok(time) = parsed {
                return at_offset(time, offset);
            }
        }
    }
    let day = DAYS.iter().find_map(|form| Date::strptime(form, &plain).ok())?;
    at_offset(day.at(0, 0, 0, 0), offset)
}

/// Takes an offset off the end: `Z`, `UTC`, `GMT`, `+02`, `+0200` or `+02:00`, after a blank or not.
fn split_offset(text: &str) -> (&str, Offset) {
    for zone in ["Z", "z", "UTC", "GMT", "utc"] {
        if let Some(local) = text.strip_suffix(zone) {
            return (local.trim_end(), Offset::UTC);
        }
    }
    let Some(at) = text.rfind(['+', '-']).filter(|at| text[..*at].contains(':')) else {
        return (text, Offset::UTC);
    };
    match offset(&text[at + 1..], text.as_bytes()[at] == b'-') {
        Some(offset) => (text[..at].trim_end(), offset),
        None => (text, Offset::UTC),
    }
}

fn offset(digits: &str, west: bool) -> Option<Offset> {
    let (hours, minutes) = match digits.len() {
        2 => (digits, "0"),
        4 => digits.split_at(2),
        5 => digits.split_once(':')?,
        _ => return None,
    };
    if !hours.bytes().chain(minutes.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok().filter(|m| *m < 60)? * 60;
    Offset::from_seconds(if west { -seconds } else { seconds }).ok()
}

fn utc(time: DateTime) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(time).ok()
}

fn at_offset(time: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(time).ok()
}

/// What a JSON number means, as RFC 3339 in UTC; `None` where it is no time between the years 0 and
/// 9999. Whole numbers are seconds or milliseconds, fractions are seconds. A fraction that means a day
/// before January 12th, 1971, is read as if it were a thousand times as large, as it was before.
#[expect(clippy::cast_possible_truncation, reason = "a float beyond the bounds is beyond every date as well")]
pub fn from_number(text: &str) -> Option<String> {
    let time = |count: i64| {
        if count > SECONDS_MAX { Timestamp::from_millisecond(count) } else { Timestamp::from_second(count) }
    };
    let printed = |count: i64| time(count).ok().and_then(print);
    if let Ok(whole) = text.parse::<i64>() {
        return printed(whole);
    }
    let float: f64 = text.parse().ok().filter(|float: &f64| float.is_finite())?;
    // A fraction of milliseconds gives no date when taken for seconds.
    printed((float * 1000.0) as i64).or_else(|| printed(float as i64))
}

/// The date at the beginning of text that is more than a date.
pub fn date_prefix(text: &str) -> Option<&str> {
    let shape =
        |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    let date = text.get(..10).filter(|_| text.len() > 10)?;
    date.bytes().enumerate().all(shape).then_some(date)
}

/// With as many digits of a fraction as it needs: none, three, six or nine.
fn print(time: Timestamp) -> Option<String> {
    let nanos = time.subsec_nanosecond();
    let precision = match (nanos, nanos % 1_000_000, nanos % 1_000) {
        (0, ..) => 0,
        (_, 0, _) => 3,
        (_, _, 0) => 6,
        _ => 9,
    };
    let mut text = String::with_capacity(30);
    DateTimePrinter::new().precision(Some(precision)).print_timestamp(&time, &mut text).ok()?;
    conforms(&text).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_read_in_the_forms_that_sources_write() {
        for (text, time) in [
            ("2023-01-30 02:34:15", "2023-01-30T02:34:15Z"),
            ("2020-03-25T21:03:18.000+0000", "2020-03-25T21:03:18Z"),
            ("2019-03-18T16:40:23+0000", "2019-03-18T16:40:23Z"),
            ("2021-03-02T23:00:00", "2021-03-02T23:00:00Z"),
            ("2023-01-30", "2023-01-30T00:00:00Z"),
            ("2001-09-13T03:05:07.954364", "2001-09-13T03:05:07.954364Z"),
            ("2019-11-29 08:08:05-08", "2019-11-29T16:08:05Z"),
            ("2021-04-30 21:14", "2021-04-30T21:14:00Z"),
            ("2021-04-30 21:14:10 UTC", "2021-04-30T21:14:10Z"),
            ("2021-02-21T10:00:00 +05:30", "2021-02-21T04:30:00Z"),
            ("Wed, 02 Jun 2021 06:31:39 GMT", "2021-06-02T06:31:39Z"),
            ("May 8, 2009 5:57:51 PM", "2009-05-08T17:57:51Z"),
            ("September 17, 2012 10:09am", "2012-09-17T10:09:00Z"),
            ("14 May 2019 19:11:40.164", "2019-05-14T19:11:40.164Z"),
            ("4/8/2014 22:05", "2014-04-08T22:05:00Z"),
            ("2014/3/31", "2014-03-31T00:00:00Z"),
            ("1511648546", "2017-11-25T22:22:26Z"),
            ("1620021848429", "2021-05-03T06:04:08.429Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2023-01-30T02:34:15+02:00[Europe/Paris]", "2023-01-30T00:34:15Z"),
            ("1890-01-30T02:34:15+00:53:28", "1890-01-30T01:40:47Z"),
        ] {
            assert_eq!(from_text(text).as_deref(), Some(time), "{text}");
        }
        for text in [
            "",
            "hello",
            "2023-13-01",
            "10:00:00",
            "12",
            "2023",
            "2023-02-30T00:00:00Z",
            "2023-01-30T02:34:15Z",
            "2023-01-30t02:34:15.5+02:00",
            "0001-01-01 00:00:00 BC",
            "é2023-01-30",
            "2023-01-30T02:34:15[Europe/Paris]",
            "2023-01-30T02:34:15[u-ca=hebrew]",
            "2023-01-30T02:34:15+2:00",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds() {
        for (number, time) in [
            ("1685098188", Some("2023-05-26T10:49:48Z")),
            ("1685098188123", Some("2023-05-26T10:49:48.123Z")),
            ("1685098188.123", Some("2023-05-26T10:49:48.123Z")),
            ("1685098188123.0", Some("2023-05-26T10:49:48.123Z")),
            ("1.685098188e9", Some("2023-05-26T10:49:48Z")),
            ("0", Some("1970-01-01T00:00:00Z")),
            ("-1", Some("1969-12-31T23:59:59Z")),
            ("18446744073709551615", None),
            ("9223372036854775807", None),
            ("1e400", None),
            ("-99999999999999", None),
        ] {
            assert_eq!(from_number(number).as_deref(), time, "{number}");
        }
    }

    #[test]
    fn a_date_is_taken_off_the_front() {
        assert_eq!(date_prefix("2023-03-05T15:41:54.565000+00:00"), Some("2023-03-05"));
        for text in ["2023-03-05", "hello", "2023-03-0", "x2023-03-05T", "2023-03-é5"] {
            assert_eq!(date_prefix(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_conforms_and_junk_never_panics(text in "\\PC{0,30}|[0-9TZ:./ +-]{0,30}|[0-9]{4}-[0-1][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9](:[0-5][0-9])?(\\.[0-9]{1,9})?([+-][0-9]{2}:?[0-9]{2})?") {
            for time in [from_text(&text), from_number(&text)].into_iter().flatten() {
                prop_assert!(conforms(&time), "{}", time);
                prop_assert!(time.parse::<Timestamp>().is_ok());
            }
            let _ = date_prefix(&text);
        }

        #[test]
        fn what_conforms_is_a_time(text in "[0-9]{4}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:[0-5][0-9])") {
            if conforms(&text) {
                prop_assert!(DateTime::strptime("%Y-%m-%dT%H:%M:%S", &text[..19]).is_ok());
            }
        }
    }
}

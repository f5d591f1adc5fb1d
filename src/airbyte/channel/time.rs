//! Dates and times as these sources print them on stdout: microseconds in six digits, and what is
//! finer, which they would cut off there, in nine.

const DAY: u64 = 86_400;
const SECOND: u64 = 1_000_000_000;
/// The largest offset from UTC that Java knows.
const OFFSET: i64 = 18 * 3600;
/// Java's dates go this far from 1970, in days.
const DAYS: u64 = 400_000_000_000;

/// A number that is no date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfRange;

/// Appends a date, given in days since 1970.
pub(super) fn date(days: i64, out: &mut Vec<u8>) -> Result<(), OutOfRange> {
    if days.unsigned_abs() > DAYS {
        return Err(OutOfRange);
    }
    // Years begin in March, so that a leap day is the last of its year; 400 of them have 146,097 days.
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = cycle * 400 + year + i64::from(month <= 2);
    match year {
        0..=9_999 => {}
        ..0 => out.push(b'-'),
        _ => out.push(b'+'),
    }
    digits(year.unsigned_abs(), 4, out);
    out.push(b'-');
    digits(month.unsigned_abs(), 2, out);
    out.push(b'-');
    digits(day.unsigned_abs(), 2, out);
    Ok(())
}

/// Appends a time, given in nanoseconds since midnight.
pub(super) fn time(nanos: u64, out: &mut Vec<u8>) -> Result<(), OutOfRange> {
    let (seconds, nanos) = (nanos / SECOND, nanos % SECOND);
    if seconds >= DAY {
        return Err(OutOfRange);
    }
    digits(seconds / 3600, 2, out);
    out.push(b':');
    digits(seconds / 60 % 60, 2, out);
    out.push(b':');
    digits(seconds % 60, 2, out);
    out.push(b'.');
    if nanos.is_multiple_of(1_000) {
        digits(nanos / 1_000, 6, out);
    } else {
        digits(nanos, 9, out);
    }
    Ok(())
}

/// Appends a time with its offset from UTC in seconds. An offset that is no whole minute cannot be
/// written; such a time becomes one in UTC.
pub(super) fn offset_time(nanos: u64, offset: i64, out: &mut Vec<u8>) -> Result<(), OutOfRange> {
    let offset = checked(offset)?;
    if nanos >= DAY * SECOND {
        return Err(OutOfRange);
    }
    if offset % 60 == 0 {
        time(nanos, out)?;
    } else {
        let seconds = (nanos / SECOND).cast_signed() - offset;
        let seconds = seconds.rem_euclid(DAY.cast_signed()).unsigned_abs();
        time(seconds * SECOND + nanos % SECOND, out)?;
    }
    write_offset(offset, out);
    Ok(())
}

/// Appends a date and a time, given in seconds since 1970 in UTC, at an offset from it. The same goes
/// for an offset that is no whole minute.
pub(super) fn offset_date_time(
    seconds: i64,
    nano: u64,
    offset: i64,
    out: &mut Vec<u8>,
) -> Result<(), OutOfRange> {
    let offset = checked(offset)?;
    let at = if offset % 60 == 0 { offset } else { 0 };
    if nano >= SECOND || seconds.unsigned_abs() > DAYS * DAY {
        return Err(OutOfRange);
    }
    let local = seconds + at;
    date(local.div_euclid(DAY.cast_signed()), out)?;
    out.push(b'T');
    time(local.rem_euclid(DAY.cast_signed()).unsigned_abs() * SECOND + nano, out)?;
    write_offset(offset, out);
    Ok(())
}

fn checked(offset: i64) -> Result<i64, OutOfRange> {
    if (-OFFSET..=OFFSET).contains(&offset) { Ok(offset) } else { Err(OutOfRange) }
}

fn write_offset(offset: i64, out: &mut Vec<u8>) {
    if offset == 0 || offset % 60 != 0 {
        out.push(b'Z');
        return;
    }
    out.push(if offset < 0 { b'-' } else { b'+' });
    let minutes = offset.unsigned_abs() / 60;
    digits(minutes / 60, 2, out);
    out.push(b':');
    digits(minutes % 60, 2, out);
}

/// Appends at least so many digits.
fn digits(number: u64, least: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number).as_bytes();
    out.extend_from_slice(&b"000000000"[..least.saturating_sub(text.len()).min(9)]);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use jiff::civil;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), OutOfRange>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("in range");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn they_look_as_on_stdout() {
        assert_eq!(written(|out| date(20_367, out)), "2025-10-06");
        assert_eq!(written(|out| date(0, out)), "1970-01-01");
        assert_eq!(written(|out| date(-719_528, out)), "0000-01-01");
        assert_eq!(written(|out| date(-719_529, out)), "-0001-12-31");
        assert_eq!(written(|out| date(2_932_897, out)), "+10000-01-01");
        assert_eq!(written(|out| time(0, out)), "00:00:00.000000");
        assert_eq!(written(|out| time(52_245_123_456_000, out)), "14:30:45.123456");
        assert_eq!(written(|out| time(DAY * SECOND - 1, out)), "23:59:59.999999999");
        assert_eq!(written(|out| offset_time(52_245 * SECOND, 19_800, out)), "14:30:45.000000+05:30");
        assert_eq!(written(|out| offset_time(0, -28_800, out)), "00:00:00.000000-08:00");
        assert_eq!(written(|out| offset_time(0, 1, out)), "23:59:59.000000Z");
        let at = |offset| written(|out| offset_date_time(1_759_761_045, 1_000, offset, out));
        assert_eq!(at(0), "2025-10-06T14:30:45.000001Z");
        assert_eq!(at(-16_200), "2025-10-06T10:00:45.000001-04:30");
        assert_eq!(at(3_208), "2025-10-06T14:30:45.000001Z", "an offset with seconds");
        assert_eq!(written(|out| offset_date_time(-1, 0, 0, out)), "1969-12-31T23:59:59.000000Z");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let mut out = Vec::new();
        assert_eq!(date(i64::MAX, &mut out), Err(OutOfRange));
        assert_eq!(date(i64::MIN, &mut out), Err(OutOfRange));
        assert_eq!(time(u64::MAX, &mut out), Err(OutOfRange));
        assert_eq!(offset_time(0, 70_000, &mut out), Err(OutOfRange));
        assert_eq!(offset_time(u64::MAX, 1, &mut out), Err(OutOfRange));
        assert_eq!(offset_date_time(0, SECOND, 0, &mut out), Err(OutOfRange));
        assert_eq!(offset_date_time(i64::MAX, 0, 0, &mut out), Err(OutOfRange));
        assert_eq!(offset_date_time(i64::MIN, 0, 0, &mut out), Err(OutOfRange));
    }

    proptest! {
        #[test]
        fn dates_are_those_of_a_calendar(days in -4_371_587_i64..2_932_896) {
            let epoch = civil::date(1970, 1, 1);
            let expected = epoch.checked_add(jiff::Span::new().days(days)).expect("in range");
            let year = expected.year();
            prop_assume!(year >= 0);
            prop_assert_eq!(written(|out| date(days, out)), expected.to_string());
        }
    }
}

//! Hot path: a value of a record as JSON text.

use serde_json::value::RawValue;

use super::text;
use super::time::{self, OutOfRange};
use super::wire::{Broken, Field, Wire, signed};
use crate::json::repair::repair;

/// What was noticed of the values of a record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Noticed {
    /// The last value was null.
    pub(super) null: bool,
    /// There are escapes, some of which may be lone halves of surrogate pairs.
    pub(super) surrogates: bool,
    /// How often something was replaced that JSON cannot say.
    pub(super) repaired: u64,
}

/// Why a value cannot be written, without anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwritable {
    #[error("a value is not protobuf")]
    Broken,
    #[error(
        "a value of field {0} has another form than in version 0.0.2 of the data channel; set read.dataChannel to jsonl \
         or stdio"
    )]
    Form(u64),
    #[error("a value of field {0} is of a kind that is not known; set read.dataChannel to jsonl or stdio")]
    Kind(u64),
    #[error("a date or time is out of range")]
    Time,
    #[error("a number is none")]
    Number,
    #[error("a JSON value is none")]
    Json,
}

impl From<Broken> for Unwritable {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

impl From<OutOfRange> for Unwritable {
    fn from(_: OutOfRange) -> Self {
        Self::Time
    }
}

/// Appends a value. Of several kinds in it, which no source sends, the last one counts.
#[inline]
pub(super) fn write(value: &[u8], out: &mut Vec<u8>, noticed: &mut Noticed) -> Result<(), Unwritable> {
    let mut wire = Wire::new(value);
    let start = out.len();
    noticed.null = true;
    while let Some((number, field)) = wire.field()? {
        out.truncate(start);
        noticed.null = false;
        kind(number, field, out, noticed)?;
    }
    if noticed.null {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
    Ok(())
}

#[inline]
fn kind(number: u64, field: Field<'_>, out: &mut Vec<u8>, noticed: &mut Noticed) -> Result<(), Unwritable> {
    match (number, field) {
        (1, Field::Varint(value)) => out.extend_from_slice(if value == 0 { b"false" } else { b"true" }),
        (2, Field::Bytes(value)) => noticed.repaired += u64::from(text::write(value, out)),
        (3, Field::Varint(value)) => {
            out.extend_from_slice(itoa::Buffer::new().format(signed(value)).as_bytes());
        }
        (4 | 6, Field::Bytes(value)) => decimal(value, out, noticed)?,
        (5, Field::Fixed64(value)) => double(f64::from_bits(value), out, noticed),
        (7, Field::Varint(days)) => quoted(out, |out| time::date(signed(days), out))?,
        (8, Field::Bytes(value)) => {
            let [nanos, offset, _] = numbers(number, value)?;
            quoted(out, |out| time::offset_time(nanos, signed(offset), out))?;
        }
        (9, Field::Varint(nanos)) => quoted(out, |out| time::time(nanos, out))?,
        (10, Field::Bytes(value)) => {
            let [seconds, nano, offset] = numbers(number, value)?;
            quoted(out, |out| time::offset_date_time(signed(seconds), nano, signed(offset), out))?;
        }
        (11, Field::Bytes(value)) => {
            let [days, nanos, _] = numbers(number, value)?;
            quoted(out, |out| {
                time::date(signed(days), out)?;
                out.push(b'T');
                time::time(nanos, out)
            })?;
        }
        (12, Field::Bytes(value)) => json(value, out, noticed)?,
        // A flag in older descriptions, a null value in newer ones: either is there for null only.
        (13, Field::Varint(_)) => noticed.null = true,
        (1..=13, _) => return Err(Unwritable::Form(number)),
        _ => return Err(Unwritable::Kind(number)),
    }
    Ok(())
}

/// The first three fields of a message of numbers, which is the value of field `kind`. Older sources
/// send text in its place.
fn numbers(kind: u64, message: &[u8]) -> Result<[u64; 3], Unwritable> {
    let mut numbers = [0; 3];
    let mut wire = Wire::new(message);
    while let Some((number, field)) = wire.field().map_err(|Broken| Unwritable::Form(kind))? {
        match (number, field) {
            (number @ 1..=3, Field::Varint(value)) => {
                numbers[usize::try_from(number - 1).unwrap_or(0)] = value;
            }
            _ => return Err(Unwritable::Form(kind)),
        }
    }
    Ok(numbers)
}

fn quoted(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), OutOfRange>,
) -> Result<(), Unwritable> {
    out.push(b'"');
    write(out)?;
    out.push(b'"');
    Ok(())
}

fn double(value: f64, out: &mut Vec<u8>, noticed: &mut Noticed) {
    noticed.repaired += u64::from(!value.is_finite());
    // Infinities and what is no number become null. Memory takes whatever is written.
    let _ = serde_json::to_writer(out, &value);
}

/// Numbers of any length come as text.
fn decimal(value: &[u8], out: &mut Vec<u8>, noticed: &mut Noticed) -> Result<(), Unwritable> {
    if is_number(value) {
        out.extend_from_slice(value);
        return Ok(());
    }
    if matches!(value.trim_ascii_start(), b"NaN" | b"Infinity" | b"-Infinity" | b"+Infinity") {
        noticed.repaired += 1;
        noticed.null = true;
        return Ok(());
    }
    Err(Unwritable::Number)
}

/// Whether this is a number in JSON, too.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut text = &text[whole..];
    if let Some(fraction) = text.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        text = &fraction[length..];
    }
    match text {
        [] => true,
        [b'e' | b'E', exponent @ ..] => {
            let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

/// JSON comes as text, on one line or several: a document has one.
fn json(value: &[u8], out: &mut Vec<u8>, noticed: &mut Noticed) -> Result<(), Unwritable> {
    let Some(text) = std::str::from_utf8(value).ok().and_then(|text| valid(text)) else {
        let repaired = repair(value).and_then(|repaired| String::from_utf8(repaired).ok());
        let text = repaired.as_deref().and_then(|text| valid(text)).ok_or(Unwritable::Json)?;
        noticed.repaired += 1;
        append_json(text, out, noticed);
        return Ok(());
    };
    append_json(text, out, noticed);
    Ok(())
}

fn valid(text: &str) -> Option<&str> {
    serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
}

fn append_json(text: &str, out: &mut Vec<u8>, noticed: &mut Noticed) {
    noticed.null = text == "null";
    noticed.surrogates |= memchr::memchr(b'\\', text.as_bytes()).is_some();
    let from = out.len();
    out.extend_from_slice(text.as_bytes());
    // In JSON, a line break is white space wherever it stands.
    let breaks = |byte: &&mut u8| matches!(**byte, b'\n' | b'\r');
    if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
        out[from..].iter_mut().filter(breaks).for_each(|byte| *byte = b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding;

    use super::*;

    fn written(value: &[u8]) -> Result<String, Unwritable> {
        let mut out = b"before".to_vec();
        write(value, &mut out, &mut Noticed::default())?;
        Ok(String::from_utf8(out[6..].to_vec()).expect("UTF-8"))
    }

    fn bytes(number: u32, text: &str) -> Vec<u8> {
        let mut value = Vec::new();
        encoding::bytes::encode(number, &text.as_bytes().to_vec(), &mut value);
        value
    }

    #[test]
    fn null_has_four_forms() {
        let json = bytes(12, "null");
        for value in [&b""[..], b"\x68\x01", b"\x68\x00", &json] {
            let (mut out, mut noticed) = (Vec::new(), Noticed::default());
            assert_eq!(write(value, &mut out, &mut noticed), Ok(()));
            assert_eq!((&out[..], noticed.null), (&b"null"[..], true), "{value:?}");
        }
    }

    #[test]
    fn numbers_of_any_length_keep_their_digits() {
        for number in ["123456789012345678901234567890", "-0.10", "1E+3", "1e-7", "0"] {
            assert_eq!(written(&bytes(6, number)).as_deref(), Ok(number));
        }
        assert_eq!(written(&bytes(6, "NaN")).as_deref(), Ok("null"));
        for none in ["", "-", "01", "1.", ".5", "1e", "0x1", "1 ", "+1", "1,2"] {
            assert_eq!(written(&bytes(4, none)), Err(Unwritable::Number), "{none}");
        }
    }

    #[test]
    fn json_is_passed_through_on_one_line() {
        assert_eq!(
            written(&bytes(12, "{\"a\": [1.50,\n\"\\u00e9\"]}")).as_deref(),
            Ok("{\"a\": [1.50, \"\\u00e9\"]}")
        );
        assert_eq!(written(&bytes(12, "[NaN]")).as_deref(), Ok("[null]"));
        assert_eq!(written(&bytes(12, "{")), Err(Unwritable::Json));
        assert_eq!(written(&bytes(12, "1 2")), Err(Unwritable::Json));
    }

    #[test]
    fn an_older_form_is_an_error_and_never_another_value() {
        for (value, number) in [(bytes(7, "2025-10-06"), 7), (bytes(9, "14:30:45"), 9)] {
            assert_eq!(written(&value), Err(Unwritable::Form(number)));
        }
        for number in [8, 10, 11] {
            assert_eq!(written(&bytes(number, "2025-10-06T14:30:45Z")), Err(Unwritable::Form(number.into())));
        }
        assert_eq!(written(&bytes(14, "x")), Err(Unwritable::Kind(14)));
    }

    #[test]
    fn the_last_kind_counts() {
        let mut both = bytes(2, "text");
        encoding::bool::encode(1, &true, &mut both);
        assert_eq!(written(&both).as_deref(), Ok("true"));
        encoding::bool::encode(13, &true, &mut both);
        assert_eq!(written(&both).as_deref(), Ok("null"));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_json(value: Vec<u8>) {
            if let Ok(text) = written(&value) {
                prop_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
                prop_assert!(!text.contains('\n'));
            }
        }

        #[test]
        fn numbers_are_what_was_sent(integer: i64, number: f64) {
            let mut value = Vec::new();
            encoding::sint64::encode(3, &integer, &mut value);
            prop_assert_eq!(written(&value), Ok(integer.to_string()));
            let mut value = Vec::new();
            encoding::double::encode(5, &number, &mut value);
            let text = written(&value).expect("written");
            let back: Option<f64> = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(back, number.is_finite().then_some(number));
        }
    }
}

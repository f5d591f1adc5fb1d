//! Hot path: walks JSON text token by token, and accepts nothing that is not JSON.
//!
//! Each function gives the text behind what it passes. They read text that [`is_plain`], as most lines
//! of connectors are: there, a string goes on to the next quote or backslash, and blanks are the only
//! white space. Other text is for a real parser. So `None` means both: no JSON, or not for us.

use wide::u8x16;

/// How much text is looked at before it is known whether it is ASCII.
const BLOCK: usize = 64;
const BLANK: u8x16 = u8x16::new([b' '; 16]);

/// What was noticed of strings that were passed, and perhaps of one that was not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Noticed {
    /// An escape of half a surrogate pair; it may be a lone one.
    pub(crate) surrogates: bool,
    /// Any escape.
    pub(crate) escapes: bool,
}

/// The text behind a string, a number, `true`, `false`, `null`, or an empty object or array.
#[expect(clippy::inline_always, reason = "it is the inner loop of the record path")]
#[inline(always)]
pub(crate) fn behind_scalar<'a>(text: &'a [u8], noticed: &mut Noticed) -> Option<&'a [u8]> {
    match text.first()? {
        b'"' => behind_string(text, noticed),
        b'-' | b'0'..=b'9' => behind_number(text),
        b't' => text.strip_prefix(b"true"),
        b'f' => text.strip_prefix(b"false"),
        b'n' => text.strip_prefix(b"null"),
        _ => behind_empty(text),
    }
}

/// The text behind a string, from its opening quote to its closing one.
#[inline]
pub(crate) fn behind_string<'a>(text: &'a [u8], noticed: &mut Noticed) -> Option<&'a [u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = from_quote_or_backslash(rest)?;
        match rest.split_first()? {
            (b'"', behind) => return Some(behind),
            _ => rest = behind_escape(rest, noticed)?,
        }
    }
}

/// The text behind blanks, if any.
#[inline]
pub(crate) fn behind_blanks(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b" ") {
        text = rest;
    }
    text
}

/// The text behind an object or array that has nothing in it.
pub(crate) fn behind_empty(text: &[u8]) -> Option<&[u8]> {
    let (start, rest) = text.split_first()?;
    match (start, behind_blanks(rest).split_first()?) {
        (b'{', (b'}', rest)) | (b'[', (b']', rest)) => Some(rest),
        _ => None,
    }
}

#[inline(never)]
fn behind_escape<'a>(text: &'a [u8], noticed: &mut Noticed) -> Option<&'a [u8]> {
    noticed.escapes = true;
    match text {
        [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => Some(rest),
        [_, b'u', rest @ ..] => {
            let (digits, rest) = rest.split_first_chunk::<4>()?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
            noticed.surrogates |=
                matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
            Some(rest)
        }
        _ => None,
    }
}

#[inline]
fn behind_number(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = match text.strip_prefix(b"0") {
        Some(rest) => rest,
        None => behind_digits(text)?,
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = behind_digits(fraction)?;
    }
    match rest.first() {
        Some(b'e' | b'E') => behind_exponent(&rest[1..]),
        _ => Some(rest),
    }
}

#[inline(never)]
fn behind_exponent(text: &[u8]) -> Option<&[u8]> {
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    behind_digits(digits)
}

/// Whether the text is UTF-8 without control characters. Those, and what is not ASCII, are odd bytes:
/// between the first and the last of them the text is looked at a second time.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    // The last bytes are looked at in a block that overlaps the one before.
    let Some(last) = text.last_chunk::<BLOCK>() else { return are_plain(text) };
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let odd = blocks.iter().position(has_odd_bytes);
    if odd.is_none() && !has_odd_bytes(last) {
        return true;
    }
    are_plain(&text[start_of_odd(text, odd)..end_of_odd(text)])
}

/// Where the first odd byte is, which is in this block, or else in the last one.
#[inline(never)]
fn start_of_odd(text: &[u8], block: Option<usize>) -> usize {
    let start = block.map_or(text.len() - BLOCK, |block| block * BLOCK);
    start + text[start..].first_chunk().map_or(0, |block| odd_bytes(block).trailing_zeros() as usize)
}

/// Where the last odd byte ends.
#[inline(never)]
fn end_of_odd(text: &[u8]) -> usize {
    let end = text.rchunks(BLOCK).position(|block| block.first_chunk().is_none_or(has_odd_bytes));
    let end = text.len() - end.unwrap_or(0) * BLOCK;
    end - text[..end].last_chunk().map_or(0, |block| odd_bytes(block).leading_zeros() as usize)
}

fn are_plain(bytes: &[u8]) -> bool {
    bytes.iter().copied().min().is_none_or(|lowest| lowest >= b' ') && std::str::from_utf8(bytes).is_ok()
}

/// Whether any byte of these is odd.
#[inline]
fn has_odd_bytes(block: &[u8; BLOCK]) -> bool {
    let [a, b, c, d] = without_blank(block);
    a.max(b).max(c.max(d)).saturating_add(BLANK).to_bitmask() != 0
}

/// A bit for each byte that is odd.
fn odd_bytes(block: &[u8; BLOCK]) -> u64 {
    let quarters = without_blank(block).into_iter().rev();
    quarters.fold(0, |bits, quarter| bits << 16 | u64::from(quarter.saturating_add(BLANK).to_bitmask()))
}

/// The bytes less a blank, which is the lowest that is not odd. Control characters wrap around: added
/// again, the blank takes them as well as what is not ASCII beyond 127, and nothing else.
#[inline]
fn without_blank(block: &[u8; BLOCK]) -> [u8x16; 4] {
    let quarter = |at: usize| block[at..].first_chunk().map_or(BLANK, |bytes| u8x16::new(*bytes)) - BLANK;
    [quarter(0), quarter(16), quarter(32), quarter(48)]
}

/// Looks at the first sixteen bytes of a text at once: gives the first one of which `found` says so, or
/// the text behind them; `None` where there are fewer.
#[inline]
fn in_block(text: &[u8], found: impl Fn(u8x16) -> u8x16) -> Option<Result<usize, &[u8]>> {
    let (block, rest) = text.split_first_chunk()?;
    let found = found(u8x16::new(*block)).to_bitmask();
    Some(if found == 0 { Err(rest) } else { Ok(found.trailing_zeros() as usize) })
}

#[inline]
fn from_quote_or_backslash(mut text: &[u8]) -> Option<&[u8]> {
    let found = |block: u8x16| block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'));
    loop {
        match in_block(text, found) {
            Some(Ok(at)) => return text.get(at..),
            Some(Err(rest)) => text = rest,
            // Within the last bytes of the text.
            None => return text.get(text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?..),
        }
    }
}

/// The text behind the digits that it begins with; `None` where there are none.
#[inline]
fn behind_digits(text: &[u8]) -> Option<&[u8]> {
    text.first().is_some_and(u8::is_ascii_digit).then_some(())?;
    let others = |block: u8x16| {
        let value = block - u8x16::splat(b'0');
        !value.min(u8x16::splat(9)).simd_eq(value)
    };
    let mut rest = text;
    loop {
        match in_block(rest, others) {
            Some(Ok(at)) => return rest.get(at..),
            Some(Err(behind)) => rest = behind,
            None => {
                let at = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
                return rest.get(at..);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// How far a scalar at the beginning of a text goes.
    fn scalar(text: &str) -> Option<usize> {
        is_plain(text.as_bytes()).then_some(())?;
        let behind = behind_scalar(text.as_bytes(), &mut Noticed::default())?;
        Some(text.len() - behind.len())
    }

    #[test]
    fn scalars_end_where_they_end() {
        for (text, end) in
            [("-0.50e+7,", 8), ("0", 1), ("truex", 4), (r#""a\"b\\" "#, 8), ("null", 4), ("\"\"", 2)]
        {
            assert_eq!(scalar(text), Some(end), "{text}");
        }
        for text in
            ["", "-", ".5", "1.", "1e", "1e+", "tru", "\"", r#""\x""#, r#""\u12g4""#, r#""\u12"#, "NaN", "+1"]
        {
            assert_eq!(scalar(text), None, "{text}");
        }
    }

    #[test]
    fn text_for_a_real_parser_is_left_to_it() {
        assert!(!is_plain(b"\"a\tb\""));
        assert!(!is_plain(b"\"\xff\""));
        assert!(is_plain("\"é\u{1f600}\"".as_bytes()));
    }

    #[test]
    fn halves_of_surrogate_pairs_are_noted() {
        for (text, noted) in
            [(r#""\uD83d""#, true), (r#""\udc00""#, true), (r#""\ud7ff""#, false), (r#""\\ud800""#, false)]
        {
            let mut noticed = Noticed::default();
            behind_scalar(text.as_bytes(), &mut noticed).expect("a string");
            assert_eq!(noticed.surrogates, noted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_is_plain_where_it_is_utf8_without_control_characters(
            mut bytes in "[a-z é\u{20ac}\u{1f600}]{0,300}".prop_map(String::into_bytes),
            at: prop::sample::Index,
            byte: Option<u8>,
        ) {
            if let (Some(byte), false) = (byte, bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let expected = std::str::from_utf8(&bytes).is_ok() && bytes.iter().all(|byte| *byte >= b' ');
            prop_assert_eq!(is_plain(&bytes), expected);
        }

        #[test]
        fn a_string_is_passed_as_a_parser_would(text in ".{0,60}", rest in "[,\\]} a\"\\\\]{0,20}") {
            let json = Value::from(text).to_string();
            let both = format!("{json}{rest}");
            if is_plain(both.as_bytes()) {
                prop_assert_eq!(scalar(&both), Some(json.len()));
            }
        }

        #[test]
        fn what_is_passed_whole_is_json(text in r#"["\\u0-9a-f.eE+ntrls -]{0,24}"#) {
            if scalar(&text) == Some(text.len()) {
                prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{}", text);
            }
        }
    }
}

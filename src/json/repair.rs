//! Makes text valid JSON where connectors are known to print text that is not.
//!
//! Bare `NaN` and infinities become null (old Python CDKs and singer-python print them), lone
//! surrogates and bytes that are not UTF-8 become U+FFFD, raw control characters in strings are
//! escaped, and a byte order mark goes. Nothing else is touched.

/// The repaired text; `None` where there was nothing to change.
pub fn repair(line: &[u8]) -> Option<Vec<u8>> {
    let utf8 = String::from_utf8_lossy(line);
    let mut changed = matches!(utf8, std::borrow::Cow::Owned(_));
    let text = utf8.strip_prefix('\u{feff}').unwrap_or(&utf8);
    changed |= text.len() != utf8.len();
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut at = 0;
    let mut in_string = false;
    while at < bytes.len() {
        let step = if in_string { string_step(&bytes[at..]) } else { plain_step(&bytes[at..]) };
        in_string ^= step.quote;
        changed |= step.replacement.is_some();
        match step.replacement {
            Some(replacement) => out.extend_from_slice(&replacement),
            None => out.extend_from_slice(&bytes[at..at + step.length]),
        }
        at += step.length;
    }
    changed.then_some(out)
}

/// Whether a string in these bytes of valid JSON holds half of a surrogate pair.
pub fn has_lone_surrogate(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        let step = string_step(&bytes[at..]);
        if step.replacement.is_some() {
            return true;
        }
        at += step.length;
    }
    false
}

/// How much is taken at once, and what becomes of it.
struct Step {
    length: usize,
    /// Whether a string begins or ends here.
    quote: bool,
    replacement: Option<Vec<u8>>,
}

fn kept(length: usize) -> Step {
    Step { length, quote: false, replacement: None }
}

fn plain_step(bytes: &[u8]) -> Step {
    let null = |length| Step { length, quote: false, replacement: Some(b"null".to_vec()) };
    match bytes[0] {
        b'"' => Step { length: 1, quote: true, replacement: None },
        b'N' if bytes.starts_with(b"NaN") => null(3),
        b'I' if bytes.starts_with(b"Infinity") => null(8),
        b'-' if bytes.starts_with(b"-Infinity") => null(9),
        _ => kept(1),
    }
}

fn string_step(bytes: &[u8]) -> Step {
    match bytes {
        [b'"', ..] => Step { length: 1, quote: true, replacement: None },
        [b'\\', b'u', ..] => match (unit(bytes), bytes.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => kept(12),
            (Some(0xd800..=0xdfff), _) => {
                Step { length: 6, quote: false, replacement: Some(b"\\ufffd".to_vec()) }
            }
            _ => kept(2),
        },
        [b'\\', _, ..] => kept(2),
        [control @ 0..=0x1f, ..] => {
            Step { length: 1, quote: false, replacement: Some(format!("\\u{control:04x}").into_bytes()) }
        }
        _ => kept(1),
    }
}

/// The code unit of an escape `\uXXXX`.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn repaired(text: &str) -> Option<String> {
        repair(text.as_bytes()).map(|repaired| String::from_utf8(repaired).expect("UTF-8"))
    }

    #[test]
    fn what_connectors_print_becomes_json() {
        assert_eq!(
            repaired(r#"{"a":NaN,"b":[Infinity,-Infinity],"c":"NaN"}"#).as_deref(),
            Some(r#"{"a":null,"b":[null,null],"c":"NaN"}"#)
        );
        assert_eq!(repaired("{\"a\":\"x\ty\"}").as_deref(), Some(r#"{"a":"x\u0009y"}"#));
        assert_eq!(repaired("\u{feff}{}").as_deref(), Some("{}"));
        assert_eq!(
            repaired(r#"{"a":"\ud83d\ude00 \ud83d \ude00 \\ud83d"}"#).as_deref(),
            Some(r#"{"a":"\ud83d\ude00 \ufffd \ufffd \\ud83d"}"#)
        );
        assert_eq!(repair(b"{\"a\":\"\xff\"}"), Some("{\"a\":\"\u{fffd}\"}".as_bytes().to_vec()));
    }

    #[test]
    fn lone_surrogates_are_found() {
        assert!(has_lone_surrogate(br#"{"a":"\uD800"}"#));
        assert!(!has_lone_surrogate(br#"{"a":"\ud83d\ude00","b":"\\ud800","c":"\u00e9"}"#));
    }

    proptest! {
        #[test]
        fn valid_json_is_left_alone(text in ".{0,60}", number: i64) {
            let value = serde_json::json!({ "text": text, "list": [number, null, "NaN"] });
            prop_assert_eq!(repair(value.to_string().as_bytes()), None);
        }

        #[test]
        fn nan_beside_any_text_is_repaired(text in ".{0,60}") {
            let line = format!("{{\"a\":NaN,\"t\":{}}}", Value::from(text.clone()));
            let value: Value = serde_json::from_slice(&repair(line.as_bytes()).expect("changed")).expect("JSON");
            prop_assert_eq!(&value["t"], &Value::from(text));
            prop_assert_eq!(&value["a"], &Value::Null);
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(repaired) = repair(&bytes) {
                prop_assert!(std::str::from_utf8(&repaired).is_ok());
            }
        }
    }
}

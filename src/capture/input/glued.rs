//! Takes apart a line that holds more than one message, or text before or behind a message, as
//! unbuffered prints of several threads leave it.
//!
//! Where a piece may be a torn message, the line is left whole: then it is damaged, and data is not
//! lost in silence.

use serde_json::value::RawValue;

use crate::json::members::Members;

/// The messages and texts of the line, in their order; `None` where it is not several things, or
/// where that cannot be told for sure.
pub fn parts(line: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    let mut messages = 0;
    let mut text_start = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'{', &line[at..]) {
        let start = at + found;
        if line[start + 1..].trim_ascii_start().first() != Some(&b'"') {
            at = start + 1;
            continue;
        }
        let mut values = serde_json::Deserializer::from_slice(&line[start..]).into_iter::<&RawValue>();
        // What begins as an object and is none may be half a message.
        let value = values.next()?.ok()?;
        at = start + value.get().len();
        if is_message(value.get()) {
            push_text(&mut parts, &line[text_start..start])?;
            parts.push(value.get().as_bytes());
            messages += 1;
            text_start = at;
        }
    }
    push_text(&mut parts, &line[text_start..])?;
    let whole = parts.len() == 1 && parts[0].len() == line.trim_ascii().len();
    (messages > 0 && !whole).then_some(parts)
}

fn is_message(object: &str) -> bool {
    Members::new(object).any(|member| member.name == "type" && member.value.starts_with('"'))
}

/// Keeps a text that says something; `None` where it may be the end of a torn message.
fn push_text<'line>(parts: &mut Vec<&'line [u8]>, text: &'line [u8]) -> Option<()> {
    // Byte order marks, NULs and other characters that are not seen.
    let is_noise = |byte: &u8| *byte <= b' ' || matches!(byte, 0x7f | 0xef | 0xbb | 0xbf);
    if text.iter().all(is_noise) {
        return Some(());
    }
    let count = |brace: u8| memchr::memchr_iter(brace, text).count();
    if count(b'}') > count(b'{') {
        return None;
    }
    parts.push(text);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = r#"{"type":"RECORD","stream":"a","record":{"x":{"type":"STATE"}}}"#;
    const B: &str = r#"{ "type": "STATE", "value": {"}{": "\"{"} }"#;

    fn texts(line: &str) -> Option<Vec<&str>> {
        let parts = parts(line.as_bytes())?;
        Some(parts.into_iter().map(|part| std::str::from_utf8(part).expect("UTF-8")).collect())
    }

    #[test]
    fn messages_and_texts_are_told_apart() {
        assert_eq!(texts(&format!("{A}{B}")), Some(vec![A, B]));
        assert_eq!(texts(&format!("50% {A} done {{1}}{B}bye")), Some(vec!["50% ", A, " done {1}", B, "bye"]));
        assert_eq!(texts(&format!("\0\u{feff}{A}\0")), Some(vec![A]));
        assert_eq!(texts(&format!("{{\"a\": 1}} {A}")), Some(vec!["{\"a\": 1} ", A]));
    }

    #[test]
    fn a_torn_message_keeps_the_line_whole() {
        for cut in 2..A.len() - 1 {
            assert_eq!(texts(&format!("{}{B}", &A[..cut])), None, "{cut}");
            if cut > 40 {
                assert_eq!(texts(&format!("{}{B}", &A[cut..])), None, "{cut}");
            }
        }
        assert_eq!(texts(A), None);
        assert_eq!(texts("plain text {\"a\": 1}"), None);
    }

    proptest! {
        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parts(&bytes);
        }

        #[test]
        fn words_around_messages_do_not_hide_them(before in "[a-z %:]{0,9}", between in "[a-z %:]{0,9}", after in "[a-z %:]{0,9}") {
            let line = format!("{before}{A}{between}{B}{after}");
            let parts = texts(&line).expect("several things");
            prop_assert!(parts.contains(&A) && parts.contains(&B));
        }
    }
}

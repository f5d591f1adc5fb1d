//! Messages that were cut off or garbled: whether a line lost data or never had any, and of which stream.

use crate::capture::event::LineError;

/// The longest name of a stream that is taken from a damaged line, in bytes.
const NAME: usize = 200;
/// So much of a message that is not read is looked at for the name of its stream.
const TELLING: usize = 64 * 1024;

/// What is known of a message that was given up because it is too large.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Oversized {
    /// `RECORD`, `STATE` …; `None` where it does not tell, or is no message.
    pub(crate) kind: Option<&'static str>,
    /// The stream's name; `None` where it does not tell.
    pub(crate) stream: Option<String>,
}

impl Oversized {
    /// A record of this stream; nothing is known of a message without one.
    pub(crate) fn record(stream: Option<String>) -> Self {
        Self { kind: stream.is_some().then_some("RECORD"), stream }
    }
}

/// Why a line cannot be read: damaged, where it seems to be of one of the types that carry data, which
/// must not be lost in silence; else no message at all. Where the type itself is cut off it may be one
/// of them.
pub(crate) fn unreadable(line: &[u8], carriers: &[&'static str], error: &serde_json::Error) -> LineError {
    let kind = carriers.iter().copied().find(|kind| has_type(line, kind));
    let kind = kind.or_else(|| is_cut_in_its_type(line, carriers).then_some("unfinished"));
    let Some(kind) = kind else { return LineError::NotAMessage };
    LineError::Damaged { kind, stream: stream_of(line), cause: cause(error) }
}

/// What is wrong with JSON, without any of it: serde's own message can quote a value.
pub(crate) fn cause(error: &serde_json::Error) -> String {
    let category = format!("{:?}", error.classify()).to_lowercase();
    format!("{category} error at byte {}", error.column())
}

/// Whether the text has `"type"`, a colon, and this type, in any case.
fn has_type(line: &[u8], kind: &str) -> bool {
    memchr::memmem::find_iter(line, b"\"type\"").any(|at| {
        let rest = line[at + 6..].trim_ascii_start();
        let rest = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        let rest = rest.and_then(|rest| rest.strip_prefix(b"\""));
        rest.and_then(|rest| rest.get(..kind.len()))
            .is_some_and(|word| word.eq_ignore_ascii_case(kind.as_bytes()))
    })
}

/// Whether the line ends within the type that a message begins with, and the type may be one of these.
/// The brace alone is how other JSON begins that is printed over several lines.
fn is_cut_in_its_type(line: &[u8], kinds: &[&str]) -> bool {
    let Some(rest) = line.trim_ascii().strip_prefix(b"{\"t") else { return false };
    let mut rest = rest;
    for token in ["ype\"", ":", "\""] {
        rest = rest.trim_ascii_start();
        if token.len() > rest.len() {
            return token.as_bytes().starts_with(rest);
        }
        let Some(behind) = rest.strip_prefix(token.as_bytes()) else { return false };
        rest = behind;
    }
    kinds
        .iter()
        .filter_map(|kind| kind.get(..rest.len()))
        .any(|kind| kind.as_bytes().eq_ignore_ascii_case(rest))
}

/// Whether this is the first half of an object, as a program leaves it that ends while it prints.
pub(crate) fn is_half(text: &[u8]) -> bool {
    let cut = |error: serde_json::Error| error.is_eof();
    text.trim_ascii_start().starts_with(b"{\"")
        && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err_and(cut)
}

/// The stream's name, where it stands whole in a damaged line.
pub(crate) fn stream_of(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let value = |of: &str, name: &str| {
        let rest = of.split_once(name)?.1.trim_start().strip_prefix(':')?.trim_start();
        rest.strip_prefix('"')?.split_once('"').map(|(value, _)| value.to_owned())
    };
    let of_descriptor = || value(text.split_once("\"stream_descriptor\"")?.1, "\"name\"");
    value(&text, "\"stream\"").or_else(of_descriptor).filter(|name| name.len() < NAME)
}

/// As much of a message that is not read, however large it is, as names its stream.
pub(crate) fn beginning(message: &[u8]) -> &[u8] {
    &message[..message.len().min(TELLING)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_damaged_line_is_named_where_it_stands_whole() {
        assert_eq!(
            stream_of(br#"{"type": "RECORD", "stream": "users", "record": {"id"#).as_deref(),
            Some("users")
        );
        assert_eq!(stream_of(br#"{"type": "RECORD", "stre"#), None);
        assert_eq!(stream_of(br#"{"type": "RECORD", "stream": "us"#), None, "half a name is another name");
        let state = br#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"},"str"#;
        assert_eq!(stream_of(state).as_deref(), Some("users"));
        assert_eq!(stream_of(format!(r#""stream":"{}""#, "x".repeat(NAME)).as_bytes()), None);
    }

    #[test]
    fn a_line_that_is_cut_in_its_type_may_have_carried_data() {
        let whole = r#"{"type": "RECORD""#;
        for cut in 3..whole.len() {
            assert!(is_cut_in_its_type(&whole.as_bytes()[..cut], &["STATE", "RECORD"]), "{}", &whole[..cut]);
        }
        for other in
            ["{", "{\"", "{'type': ", "{\"time\"", "{\"type\": \"L", "{\"type\": \"RECORDS", "{\"type\": 1"]
        {
            assert!(!is_cut_in_its_type(other.as_bytes(), &["STATE", "RECORD"]), "{other}");
        }
    }

    #[test]
    fn half_an_object_is_told_from_text() {
        for half in [r#"{"type":"LOG","lo"#, r#" {"a":[1,"#, r#"{"a"#] {
            assert!(is_half(half.as_bytes()), "{half}");
        }
        for other in ["", "{", "text {\"a", "{\"a\":1}", "{\"a\":1}x", "{'a': 1", "{\"a\":NaN"] {
            assert!(!is_half(other.as_bytes()), "{other}");
        }
    }
}

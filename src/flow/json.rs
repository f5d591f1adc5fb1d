//! The JSON codec: one object a line (flow-protocol.md, section 1.4).
//!
//! Knows one line; where lines begin and end in a stream is the reader's duty. Error texts name
//! what was expected, the column, and fields that are not known, never a value.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Appends `message` as one line; on an error `into` is unchanged.
pub(super) fn encode(message: &impl Serialize, into: &mut Vec<u8>) -> Result<(), &'static str> {
    let start = into.len();
    if serde_json::to_writer(&mut *into, message).is_err() {
        into.truncate(start);
        return Err("it holds text that is not JSON");
    }
    // Raw JSON may be indented. Inside strings a newline is always escaped, so those that are left
    // stand between tokens.
    for byte in &mut into[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    into.push(b'\n');
    Ok(())
}

/// Reads the message of one line; the error is what is wrong with it.
pub(super) fn decode<M: DeserializeOwned>(line: &[u8]) -> Result<M, String> {
    serde_json::from_slice(line).map_err(|error| describe(&error))
}

/// What is wrong, without what stands there.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Io => "it cannot be read".to_owned(),
        serde_json::error::Category::Syntax => "it is not valid JSON".to_owned(),
        serde_json::error::Category::Eof => "it ends too early".to_owned(),
        serde_json::error::Category::Data => mismatch(&error.to_string()),
    };
    format!("{what} (column {})", error.column())
}

fn mismatch(text: &str) -> String {
    for kind in ["unknown field `", "duplicate field `"] {
        if let Some((name, _)) = text.strip_prefix(kind).and_then(|rest| rest.split_once('`')) {
            let name: String = name.chars().take(80).collect();
            return format!("{kind}{name}`");
        }
    }
    // What is expected comes from our types, and stands after the value, whatever that holds.
    let wrong_type = text.starts_with("invalid type") || text.starts_with("invalid value");
    match text.rsplit_once(", expected ") {
        Some((_, expected)) if wrong_type => {
            let expected = expected.split(" at line ").next().unwrap_or(expected);
            format!("expected {expected}")
        }
        _ => "a value is of the wrong type".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::message::{Captured, Request, Response, SpecRequest};

    fn error_of<M: DeserializeOwned>(line: &str) -> String {
        decode::<M>(line.as_bytes()).err().expect("it must not parse")
    }

    #[test]
    fn indented_json_becomes_one_line() {
        let message = Request {
            spec: Some(SpecRequest {
                config_json: b"{\r\n  \"a\": \"x\\ny\"\n}".to_vec(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut line = Vec::new();
        encode(&message, &mut line).expect("it is valid");
        assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1));
        assert!(line.ends_with(b"}\n"));
        let back: Request = decode(&line).expect("it parses");
        assert!(back.spec.expect("it is there").config_json.windows(4).any(|part| part == b"x\\ny"));
    }

    #[test]
    fn invalid_raw_json_leaves_nothing_behind() {
        let message = Response {
            captured: Some(Captured { doc_json: b"{\"a\":".to_vec(), ..Default::default() }),
            ..Default::default()
        };
        let mut line = b"before\n".to_vec();
        assert!(encode(&message, &mut line).is_err());
        assert_eq!(line, b"before\n");
    }

    #[test]
    fn errors_name_fields_and_expectations_but_no_values() {
        assert!(error_of::<Response>(r#"{"captured":{"dock":{}}}"#).contains("unknown field `dock`"));
        let text = error_of::<Response>(r#"{"captured":{"binding":"hunter2, expected mercy"}}"#);
        assert!(text.contains("expected u32") && !text.contains("hunter2"), "{text}");
        let text = error_of::<Request>(r#"{"discover":{"name":4242}}"#);
        assert!(text.contains("expected a string") && !text.contains("4242"), "{text}");
        let text = error_of::<Request>(r#"{"spec":{"config":{"password":hunter2}}}"#);
        assert!(text.contains("not valid JSON") && !text.contains("hunter2"), "{text}");
    }
}

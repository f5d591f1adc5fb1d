//! The forms in which a secret turns up in text: as it is, escaped, encoded, or line by line.
//!
//! A connector prints its config as JSON, as a Python or Java literal, inside a URL, or as the
//! base64 of a header, and a library prints one line of a private key. Pure functions; what is a
//! secret is decided elsewhere.

use std::collections::BTreeSet;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values are too common to be looked for without their name.
const SHORTEST: usize = 6;
/// A number needs so many digits to be telling.
const LONG_NUMBER: usize = 8;
/// Values up to so many bytes are looked for in every form; larger ones line by line, in the most usual ones.
const LONGEST: usize = 16 * 1024;
/// Words that are values of many settings.
const COMMON: &[&str] = &["true", "false", "null", "none", "undefined", "default", "string"];
/// What stands between a member's name and its value in JSON, in literals, and in settings.
const BETWEEN: &[&str] = &[
    "=",
    " = ",
    ":",
    ": ",
    "=\"",
    "='",
    "\":",
    "\": ",
    "\":\"",
    "\": \"",
    "': ",
    "': '",
    "\\\":",
    "\\\": ",
    "\\\":\\\"",
    "\\\": \\\"",
];

/// A text to look for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    /// The text.
    pub(super) text: String,
    /// How many bytes at its start are no secret and stay.
    pub(super) kept: usize,
    /// Whether it counts only where no letter or digit stands beside it.
    pub(super) word: bool,
    /// Whether a base64 digit beside it belongs to it in part.
    pub(super) base64: bool,
}

impl Form {
    fn plain(text: String) -> Self {
        Self { text, kept: 0, word: false, base64: false }
    }
}

/// Every form of the value of the member `name`.
pub(super) fn forms(name: &str, value: &str) -> BTreeSet<Form> {
    let mut forms = BTreeSet::new();
    let trimmed = value.trim();
    let number = !trimmed.is_empty() && trimmed.parse::<f64>().is_ok();
    if number && trimmed.len() >= LONG_NUMBER {
        encoded(trimmed, &mut forms);
        // Within a longer number, its digits are another's.
        forms = forms.into_iter().map(|form| Form { word: !form.base64, ..form }).collect();
    } else if is_common(trimmed) {
        beside_its_name(name, trimmed, &mut forms);
    } else if value.len() > LONGEST {
        let lines = value.lines().flat_map(|line| line.split("\\n")).map(str::trim);
        for line in lines.filter(|line| !is_common(line) && !line.starts_with("-----")) {
            forms.insert(Form::plain(line.to_owned()));
            forms.insert(Form::plain(json(line)));
        }
    } else {
        encoded(trimmed, &mut forms);
        for line in lines(value) {
            encoded(line, &mut forms);
        }
    }
    forms
}

fn is_common(value: &str) -> bool {
    value.len() < SHORTEST
        || value.parse::<f64>().is_ok()
        || COMMON.iter().any(|common| value.eq_ignore_ascii_case(common))
}

fn beside_its_name(name: &str, value: &str, forms: &mut BTreeSet<Form>) {
    if name.is_empty() || value.is_empty() {
        return;
    }
    for between in BETWEEN {
        let before = format!("{name}{between}");
        let kept = before.len();
        forms.insert(Form { text: before + value, kept, word: true, base64: false });
    }
}

/// The lines of a value that has several, such as a private key; also where its newlines are written
/// as `\n`, which connectors undo. Its head and foot are no secret.
fn lines(value: &str) -> impl Iterator<Item = &str> {
    let several = value.trim().contains(['\n', '\r']) || value.contains("\\n");
    let lines = value.split(['\n', '\r']).flat_map(|line| line.split("\\n"));
    lines.map(str::trim).filter(move |line| several && !is_common(line) && !line.starts_with("-----"))
}

fn encoded(value: &str, forms: &mut BTreeSet<Form>) {
    let escaped = json(value);
    let ascii = ascii(&escaped);
    for text in [value, &escaped, &ascii] {
        forms.extend(base64(text));
    }
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut texts = vec![
        value.to_owned(),
        escaped.replace('/', "\\/"),
        json(&escaped),
        json(&ascii),
        escaped,
        ascii,
        // As shlex.quote and others write a quote for a shell.
        value.replace('\'', "'\"'\"'"),
        value.replace('\'', "'\\''"),
        html.replace('\'', "&#39;"),
        html.replace('\'', "&#x27;"),
        html,
    ];
    for literal in [Python::Text, Python::Ascii, Python::Bytes].map(|kind| python(value, kind)) {
        let quoted = literal.replace('\'', "\\'");
        texts.extend([json(&literal), json(&quoted), literal, quoted]);
    }
    forms.extend(texts.into_iter().map(Form::plain));
    forms.extend(url(value).map(Form::plain));
}

/// The literals that Python prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Python {
    /// `repr` of a text: what can be printed stays.
    Text,
    /// `ascii` of a text.
    Ascii,
    /// `repr` of its bytes in UTF-8.
    Bytes,
}

/// As it stands between the quotes of a literal of Python's, quotes not escaped.
fn python(value: &str, kind: Python) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        // Writing to a string cannot fail.
        let _ = match (character, u32::from(character)) {
            ('\\', _) => text.write_str("\\\\"),
            ('\n', _) => text.write_str("\\n"),
            ('\r', _) => text.write_str("\\r"),
            ('\t', _) => text.write_str("\\t"),
            (' '..='~', _) => text.write_char(character),
            (_, code) if code < 0x80 => write!(text, "\\x{code:02x}"),
            _ if kind == Python::Bytes => {
                let mut bytes = [0; 4];
                character.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(text, "\\x{byte:02x}"))
            }
            _ if kind == Python::Text && is_printable(character) => text.write_char(character),
            (_, code) if code <= 0xff => write!(text, "\\x{code:02x}"),
            (_, code) if code <= 0xffff => write!(text, "\\u{code:04x}"),
            (_, code) => write!(text, "\\U{code:08x}"),
        };
    }
    text
}

/// Whether Python's `str.isprintable` holds, as far as passwords go: unassigned characters are left out.
fn is_printable(character: char) -> bool {
    !character.is_control()
        && !character.is_whitespace()
        && !matches!(
            u32::from(character),
            0xad | 0x600..=0x605 | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
                | 0xe000..=0xf8ff | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0x0010_ffff
        )
}

/// As it stands between the quotes of a JSON string.
fn json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same with all but ASCII escaped, as Python's `json.dumps` does.
fn ascii(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    for character in escaped.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            let mut units = [0; 2];
            // Writing to a string cannot fail.
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// Percent-encoded as Python, JavaScript and Java do, whole or as part of a URL.
fn url(value: &str) -> impl Iterator<Item = String> {
    const KEPT: [&[u8]; 5] = [b"-_.~", b"-_.~/", b"-_.*", b"-_.!~*'()", b"-_.~!#$%&'()*+,/:;=?@[]"];
    let forms = KEPT.into_iter().flat_map(|kept| [(kept, "%20"), (kept, "+")]);
    forms.flat_map(move |(kept, space)| {
        let percent = |lower: bool| {
            let mut text = String::with_capacity(value.len());
            for byte in value.bytes() {
                // Writing to a string cannot fail.
                let _ = match byte {
                    b' ' => text.write_str(space),
                    byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => {
                        text.write_char(char::from(byte))
                    }
                    byte if lower => write!(text, "%{byte:02x}"),
                    byte => write!(text, "%{byte:02X}"),
                };
            }
            text
        };
        [percent(false), percent(true)]
    })
}

/// The base64 of any text around the value: for each of the three ways in which the value can begin
/// in it, the digits that only the value decides.
fn base64(value: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    for before in 0..3_usize {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value.as_bytes());
        let undecided = before * 8 / 6 + usize::from(before > 0);
        let decided = bytes.len() * 8 / 6;
        for digits in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            let Some(text) = digits.get(undecided..decided) else { continue };
            let form = |text: String| Form { text, kept: 0, word: false, base64: true };
            forms.push(form(text.replace('+', "%2B").replace('/', "%2F")));
            forms.push(form(text.to_owned()));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(name: &str, value: &str, text: &str) -> bool {
        forms(name, value).iter().any(|form| text.contains(&form.text))
    }

    #[test]
    fn escapes_and_encodings_are_found() {
        let value = "p\u{e4}ss w/\"o'r\\d&";
        for text in [
            value,
            &json(value),
            "p\\u00e4ss w/\\\"o'r\\\\d&",
            "p\u{e4}ss w\\/\\\"o'r\\\\d&",
            "p%C3%A4ss%20w%2F%22o%27r%5Cd%26",
            "p%c3%a4ss+w%2f%22o%27r%5cd%26",
            "p%C3%A4ss+w%2F%22o%27r%5Cd%26",
            "p\u{e4}ss w/&quot;o&#39;r\\d&amp;",
            "p\u{e4}ss w/\"o\\'r\\\\d&",
        ] {
            assert!(has("password", value, text), "{text}");
        }
    }

    #[test]
    fn base64_is_found_wherever_the_value_begins() {
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "z", "zz"] {
                let text = format!("{before}s3cr3t?>~{after}");
                for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    assert!(has("password", "s3cr3t?>~", &encoded), "{text}");
                }
            }
        }
    }

    #[test]
    fn common_values_are_found_beside_their_name_only() {
        assert!(!has("pin", "1234", "it took 1234 ms"));
        assert!(has("pin", "1234", "{\"pin\": 1234}"));
        assert!(has("password", "true", "{'password': 'true'}"));
        assert!(!has("password", "true", "it is true"));
        assert!(!has("password", "", "password="));
    }

    #[test]
    fn numbers_that_are_long_are_found_encoded_too() {
        assert!(has("id", "123456789012", "it is 123456789012"));
        assert!(has("password", "12345678", &STANDARD_NO_PAD.encode("user:12345678")));
        assert!(has("phone", "+15550123456", "to=%2B15550123456&"));
        assert!(forms("id", "123456789012").iter().all(|form| form.word || form.base64));
    }

    #[test]
    fn lines_of_a_key_are_found_its_head_is_not() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n";
        assert!(has("key", key, "cannot read BgkqhkiG9w0B"));
        assert!(!has("key", key, "-----BEGIN PRIVATE KEY-----"));
        assert!(has("key", &key.replace('\n', "\\n"), "cannot read BgkqhkiG9w0B"));
        let large = format!("{key}{}", "0123456789abcdef".repeat(2_000));
        assert!(has("key", &large, &large), "line by line");
        assert!(!has("key", &large, "-----BEGIN PRIVATE KEY-----"));
    }
}

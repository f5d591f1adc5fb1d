//! Secrets within texts: passwords of URLs, assignments of connection strings, key files.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::names::tells_secret;

/// Shorter texts are no key files, and anything may be base64 of something.
const SHORTEST_ENCODED: usize = 12;
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The password of `scheme://user:password@host`, as it stands there and as it is meant: drivers print
/// it so.
pub(super) fn passwords(text: &str) -> Vec<(String, String)> {
    let Some(password) = password_in_url(text) else { return Vec::new() };
    let meant = percent_decode_str(password).decode_utf8_lossy();
    [password, &*meant].map(|password| ("password".to_owned(), password.to_owned())).to_vec()
}

fn password_in_url(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#', ' ']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

/// Assignments whose name tells a secret: `Server=a;Password=b`, `host=a password=b`, `?api_key=b`.
pub(super) fn assigned(text: &str) -> Vec<(String, String)> {
    let pairs = text.split([';', '&', '?', ' ', '\n', ',']).filter_map(|part| part.split_once('='));
    pairs
        .map(|(name, value)| (name.trim(), value.trim().trim_matches(['"', '\''])))
        .filter(|(name, value)| !value.is_empty() && is_name(name) && tells_secret(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn is_name(text: &str) -> bool {
    text.len() < 64 && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// The object that a text is in JSON, also in base64.
pub(super) fn object(text: &str) -> Option<Value> {
    let parsed = |text: &str| serde_json::from_str(text).ok().filter(Value::is_object);
    if text.trim_start().starts_with('{') {
        return parsed(text);
    }
    // `eyJ`, `ewo`, `ewA`, `eyA` and the like: base64 of a brace.
    text.trim_start().starts_with('e').then(|| decoded(text)).flatten().and_then(|text| parsed(&text))
}

/// The printable text that a text is in base64.
pub(super) fn decoded(text: &str) -> Option<String> {
    let digits: String = text.split_ascii_whitespace().collect();
    if digits.len() < SHORTEST_ENCODED {
        return None;
    }
    let bytes = STANDARD.decode(&digits).or_else(|_| URL_SAFE.decode(&digits)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let printable = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    printable.then_some(text)
}

/// The rest of `Bearer …` and the like.
pub(super) fn without_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(' ')?;
    let known = ["bearer", "basic", "token", "apikey"];
    known.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_assignments_of_secrets_are_taken() {
        let found = |text: &str| assigned(text).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(found("host=a password='b c' port=1"), ["b"], "up to the first space");
        assert_eq!(found("Server=a;Pwd=b=c;Database=d"), ["b=c"]);
        assert_eq!(found("https://a.example/x?sas_token=q&y=2"), ["q"]);
        assert!(found("a token = b of c").is_empty() && found("x == y").is_empty());
    }

    #[test]
    fn base64_is_undone_where_it_is_text() {
        for (encoded, text) in [
            ("eyJhIjogMSwgImIiOiAyfQ", Some("{\"a\": 1, \"b\": 2}")),
            ("eyJhIjogMSwg\nImIiOiAyfQ==", Some("{\"a\": 1, \"b\": 2}")),
            ("c2hvcnQ=", None),
            ("gIGCg4SFhoeIiYqLjI2Ojw==", None),
            ("not base64 at all!", None),
        ] {
            assert_eq!(decoded(encoded).as_deref(), text, "{encoded}");
        }
        assert!(object("eyJhIjogMSwgImIiOiAyfQ").is_some() && object("{\"a\": 1}").is_some());
        assert!(object("[1]").is_none() && object("e").is_none());
    }

    #[test]
    fn a_scheme_is_taken_off() {
        assert_eq!(without_scheme("Bearer abc"), Some("abc"));
        assert_eq!(without_scheme("my secret"), None);
    }
}

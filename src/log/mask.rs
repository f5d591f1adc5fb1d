//! Puts `****` in place of secrets, wherever they stand in a text.
//!
//! All secrets of all their forms are found in one pass. An old token stays a secret after a new one
//! has come, as long as there is room for it (see `finder`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, Weak};

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::finder::Finder;
use super::forms::{Form, forms};

/// What stands in place of a secret.
const MASK: &str = "****";

/// What the process must not say.
static SECRETS: LazyLock<RwLock<Masker>> = LazyLock::new(RwLock::default);

/// Who may know of secrets that came up meanwhile.
static TEACHERS: Mutex<Vec<Weak<Teacher>>> = Mutex::new(Vec::new());

/// Hides what it has learnt since it was asked last.
pub type Teacher = dyn Fn() + Send + Sync;

/// Asks this one before each line of upstream's, as long as it lives.
pub(super) fn learn_from(teacher: &Arc<Teacher>) {
    TEACHERS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(teacher));
}

/// Asks them all.
pub(super) fn learn() {
    let mut teachers = TEACHERS.lock().unwrap_or_else(PoisonError::into_inner);
    teachers.retain(|teacher| {
        teacher.upgrade().is_some_and(|teacher| {
            teacher();
            true
        })
    });
}

/// Adds secrets: the names of members and their values. Those that do not last may be forgotten once
/// many others have come.
pub(super) fn hide(secrets: impl IntoIterator<Item = (String, String)>, lasting: bool) {
    let mut masker = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    masker.add(secrets, lasting);
}

/// The text without secrets.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    let masker = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    masker.mask(text)
}

/// The fields without secrets, at any depth, in names too.
pub(super) fn fields(fields: Map<String, Value>) -> Map<String, Value> {
    let masker = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    if masker.finder.is_empty() { fields } else { masker.fields(fields) }
}

#[derive(Debug, Default)]
struct Masker {
    finder: Finder,
    /// Digests of the secrets that are there, and their generations; `None` for those that last.
    known: HashMap<u128, Option<u32>>,
}

impl Masker {
    /// A secret that does not last is added again in each generation that has it, so that the oldest
    /// one is not forgotten while it is in use.
    fn add(&mut self, secrets: impl IntoIterator<Item = (String, String)>, lasting: bool) {
        let now = self.finder.generation();
        let fresh: Vec<(u128, String, String)> = secrets
            .into_iter()
            .map(|(name, value)| (xxh3_128(format!("{name}\0{value}").as_bytes()), name, value))
            .filter(|(digest, ..)| match self.known.get(digest) {
                Some(None) => false,
                Some(Some(generation)) => lasting || *generation != now,
                None => true,
            })
            .collect();
        if fresh.is_empty() {
            return;
        }
        let oldest = self.finder.begin();
        self.known.retain(|_, generation| generation.is_none_or(|generation| generation >= oldest));
        let generation = (!lasting).then(|| self.finder.generation());
        for (digest, name, value) in fresh {
            self.known.insert(digest, generation);
            for form in forms(&name, &value) {
                self.finder.add(form, lasting);
            }
        }
    }

    fn mask<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        let bytes = text.as_bytes();
        self.finder.short(bytes, |start, form| ranges.extend(range(bytes, form, start)));
        ranges.extend(self.pieces(text));
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        ranges.sort_unstable();
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for (start, end) in ranges {
            if start > at || masked.is_empty() {
                masked.push_str(&text[at..start]);
                masked.push_str(MASK);
            }
            at = at.max(end);
        }
        masked.push_str(&text[at..]);
        Cow::Owned(masked)
    }

    /// The pieces of long secrets that stand beside another: one alone may be what others have too, such
    /// as an address within a key file.
    fn pieces(&self, text: &str) -> Vec<(usize, usize)> {
        let mut pieces = Vec::new();
        self.finder.long(text.as_bytes(), |start, end, base64| pieces.push((start, end, base64)));
        let beside = |at: usize| {
            let touches = |one: usize, other: usize| {
                pieces.get(other).is_some_and(|(start, ..)| *start <= pieces[one].1)
            };
            at.checked_sub(1).is_some_and(|before| touches(before, at)) || touches(at, at + 1)
        };
        let ranges =
            pieces.iter().enumerate().filter(|(at, _)| beside(*at)).map(|(_, &(start, end, base64))| {
                let (start, end) = widened(text.as_bytes(), start, end, base64);
                // The ends of a part may be within a character.
                (
                    super::boundary(text, start),
                    (end..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len()),
                )
            });
        ranges.collect()
    }

    fn fields(&self, fields: Map<String, Value>) -> Map<String, Value> {
        fields.into_iter().map(|(name, value)| (self.mask(&name).into_owned(), self.value(value))).collect()
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.mask(&text) {
                Cow::Borrowed(_) => Value::String(text),
                Cow::Owned(masked) => Value::String(masked),
            },
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => Value::Object(self.fields(members)),
            other => other,
        }
    }
}

/// What is to be masked of a form that begins there; `None` where it stands inside a word.
fn range(text: &[u8], form: &Form, start: usize) -> Option<(usize, usize)> {
    let end = start + form.text.len();
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    if form.word && (is_word(before) && form.kept == 0 || is_word(text.get(end))) {
        return None;
    }
    let (start, end) = widened(text, start, end, form.base64);
    Some((start + form.kept, end))
}

/// With a digit of base64 on both sides, which belongs to the secret in part.
fn widened(text: &[u8], start: usize, end: usize, base64: bool) -> (usize, usize) {
    let is_digit = |byte: Option<&u8>| base64 && byte.copied().is_some_and(is_base64);
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    (start - usize::from(is_digit(before)), end + usize::from(is_digit(text.get(end))))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn masker(secrets: &[(&str, &str)]) -> Masker {
        let mut masker = Masker::default();
        for (name, value) in secrets {
            masker.add([((*name).to_owned(), (*value).to_owned())], true);
        }
        masker
    }

    #[test]
    fn secrets_that_overlap_are_masked_as_one() {
        let masker = masker(&[("a", "abcdefgh"), ("b", "efghijkl")]);
        assert_eq!(masker.mask("x abcdefghijkl y"), "x **** y");
        assert_eq!(masker.mask("abcdefgh"), "****");
        assert_eq!(masker.mask("abcdefghabcdefgh"), "****");
        assert_eq!(masker.mask("nothing here"), "nothing here");
    }

    #[test]
    fn what_stands_beside_a_secret_stays() {
        let masker = masker(&[("pin", "123"), ("id", "12345678")]);
        assert_eq!(masker.mask(r#"{"pin": 123, "n": 123}"#), r#"{"pin": ****, "n": 123}"#);
        assert_eq!(masker.mask("pin=1234 112345678 12345678."), "pin=1234 112345678 ****.");
    }

    #[test]
    fn fields_are_masked_at_any_depth() {
        let masker = masker(&[("token", "s3cr3t-token")]);
        let fields = json!({"s3cr3t-token": [{"a": "Bearer s3cr3t-token"}], "n": 1});
        let clean = masker.fields(fields.as_object().expect("an object").clone());
        assert_eq!(Value::Object(clean), json!({"****": [{"a": "Bearer ****"}], "n": 1}));
    }

    #[test]
    fn a_thousand_renewals_stay_small_and_the_newest_are_masked() {
        let token = |n: usize| {
            let digits = (0..600).map(|at| (at * 7919 + n * 104_729) % 251);
            digits.map(|digit| format!("{digit:02x}")).collect::<Vec<_>>().concat()
        };
        let mut masker = masker(&[("static_token", &token(1_000_000))]);
        let refresh = "r3fresh-token-that-stays";
        for n in 0..1_000 {
            let named = |name: &str, value: String| (name.to_owned(), value);
            masker.add([named("access_token", token(n)), named("refresh_token", refresh.to_owned())], false);
        }
        assert!(masker.known.len() < 1_003);
        for secret in [token(999), token(900), token(1_000_000), refresh.to_owned()] {
            assert_eq!(masker.mask(&format!("a {secret} b")), "a **** b");
        }
    }

    #[test]
    fn a_secret_of_megabytes_is_masked_in_whole_and_in_part() {
        let large: String = (0..2_000_000_u32)
            .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 28) as u8))
            .collect();
        let masker = masker(&[("key", &large)]);
        assert_eq!(masker.mask(&format!("a {} b", &large[..6_400])), "a **** b");
        assert_eq!(masker.mask(&large), "****");
    }

    #[test]
    fn what_a_long_secret_has_in_common_with_others_stays() {
        let file = json!({"type": "service_account", "token_uri": "https://oauth2.googleapis.com/token", "private_key": "x".repeat(90)});
        let masker = masker(&[("credentials", &file.to_string())]);
        let message = "POST https://oauth2.googleapis.com/token failed";
        assert_eq!(masker.mask(message), message);
        assert_eq!(masker.mask(&format!("config {file}")), "config ****");
    }

    #[test]
    fn a_piece_that_ends_within_a_character_is_masked_to_its_end() {
        let secret = "\u{20ac}\u{e4}\u{1f600}".repeat(30);
        let masker = masker(&[("password", &secret)]);
        let some = &secret[9..9 * 12];
        assert!(masker.mask(some).contains(MASK));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_secret_is_left(
            secret in "[a-z\u{e4}/+\"'\\\\ ]{4,9}#[a-z0-9]{3,9}", before in "[a-z{\":= ]{0,9}", after in "[a-z}\", ]{0,9}"
        ) {
            let masker = masker(&[("password", &secret)]);
            let json = Value::from(secret.as_str()).to_string();
            for form in [secret.trim().to_owned(), json[1..json.len() - 1].trim().to_owned()] {
                let masked = masker.mask(&format!("{before}{form}{after}")).into_owned();
                prop_assert!(!masked.contains(&form), "{masked}");
                prop_assert!(masked.contains(MASK));
            }
        }

        #[test]
        fn any_text_is_taken(secret in ".{0,30}", text in ".{0,60}") {
            let masker = masker(&[("a", &secret)]);
            let _ = masker.mask(&text);
            let _ = masker.mask(&format!("{text}{secret}{text}a={secret}"));
        }
    }
}

//! Puts `****` in place of secrets, wherever they stand in a text.
//!
//! All secrets of all their forms are found in one pass. Secrets are only ever added: an old token
//! stays a secret after a new one has come.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use aho_corasick::AhoCorasick;
use serde_json::{Map, Value};

use super::forms::{Form, forms};

/// What stands in place of a secret.
const MASK: &str = "****";

/// What the process must not say.
static SECRETS: RwLock<Masker> = RwLock::new(Masker { forms: Vec::new(), finder: None });

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

/// Adds secrets: the names of members and their values.
pub(super) fn hide(secrets: impl IntoIterator<Item = (String, String)>) {
    let mut masker = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    masker.add(secrets);
}

/// The text without secrets.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    let masker = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    masker.mask(text)
}

/// The fields without secrets, at any depth, in names too.
pub(super) fn fields(fields: Map<String, Value>) -> Map<String, Value> {
    let masker = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    if masker.finder.is_none() { fields } else { masker.fields(fields) }
}

#[derive(Debug, Default)]
struct Masker {
    forms: Vec<Form>,
    finder: Option<AhoCorasick>,
}

impl Masker {
    fn add(&mut self, secrets: impl IntoIterator<Item = (String, String)>) {
        let mut all: BTreeSet<Form> = self.forms.drain(..).collect();
        all.extend(secrets.into_iter().flat_map(|(name, value)| forms(&name, &value)));
        self.forms = all.into_iter().collect();
        if !self.forms.is_empty() {
            let finder = AhoCorasick::new(self.forms.iter().map(|form| &form.text));
            self.finder = Some(finder.expect("the forms of a config are far below the automaton's limits"));
        }
    }

    fn mask<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(text) };
        let found = finder.find_overlapping_iter(text);
        let mut ranges: Vec<(usize, usize)> = found
            .filter_map(|found| range(text, &self.forms[found.pattern()], found.start(), found.end()))
            .collect();
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

/// What is to be masked of a form that was found; `None` where it stands inside a word.
fn range(text: &str, form: &Form, start: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let after = bytes.get(end).copied();
    let is_word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if form.word && (is_word(before) && form.kept == 0 || is_word(after)) {
        return None;
    }
    let is_digit = |byte: Option<u8>| form.base64 && byte.is_some_and(is_base64);
    Some((start + form.kept - usize::from(is_digit(before)), end + usize::from(is_digit(after))))
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
            masker.add([((*name).to_owned(), (*value).to_owned())]);
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

    proptest! {
        // Each case builds an automaton.
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

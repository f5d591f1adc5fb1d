//! Mistakes in a `shim.yaml`, told with their place in the file, the path of their key, and what would
//! be right there.

use serde::de::DeserializeOwned;
use serde_saphyr::Error;

/// How alike two keys are from which on one may be meant by the other.
const ALIKE: f64 = 0.75;

/// Reads YAML. The error is such as ``line 3, column 7, `streams.overrides.users.keys`: there is no
/// such key; did you mean `key`?``.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut options = serde_saphyr::Options::default();
    // As in YAML 1.2: `yes` and `on` are text.
    options.strict_booleans = true;
    options.with_snippet = false;
    read_with(text, options)
}

/// The same with other options; they must not ask for snippets.
pub(super) fn read_with<T: DeserializeOwned>(
    text: &str,
    options: serde_saphyr::Options,
) -> Result<T, String> {
    let mut path = None;
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            path = Some(error.path().to_string()).filter(|path| path != "." && path != "?");
            error.into_inner()
        })
    });
    read.map_err(|error| tell(&error, path.as_deref()))
}

fn tell(error: &Error, path: Option<&str>) -> String {
    let place = error.location().filter(|location| location.line() > 0);
    let place = place.map(|location| format!("line {}, column {}", location.line(), location.column()));
    let place: Vec<String> = place.into_iter().chain(path.map(|path| format!("`{path}`"))).collect();
    let what = what(error);
    if place.is_empty() { what } else { format!("{}: {what}", place.join(", ")) }
}

fn what(error: &Error) -> String {
    match error.without_snippet() {
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => format!("the key `{key}` is there twice"),
            None => "a key is there twice".to_owned(),
        },
        Error::MultipleDocuments { .. } => "there is a second document; only one is read".to_owned(),
        error => rewritten(&first_line(&error.to_string())),
    }
}

/// What the YAML crate says in one line, without the place, which stands elsewhere.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it is not YAML");
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = match line.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, what)) => what,
        None => line,
    };
    line.rsplit_once(" at line ").map_or(line, |(what, _)| what).to_owned()
}

fn rewritten(what: &str) -> String {
    if let Some((unknown, known)) = unknown(what, "unknown field `") {
        let nearest =
            nearest(unknown, &known).map_or_else(String::new, |key| format!("; did you mean `{key}`?"));
        return format!("there is no such key{nearest} (known here: {})", known.join(", "));
    }
    if let Some((unknown, known)) = unknown(what, "unknown variant `") {
        return format!("`{unknown}` is none of {}", known.join(", "));
    }
    match what {
        "expected sequence start" => "a list is expected",
        "expected mapping start" => "keys with values are expected",
        "expected string scalar" => "text is expected",
        "externally tagged enum expected scalar or mapping" => "one word is expected",
        "invalid boolean (strict mode expects true/false)" => "true or false is expected",
        "invalid u64" => "a whole number is expected",
        _ => what,
    }
    .to_owned()
}

/// The unknown word and the known ones of serde's error.
fn unknown<'a>(what: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (unknown, rest) = what.strip_prefix(prefix)?.split_once('`')?;
    let known = rest.split_once("expected ").map_or("", |(_, known)| known.trim_start_matches("one of "));
    Some((
        unknown,
        known.split(", ").map(|word| word.trim_matches('`')).filter(|word| !word.is_empty()).collect(),
    ))
}

fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let alike = |key: &&str| strsim::jaro_winkler(&unknown.to_lowercase(), &key.to_lowercase());
    let nearest = known.iter().copied().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&nearest) > ALIKE).then_some(nearest)
}

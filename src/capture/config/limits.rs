//! Which setting of a config limits how much of its source a full refresh reads: a first or last day, a
//! window, a filter. Judged by name and format alone; docs/refreshes.md lists the rule.

use serde_json::Value;

use crate::json::pointer;

/// Words of a name that speak of a time at which reading begins or ends, beside one of [`TIMES`].
const ENDS: &[&str] = &[
    "start",
    "starting",
    "begin",
    "from",
    "since",
    "after",
    "end",
    "until",
    "before",
    "to",
    "min",
    "max",
    "earliest",
    "oldest",
    "replication",
    "sync",
    "backfill",
    "history",
];
/// Words that make a name with one of [`ENDS`] one of a time.
const TIMES: &[&str] = &[
    "date",
    "datetime",
    "day",
    "days",
    "month",
    "months",
    "year",
    "years",
    "time",
    "timestamp",
    "at",
    "epoch",
];
/// Words that limit by themselves.
const ALONE: &[&str] = &[
    "since",
    "lookback",
    "lookbackwindow",
    "filter",
    "filters",
    "where",
    "startdate",
    "enddate",
    "datefrom",
    "dateto",
    "datesince",
    "fromdate",
    "todate",
    "startat",
    "startingat",
];
/// Words that limit where they stand together, in this order.
const PAIRS: &[(&str, &str)] = &[
    ("look", "back"),
    ("days", "back"),
    ("days", "ago"),
    ("past", "days"),
    ("last", "days"),
    ("num", "days"),
    ("number", "days"),
    ("attribution", "window"),
    ("conversion", "window"),
    ("date", "range"),
    ("max", "records"),
    ("max", "rows"),
    ("record", "limit"),
    ("row", "limit"),
    ("search", "query"),
];
/// Formats and beginnings of patterns that only a time has.
const FORMATS: &[&str] = &["date", "date-time"];
const PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}";

/// The JSON pointer of a setting that limits what is read; `None` where none does. `schema` describes the
/// config; null where nothing does.
pub(super) fn limiting(config: &Value, schema: &Value) -> Option<String> {
    let mut path = Vec::new();
    find(config, &[schema], &mut path).then(|| pointer::from_path(&path))
}

/// Looks at the members of an object, and leaves the path of the first that limits.
fn find(config: &Value, schemas: &[&Value], path: &mut Vec<String>) -> bool {
    let Value::Object(members) = config else { return false };
    for (name, value) in members {
        path.push(name.clone());
        let schemas: Vec<&Value> = schemas.iter().flat_map(|schema| properties(schema, name)).collect();
        if says_something(value) && (is_limit(name) || schemas.iter().any(|schema| is_time(schema)))
            || find(value, &schemas, path)
        {
            return true;
        }
        path.pop();
    }
    false
}

/// What a schema and its branches say of a member.
fn properties<'a>(schema: &'a Value, name: &str) -> Vec<&'a Value> {
    let branches =
        ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|keyword| schema[keyword].as_array()).flatten();
    let own = schema["properties"].get(name);
    own.into_iter().chain(branches.flat_map(|branch| properties(branch, name))).collect()
}

fn is_time(schema: &Value) -> bool {
    let format = schema["format"].as_str().is_some_and(|format| FORMATS.contains(&format));
    format || schema["pattern"].as_str().is_some_and(|pattern| pattern.starts_with(PATTERN))
}

/// Whether a value can limit: an empty one, `false` and 0 do not.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(says_something),
    }
}

fn is_limit(name: &str) -> bool {
    let words = words(name);
    let has = |listed: &[&str]| words.iter().any(|word| listed.contains(&word.as_str()));
    let pair = |(first, second): &(&str, &str)| {
        let at = words.iter().position(|word| word == first);
        at.is_some_and(|at| words[at..].iter().any(|word| word == second))
    };
    has(ALONE) || has(ENDS) && has(TIMES) || PAIRS.iter().any(pair)
}

/// The words of a name, in lower case: `startDate` and `start-date` are `start`, `date`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || letter.is_uppercase() && lower_before {
            words.push(String::new());
        }
        lower_before = letter.is_lowercase() || letter.is_numeric();
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn starts_windows_and_filters_limit() {
        for name in [
            "start_date",
            "startDate",
            "START-DATE",
            "startdate",
            "start_datetime",
            "replication_start_date",
            "start_time",
            "since",
            "lookback_window",
            "lookback_window_days",
            "look_back_days",
            "end_date",
            "date_from",
            "from_date",
            "created_after_date",
            "days_back",
            "filters",
            "tweet_filter",
            "custom_where",
            "min_year",
            "conversion_window_days",
            "backfill_days",
            "num_days",
            "max_records",
            "startAt",
            "sync_from_date",
            "history_days",
        ] {
            assert!(is_limit(name), "{name}");
        }
        for name in [
            "token",
            "api_key",
            "host",
            "port",
            "start",
            "page_size",
            "batch_size",
            "timezone",
            "date_format",
            "database",
            "update_date_column",
            "user_agent",
            "send_to",
            "domain",
            "timeout",
            "max_retries",
            "account_ids",
            "sync_mode",
            "slice_days",
            "request_timeout",
            "token_expires_at",
            "ssl_mode",
        ] {
            assert!(!is_limit(name), "{name}");
        }
    }

    #[test]
    fn the_format_counts_whatever_the_name_and_an_empty_value_does_not() {
        let branch = json!({"properties": {"first": {"type": "string", "format": "date-time"}}});
        let schema = json!({"properties": {
            "first": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T.*$"}, "inner": {"oneOf": [{}, branch]},
        }});
        assert_eq!(limiting(&json!({"first": "2020-01-01"}), &schema).as_deref(), Some("/first"));
        assert_eq!(limiting(&json!({"inner": {"first": "2020"}}), &schema).as_deref(), Some("/inner/first"));
        assert_eq!(
            limiting(&json!({"a": {"start_date": "2020"}}), &Value::Null).as_deref(),
            Some("/a/start_date")
        );
        let nothing = json!({"first": "", "start_date": null, "lookback_window": 0, "filters": [], "since": " ", "a": {"filter": {}}});
        assert_eq!(limiting(&nothing, &schema), None);
    }
}

//! What the bookmark of a `FULL_TABLE` stream says: nothing, or how far an interrupted read came.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::protocol::RefreshState;

/// Members of a bookmark that say nothing about which rows the next read sends.
const HARMLESS: [&str; 8] = [
    "version",
    "last_replication_method",
    "xmin",
    "last_pk_fetched",
    "max_pk_values",
    "initial_full_table_complete",
    "replication_method",
    "estuary.dev/rowCounter",
];

/// Members of a tap's state beside those that are bookmarks.
const WRAPPING: [&str; 3] = ["bookmarks", "currently_syncing", "activate_versions"];

/// Old taps keep one flat state of their own, by which they read what is new, although nothing in
/// their catalog says so (fixture tap-fixerio).
pub(super) fn reads_whole(shared: &RawValue) -> bool {
    let shared: Value = serde_json::from_str(shared.get()).unwrap_or_default();
    let members = shared.as_object();
    members.is_none_or(|members| {
        members.contains_key("bookmarks") || members.keys().all(|name| WRAPPING.contains(&name.as_str()))
    })
}

/// MySQL taps go on behind `last_pk_fetched`. PostgreSQL taps go on *at* `xmin`, so rows of that
/// transaction come again, which can be a whole table (singer-protocol.md, 3.3).
pub(super) fn state(bookmark: &RawValue) -> RefreshState {
    let bookmark: Value = serde_json::from_str(bookmark.get()).unwrap_or_default();
    if !bookmark["last_pk_fetched"].is_null() {
        RefreshState::Position { exact: true }
    } else if !bookmark["xmin"].is_null() {
        RefreshState::Position { exact: false }
    } else if says_nothing(&bookmark) {
        RefreshState::Ended
    } else {
        RefreshState::Partial
    }
}

fn says_nothing(bookmark: &Value) -> bool {
    match bookmark {
        Value::Null => true,
        Value::Object(members) => {
            members.iter().all(|(name, value)| value.is_null() || HARMLESS.contains(&name.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_interrupted_read_has_a_position() {
        let of = |text: &str| state(&RawValue::from_string(text.to_owned()).expect("JSON"));
        assert_eq!(of(r#"{"version":1,"xmin":null}"#), RefreshState::Ended);
        assert_eq!(of("{}"), RefreshState::Ended);
        assert_eq!(of("7"), RefreshState::Partial);
        assert_eq!(of(r#"{"replication_key_value":"2024-01-01"}"#), RefreshState::Partial);
        assert_eq!(of(r#"{"xmin":513}"#), RefreshState::Position { exact: false });
        assert_eq!(
            of(r#"{"last_pk_fetched":{"id":3},"max_pk_values":{"id":9}}"#),
            RefreshState::Position { exact: true }
        );
    }

    #[test]
    fn a_flat_state_is_a_cursor() {
        let of = |text: &str| reads_whole(&RawValue::from_string(text.to_owned()).expect("JSON"));
        assert!(of("{}") && of(r#"{"bookmarks":{},"custom":1}"#) && of(r#"{"currently_syncing":null}"#));
        assert!(!of(r#"{"start_date":"2024-01-01"}"#));
    }
}

//! What the bookmark of a `FULL_TABLE` stream says: nothing, or how far an interrupted read came.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::protocol::RefreshState;

/// Members of a bookmark that say nothing about which rows the next read sends.
const HARMLESS: [&str; 7] = [
    "version",
    "last_replication_method",
    "xmin",
    "last_pk_fetched",
    "max_pk_values",
    "initial_full_table_complete",
    "replication_method",
];

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
}

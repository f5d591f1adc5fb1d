//! Positions that a tap keeps under other names than those of bound streams: by repository, account or
//! parent. A stream that begins would skip its older rows if it went by one of them.

use serde_json::value::RawValue;

use super::state::{BOOKMARKS, is_of_the_tap, object, pair};
use crate::json::members::{Member, Members, is_blank, member};

/// What is left of a shared part for streams that begin.
pub(super) struct Left {
    /// The shared part without what clearly belongs to streams that begin.
    pub(super) shared: Box<RawValue>,
    /// The other names under which it holds positions.
    pub(super) positions: Vec<String>,
}

/// Takes from a shared part what clearly belongs to streams that begin: bookmarks named `STREAM_…`, and
/// members of their name inside a bookmark, as in `{"org/repo": {"STREAM": …}}`. `others` are the names
/// of the tap's other streams, whose bookmarks stay.
pub(super) fn without(shared: &RawValue, begins: &[&str], others: &[&str]) -> Left {
    let mut positions = Vec::new();
    let mut strip = |members: &str| {
        let kept = Members::new(members).filter_map(|found| {
            if is_of_the_tap(&found) || begins.contains(&&*found.name) {
                return Some(pair(&found));
            }
            let known = others.contains(&&*found.name);
            if !known && owner(&found.name, begins, others).is_some_and(|name| begins.contains(&name)) {
                return None;
            }
            let value = if known { found.value.to_owned() } else { without_members(&found, begins) };
            if !is_blank(&value) {
                positions.push(found.name.clone().into_owned());
            }
            Some((found.raw_name.to_owned(), value))
        });
        object(&kept.collect::<Vec<_>>())
    };
    let text = match member(shared.get(), BOOKMARKS) {
        Some(bookmarks) if bookmarks.value.starts_with('{') => {
            let stripped = strip(bookmarks.value);
            let members = Members::new(shared.get()).map(|found| match &*found.name {
                BOOKMARKS => (found.raw_name.to_owned(), stripped.clone()),
                _ => pair(&found),
            });
            object(&members.collect::<Vec<_>>())
        }
        Some(_) => shared.get().to_owned(),
        None => strip(shared.get()),
    };
    Left { shared: RawValue::from_string(text).unwrap_or_else(|_| shared.to_owned()), positions }
}

/// The stream whose name a bookmark's name begins with; the longest where there are several.
fn owner<'a>(bookmark: &str, begins: &[&'a str], others: &[&'a str]) -> Option<&'a str> {
    let owns = |name: &&&str| bookmark.strip_prefix(**name).is_some_and(|rest| rest.starts_with('_'));
    begins.iter().chain(others).filter(owns).max_by_key(|name| name.len()).copied()
}

/// The value of a bookmark without the members that are named as one of these streams.
fn without_members(bookmark: &Member<'_>, streams: &[&str]) -> String {
    if !bookmark.value.starts_with('{') {
        return bookmark.value.to_owned();
    }
    let kept = Members::new(bookmark.value).filter(|inner| !streams.contains(&&*inner.name));
    object(&kept.map(|inner| pair(&inner)).collect::<Vec<_>>())
}

/// Warns that streams which begin may go by positions under these names.
pub(super) fn warn(begins: &[&str], positions: &[String]) {
    /// How many names are listed.
    const NAMED: usize = 5;
    let named = |names: Vec<&str>| {
        let listed: Vec<String> = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect();
        let more = if names.len() > NAMED { " and others" } else { "" };
        format!("{}{more}", listed.join(", "))
    };
    let streams = named(begins.to_vec());
    let positions = named(positions.iter().map(String::as_str).collect());
    tracing::warn!(
        "{streams} is to be read from its beginning, but the tap keeps positions under names that no binding has \
         ({positions}); where it goes by one of them, older rows do not come: to read everything again, backfill all \
         bindings of the capture"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(shared: &str, begins: &[&str], others: &[&str]) -> (String, Vec<String>) {
        let shared = RawValue::from_string(shared.to_owned()).expect("JSON");
        let left = without(&shared, begins, others);
        (left.shared.get().to_owned(), left.positions)
    }

    #[test]
    fn what_belongs_to_a_stream_that_begins_is_taken_along() {
        let repositories =
            r#"{"bookmarks":{"org/repo":{"commits":{"since":"2026"},"issues":{"since":"2026"}}},"x":null}"#;
        assert_eq!(
            left(repositories, &["commits"], &["issues"]),
            (
                r#"{"bookmarks":{"org/repo":{"issues":{"since":"2026"}}},"x":null}"#.to_owned(),
                vec!["org/repo".to_owned()]
            )
        );
        let only = r#"{"bookmarks":{"org/repo":{"commits":{"since":"2026"}}}}"#;
        assert_eq!(
            left(only, &["commits"], &[]),
            (r#"{"bookmarks":{"org/repo":{}}}"#.to_owned(), Vec::new())
        );
        let prefixed = r#"{"bookmarks":{"ads_123":{"at":1},"ads_sets_9":{"at":2},"ads_sets":{"at":3}}}"#;
        assert_eq!(
            left(prefixed, &["ads"], &["ads_sets"]),
            (
                r#"{"bookmarks":{"ads_sets_9":{"at":2},"ads_sets":{"at":3}}}"#.to_owned(),
                vec!["ads_sets_9".to_owned(), "ads_sets".to_owned()]
            )
        );
    }

    #[test]
    fn flat_states_have_their_positions_at_the_top() {
        let flat = r#"{"start_date":"2026","currently_syncing":null,"versions":{"a":1},"users_eu":7}"#;
        assert_eq!(
            left(flat, &["users"], &[]),
            (
                r#"{"start_date":"2026","currently_syncing":null,"versions":{"a":1}}"#.to_owned(),
                vec!["start_date".to_owned()]
            )
        );
        for silent in [r#"{"bookmarks":null}"#, r#"{"bookmarks":{"parent":{"partitions":[]}}}"#, "{}"] {
            assert!(left(silent, &["users"], &[]).1.is_empty(), "{silent}");
        }
    }
}

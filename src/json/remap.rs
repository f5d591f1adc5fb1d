//! Moves values of a config between the shape that people see and the one that upstream takes, and
//! back again.
//!
//! The meaning is airbyte-to-flow's (flow-protocol.md, 9.3): every value is taken from the config as
//! it was before, moves are done one after the other, and an object that was emptied stays.

use serde_json::{Map, Value};

use super::pointer;

/// One move of a value, as paths of member names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where the value goes; the root means that it is only removed.
    pub to: Vec<String>,
    /// Where it is; never the root.
    pub from: Vec<String>,
}

/// Why a move cannot be done. The texts name places, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemapError {
    /// Nothing is at `from`.
    #[error("nothing is at {0}, from where a value is to be moved")]
    Missing(String),
    /// A value on the way to the place has no members.
    #[error("{0} cannot be reached: a value on the way to it is no object")]
    Blocked(String),
}

/// The config in the shape that upstream takes.
pub fn remap(config: &Value, moves: &[Move]) -> Result<Value, RemapError> {
    let mut mapped = config.clone();
    for step in moves {
        if !step.to.is_empty() {
            let value = query(config, &step.from)
                .ok_or_else(|| RemapError::Missing(pointer::from_path(&step.from)))?;
            if !insert(&mut mapped, &step.to, value.clone()) {
                return Err(RemapError::Blocked(pointer::from_path(&step.to)));
            }
        }
        if take(&mut mapped, &step.from).is_none() && parent(config, &step.from).is_some_and(Value::is_array)
        {
            return Err(RemapError::Blocked(pointer::from_path(&step.from)));
        }
    }
    Ok(mapped)
}

/// The way back: a config of upstream's in the shape that people see. `original` is the config that
/// was mapped; what the mapping removed or covered comes from it.
pub fn restore(upstream: &Value, moves: &[Move], original: &Value) -> Value {
    let mut restored = upstream.clone();
    for step in moves.iter().rev() {
        let value = if step.to.is_empty() {
            query(original, &step.from).cloned()
        } else {
            let taken = take(&mut restored, &step.to);
            match query(original, &step.to) {
                Some(covered) => {
                    insert(&mut restored, &step.to, covered.clone());
                }
                None => drop_created(&mut restored, &step.to, original),
            }
            taken
        };
        if let Some(value) = value {
            insert(&mut restored, &step.from, value);
        }
    }
    restored
}

fn query<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |at, step| match at {
        Value::Object(members) => members.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn parent<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    query(value, path.split_last()?.1)
}

fn query_mut<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |at, step| match at {
        Value::Object(members) => members.get_mut(step),
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Removes a member of an object and gives its value.
fn take(value: &mut Value, path: &[String]) -> Option<Value> {
    let (name, above) = path.split_last()?;
    query_mut(value, above)?.as_object_mut()?.shift_remove(name)
}

/// Puts a value at a place, with the objects above it; false where another value is in the way.
fn insert(root: &mut Value, path: &[String], value: Value) -> bool {
    let mut at = root;
    for step in path {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let below = match at {
            Value::Object(members) => Some(members.entry(step.clone()).or_insert(Value::Null)),
            Value::Array(list) => step.parse::<usize>().ok().and_then(|index| list.get_mut(index)),
            _ => None,
        };
        let Some(below) = below else { return false };
        at = below;
    }
    *at = value;
    true
}

/// Removes the empty objects above a place that the original does not have, or has a null for.
fn drop_created(restored: &mut Value, path: &[String], original: &Value) {
    for depth in (1..path.len()).rev() {
        let above = &path[..depth];
        let empty = query(restored, above).and_then(Value::as_object).is_some_and(Map::is_empty);
        match query(original, above) {
            _ if !empty => return,
            None => _ = take(restored, above),
            Some(was) => {
                if was.is_null() {
                    insert(restored, above, Value::Null);
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn moves(pairs: &[(&str, &str)]) -> Vec<Move> {
        let path = |text: &str| pointer::to_path(text).expect("a pointer");
        pairs.iter().map(|(to, from)| Move { to: path(to), from: path(from) }).collect()
    }

    #[test]
    fn values_move_and_emptied_objects_stay() {
        let config = json!({"credentials": {"client_id": "id", "client_secret": "s"}, "more": 1});
        let map =
            moves(&[("/client_id", "/credentials/client_id"), ("/a/b~1c", "/credentials/client_secret")]);
        let moved = remap(&config, &map).expect("it maps");
        assert_eq!(moved, json!({"credentials": {}, "more": 1, "client_id": "id", "a": {"b/c": "s"}}));
        assert_eq!(restore(&moved, &map, &config), config);
    }

    #[test]
    fn values_come_from_the_config_as_it_was() {
        let config = json!({"a": 1, "b": 2});
        let moved = remap(&config, &moves(&[("/b", "/a"), ("/c", "/b")])).expect("it maps");
        assert_eq!(moved, json!({"c": 2}), "the second move takes the old /b, and removes the new one");
    }

    #[test]
    fn the_root_as_destination_only_removes() {
        let map = moves(&[("", "/gone")]);
        for (config, left) in [(json!({"gone": 1, "kept": 2}), json!({"kept": 2})), (json!({}), json!({}))] {
            let moved = remap(&config, &map).expect("it maps");
            assert_eq!(moved, left);
            assert_eq!(restore(&moved, &map, &config), config);
        }
    }

    #[test]
    fn what_cannot_be_moved_is_named_by_its_place() {
        let missing = remap(&json!({"secret": "s3cret"}), &moves(&[("/a", "/b/c")])).expect_err("missing");
        assert_eq!(missing.to_string(), "nothing is at /b/c, from where a value is to be moved");
        let blocked = remap(&json!({"a": "s3cret", "b": 1}), &moves(&[("/a/x", "/b")])).expect_err("blocked");
        assert_eq!(blocked.to_string(), "/a/x cannot be reached: a value on the way to it is no object");
        assert!(
            remap(&json!({"a": [1]}), &moves(&[("/b", "/a/0")])).is_err(),
            "an element cannot be removed"
        );
        assert!(remap(&json!({"a": null}), &moves(&[("/b", "/a")])).is_ok(), "null is a value");
    }

    #[test]
    fn a_value_that_upstream_changed_comes_back_to_its_place() {
        let config =
            json!({"credentials": {"type": "oauth", "refresh_token": "old"}, "refresh_token": "covered"});
        let map = moves(&[("/refresh_token", "/credentials/refresh_token")]);
        let mut moved = remap(&config, &map).expect("it maps");
        moved["refresh_token"] = json!("new");
        let expected =
            json!({"credentials": {"type": "oauth", "refresh_token": "new"}, "refresh_token": "covered"});
        assert_eq!(restore(&moved, &map, &config), expected);
    }

    #[test]
    fn a_null_that_became_an_object_becomes_one_again() {
        let config = json!({"a": {"c": null}, "d": null});
        let map = moves(&[("/d/a", "/a"), ("", "/b")]);
        assert_eq!(restore(&remap(&config, &map).expect("it maps"), &map, &config), config);
    }

    /// Configs with the members a to d on three levels.
    fn config() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<u8>().prop_map(Value::from), Just(json!({}))];
        let object = |inner| prop::collection::btree_map("[a-d]", inner, 0..4);
        let level = move |inner: BoxedStrategy<Value>| {
            prop_oneof![inner.clone(), object(inner).prop_map(|members| json!(members))].boxed()
        };
        object(level(level(leaf.boxed()))).prop_map(|members| json!(members))
    }

    proptest! {
        /// Any moves that do not touch one another can be undone.
        #[test]
        fn the_way_back_undoes_a_mapping(
            config in config(),
            tos in prop::collection::vec(prop::collection::vec("[a-f]", 0..4), 4),
            froms in prop::collection::vec(prop::collection::vec("[a-d]", 1..4), 4),
        ) {
            let mut map: Vec<Move> = Vec::new();
            for (to, from) in tos.into_iter().zip(froms) {
                let near = |a: &[String], b: &[String]| !a.is_empty() && (a.starts_with(b) || b.starts_with(a));
                let free = map.iter().all(|other| {
                    ![&to, &from].iter().any(|path| near(path, &other.from) || (near(path, &other.to) && !other.to.is_empty()))
                });
                if free && !near(&to, &from) {
                    map.push(Move { to, from });
                }
            }
            if let Ok(moved) = remap(&config, &map) {
                prop_assert_eq!(restore(&moved, &map, &config), config);
            }
        }
    }
}

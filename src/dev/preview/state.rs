//! The connector state as Flow keeps it: RFC 7396 patches, applied in the order in which they come.
//!
//! Nulls that are nested in objects vanish, even where a state is replaced; arrays are replaced
//! whole and their content is kept as it is (flow-protocol.md, section 3.2). Text below objects is
//! never parsed, so no number changes.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// Objects that are nested deeper are refused; no connector's state comes near it.
const DEPTH: usize = 100;

/// A state, or none yet.
#[derive(Debug, Clone, Default)]
pub(super) struct State(Option<Node>);

#[derive(Debug, Clone)]
enum Node {
    Object(Vec<(String, Node)>),
    /// An array or a scalar.
    Raw(Box<RawValue>),
}

impl State {
    /// Parses a first state.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let mut state = Self::default();
        state.update(json, false)?;
        Ok(state)
    }

    /// Applies what a checkpoint brings. The error says what is wrong with it, not what it holds.
    pub(super) fn update(&mut self, json: &[u8], merge_patch: bool) -> Result<(), String> {
        let raw: &RawValue = serde_json::from_slice(json).map_err(|_| "is not valid JSON".to_owned())?;
        let patch = Node::parse(raw, DEPTH)?;
        if !merge_patch {
            self.0 = None;
        }
        patch.apply(&mut self.0);
        Ok(())
    }

    /// Whether there is none yet.
    pub(super) fn is_empty(&self) -> bool {
        match &self.0 {
            None => true,
            Some(Node::Object(members)) => members.is_empty(),
            Some(Node::Raw(_)) => false,
        }
    }

    /// As it is sent and printed; `{}` where there is none.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let text = self.0.as_ref().map(serde_json::to_vec);
        text.and_then(Result::ok).unwrap_or_else(|| b"{}".to_vec())
    }
}

impl Node {
    fn parse(raw: &RawValue, depth: usize) -> Result<Self, String> {
        if !raw.get().trim_start().starts_with('{') {
            return Ok(Node::Raw(raw.to_owned()));
        }
        if depth == 0 {
            return Err(format!("is nested deeper than {DEPTH} objects"));
        }
        let Members(members) = serde_json::from_str(raw.get()).map_err(|_| "is not valid JSON".to_owned())?;
        let parse = |(name, value): (String, Box<RawValue>)| Ok((name, Node::parse(&value, depth - 1)?));
        members.into_iter().map(parse).collect::<Result<_, String>>().map(Node::Object)
    }

    fn is_null(&self) -> bool {
        matches!(self, Node::Raw(raw) if raw.get().trim() == "null")
    }

    fn apply(self, target: &mut Option<Node>) {
        if self.is_null() {
            *target = None;
            return;
        }
        let Node::Object(patch) = self else {
            *target = Some(self);
            return;
        };
        let mut members = match target.take() {
            Some(Node::Object(members)) => members,
            _ => Vec::new(),
        };
        for (name, value) in patch {
            let at = members.iter().position(|(known, _)| *known == name);
            let mut member = at.map(|at| std::mem::replace(&mut members[at].1, Node::Object(Vec::new())));
            value.apply(&mut member);
            match (at, member) {
                (Some(at), Some(member)) => members[at].1 = member,
                (Some(at), None) => drop(members.remove(at)),
                (None, Some(member)) => members.push((name, member)),
                (None, None) => {}
            }
        }
        *target = Some(Node::Object(members));
    }
}

/// The members of an object, in order, unparsed.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Raw(raw) => raw.serialize(serializer),
            Node::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn after(updates: &[(&str, bool)]) -> String {
        let mut state = State::default();
        for (json, merge_patch) in updates {
            state.update(json.as_bytes(), *merge_patch).expect("it is valid");
        }
        String::from_utf8(state.to_json()).expect("it is text")
    }

    #[test]
    fn a_patch_merges_and_a_state_replaces() {
        assert_eq!(after(&[]), "{}");
        assert_eq!(
            after(&[(r#"{"a":{"x":1}}"#, true), (r#"{"a":{"y":2}}"#, true)]),
            r#"{"a":{"x":1,"y":2}}"#
        );
        assert_eq!(after(&[(r#"{"a":{"x":1}}"#, true), (r#"{"a":{"y":2}}"#, false)]), r#"{"a":{"y":2}}"#);
        assert_eq!(after(&[(r#"{"a":{"x":1},"b":2}"#, true), (r#"{"a":null}"#, true)]), r#"{"b":2}"#);
    }

    #[test]
    fn nulls_vanish_in_objects_and_stay_in_arrays() {
        let state = r#"{"a":{"x":null},"b":[null,{"c":null}],"d":null}"#;
        assert_eq!(after(&[(state, false)]), r#"{"a":{},"b":[null,{"c":null}]}"#);
        assert_eq!(after(&[(state, true)]), r#"{"a":{},"b":[null,{"c":null}]}"#);
    }

    #[test]
    fn numbers_are_kept_to_the_last_digit() {
        let state = r#"{"lsn":12345678901234567890123,"f":[1.10,1e400],"n":-0.0}"#;
        assert_eq!(after(&[(state, true), ("{}", true)]), state);
    }

    #[test]
    fn too_deep_and_not_json_are_errors() {
        let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert!(State::parse(deep.as_bytes()).is_err());
        assert!(State::parse(b"{").is_err());
    }

    /// RFC 7396 as it is written there.
    fn merge_patch(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let Value::Object(mut target) = (if target.is_object() { target } else { serde_json::json!({}) })
        else {
            return Value::Null;
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                let member = target.remove(name).unwrap_or(Value::Null);
                target.insert(name.clone(), merge_patch(member, value));
            }
        }
        target.into()
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), Just(Value::from("x"))];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn patches_are_those_of_the_rfc(updates in proptest::collection::vec((any_json(), any::<bool>()), 1..6)) {
            let mut state = State::default();
            let mut expected = Value::Null;
            for (update, merge) in &updates {
                state.update(update.to_string().as_bytes(), *merge).expect("it is valid");
                expected = merge_patch(if *merge { expected } else { Value::Null }, update);
            }
            let expected = if expected.is_null() { serde_json::json!({}) } else { expected };
            let actual: Value = serde_json::from_slice(&state.to_json()).expect("it is valid");
            prop_assert_eq!(actual, expected);
        }
    }
}

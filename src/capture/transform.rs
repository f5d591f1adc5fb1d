//! Changes values of records where the write schema or the shim asks for it; all other bytes stay.
//!
//! Flow stops a capture whose document breaks `format: date-time`, and sources print times in many
//! forms. A record whose values conform is passed on as it is. Bindings without such places have no
//! transform at all.

use std::borrow::Cow;

use serde_json::Value;

use super::plan::{Change, Node, Plan};
use crate::json::datetime;
use crate::json::members::{string_end, value_end};

/// Values deeper than this are left alone.
const DEPTH: usize = 128;

/// The changes of one binding's records.
#[derive(Debug)]
pub struct Transform {
    plan: Plan,
    changed: Vec<u8>,
}

impl Transform {
    /// The transform of a binding; `None` where nothing of its records is ever changed. `dates` are
    /// pointers to texts that become the date which they begin with.
    pub fn compile(write_schema: &Value, dates: &[String]) -> Option<Transform> {
        Some(Transform { plan: Plan::compile(write_schema, dates)?, changed: Vec::new() })
    }

    /// The record with its changes: itself where there are none.
    pub fn apply<'a>(&'a mut self, record: &'a [u8]) -> &'a [u8] {
        self.changed.clear();
        let mut walk = Walk { nodes: &self.plan.nodes, text: record, copied: 0, changed: &mut self.changed };
        walk.value(&self.plan.nodes[self.plan.root], skip_blanks(record, 0), DEPTH);
        let copied = walk.copied;
        if copied == 0 {
            return record;
        }
        self.changed.extend_from_slice(&record[copied..]);
        &self.changed
    }
}

struct Walk<'a> {
    nodes: &'a [Node],
    text: &'a [u8],
    /// How much of the text is in `changed`.
    copied: usize,
    changed: &'a mut Vec<u8>,
}

impl Walk<'_> {
    /// Walks the value that begins at `at`; returns where it ends. `None` where the text ends.
    fn value(&mut self, node: &Node, at: usize, depth: usize) -> Option<usize> {
        let end = match self.text.get(at)? {
            b'{' if depth > 0 => return self.object(node, at, depth),
            b'[' if depth > 0 => return self.array(node, at, depth),
            b'"' => string_end(self.text, at)?,
            _ => value_end(self.text, at)?,
        };
        if let Some(change) = node.change
            && let Some(new) = changed(change, self.text.get(at..end)?)
        {
            self.replace(at, end, &new);
        }
        Some(end)
    }

    fn object(&mut self, node: &Node, at: usize, depth: usize) -> Option<usize> {
        let mut at = skip_blanks(self.text, at + 1);
        loop {
            match self.text.get(at)? {
                b'}' => return Some(at + 1),
                b',' => {
                    at = skip_blanks(self.text, at + 1);
                    continue;
                }
                _ => {}
            }
            let name_end = string_end(self.text, at)?;
            let below = node.member(&unescaped(self.text.get(at..name_end)?)?);
            let colon = skip_blanks(self.text, name_end);
            let start = skip_blanks(self.text, colon + 1);
            let end = self.below(below, start, depth)?;
            at = skip_blanks(self.text, end);
        }
    }

    fn array(&mut self, node: &Node, at: usize, depth: usize) -> Option<usize> {
        let mut at = skip_blanks(self.text, at + 1);
        loop {
            match self.text.get(at)? {
                b']' => return Some(at + 1),
                b',' => at = skip_blanks(self.text, at + 1),
                _ => {
                    let end = self.below(node.items, at, depth)?;
                    at = skip_blanks(self.text, end);
                }
            }
        }
    }

    fn below(&mut self, node: Option<usize>, at: usize, depth: usize) -> Option<usize> {
        match node {
            Some(node) => self.value(&self.nodes[node], at, depth - 1),
            None => value_end(self.text, at),
        }
    }

    fn replace(&mut self, start: usize, end: usize, new: &str) {
        self.changed.extend_from_slice(&self.text[self.copied..start]);
        self.changed.push(b'"');
        self.changed.extend_from_slice(new.as_bytes());
        self.changed.push(b'"');
        self.copied = end;
    }
}

/// The new text of a value; `None` where it stays.
fn changed(change: Change, value: &[u8]) -> Option<String> {
    match (change, value.first()?) {
        (_, b'"') => {
            let text = unescaped(value)?;
            let text = std::str::from_utf8(&text).ok()?;
            match change {
                Change::DateTime { .. } => datetime::from_text(text),
                Change::Date => datetime::date_prefix(text).map(str::to_owned),
            }
        }
        (Change::DateTime { numbers: true }, b'-' | b'0'..=b'9') => {
            datetime::from_number(std::str::from_utf8(value).ok()?)
        }
        _ => None,
    }
}

/// The text of a string, which is given with its quotes.
fn unescaped(string: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = string.get(1..string.len().checked_sub(1)?)?;
    if memchr::memchr(b'\\', inner).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let text: String = serde_json::from_slice(string).ok()?;
    Some(Cow::Owned(text.into_bytes()))
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Number, json};

    use super::*;

    fn transformed(schema: &Value, record: &str) -> String {
        match Transform::compile(schema, &[]) {
            Some(mut transform) => {
                String::from_utf8(transform.apply(record.as_bytes()).to_owned()).expect("UTF-8")
            }
            None => record.to_owned(),
        }
    }

    fn time() -> Value {
        json!({"type": ["string", "null"], "format": "date-time"})
    }

    #[test]
    fn only_the_values_change() {
        let schema = json!({"properties": {"a": time(), "list": {"items": {"properties": {"at": time()}}}, "all": {"type": "array", "items": time()}}});
        for (record, expected) in [
            (
                r#"{ "n" : 1.50, "a" : "2023-01-30 02:34:15" , "s":"\u00e9\/" }"#,
                r#"{ "n" : 1.50, "a" : "2023-01-30T02:34:15Z" , "s":"\u00e9\/" }"#,
            ),
            (
                r#"{"list":[{"at":1685098188123},{"at":null,"x":[1]},7]}"#,
                r#"{"list":[{"at":"2023-05-26T10:49:48.123Z"},{"at":null,"x":[1]},7]}"#,
            ),
            (
                r#"{"all":["2023-01-30","x",18446744073709551615,true,{}]}"#,
                r#"{"all":["2023-01-30T00:00:00Z","x",18446744073709551615,true,{}]}"#,
            ),
            (
                r#"{"a":"2023-01-30","a":"2023-01-31"}"#,
                r#"{"a":"2023-01-30T00:00:00Z","a":"2023-01-31T00:00:00Z"}"#,
            ),
            (r#"{"\u0061":"2023\u002d01-30"}"#, r#"{"\u0061":"2023-01-30T00:00:00Z"}"#),
        ] {
            assert_eq!(transformed(&schema, record), expected);
        }
        for record in [
            r#"{"a":"2023-01-30T02:34:15Z","b":"2023-01-30","list":{"at":"2023-01-30"}}"#,
            r#"{"a":{"a":"2023-01-30"},"x":{"a":"2023-01-30"}}"#,
            "{}",
            "{\"a\":",
            "",
        ] {
            assert_eq!(transformed(&schema, record), record);
        }
    }

    #[test]
    fn places_are_found_through_every_keyword() {
        let before = r#"{"a":"2023-01-30"}"#;
        let after = r#"{"a":"2023-01-30T00:00:00Z"}"#;
        let own = json!({"properties": {"a": time()}});
        for schema in [
            json!({"allOf": [own]}),
            json!({"$ref": "#/$defs/x", "$defs": {"x": own}}),
            json!({"additionalProperties": time()}),
            json!({"patternProperties": {"^a$": time()}}),
            json!({"properties": {"a": {"anyOf": [{"type": "null"}, time()]}}}),
        ] {
            assert_eq!(transformed(&schema, before), after, "{schema}");
        }
        let shadowed = json!({"properties": {"a": {}}, "additionalProperties": time()});
        assert_eq!(transformed(&shadowed, before), before);
        let number_or_time = json!({"properties": {"a": {"oneOf": [{"type": "number"}, time()]}}});
        assert_eq!(transformed(&number_or_time, r#"{"a":1685098188}"#), r#"{"a":1685098188}"#);
    }

    #[test]
    fn recursive_schemas_reach_any_depth_and_deep_records_are_no_danger() {
        let schema = json!({"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"at": time(), "next": {"$ref": "#/$defs/n"}}}}});
        assert_eq!(
            transformed(&schema, r#"{"next":{"next":{"at":"2023-01-30"}}}"#),
            r#"{"next":{"next":{"at":"2023-01-30T00:00:00Z"}}}"#
        );
        let deep = r#"{"next":"#.repeat(100_000) + "{}" + &"}".repeat(100_000);
        assert_eq!(transformed(&schema, &deep), deep);
    }

    #[test]
    fn bindings_without_such_places_have_no_transform() {
        for schema in [
            json!({}),
            Value::Null,
            json!({"properties": {"a": {"type": "string"}}, "x-source-schema": {"format": "date-time"}}),
        ] {
            assert!(Transform::compile(&schema, &[]).is_none(), "{schema}");
        }
    }

    #[test]
    fn the_shim_cuts_times_to_dates() {
        let dates = ["/p/at".to_owned(), "/l/*/at".to_owned()];
        let schema = json!({"properties": {"p": {"properties": {"at": time(), "b": time()}}}});
        let mut transform = Transform::compile(&schema, &dates).expect("a transform");
        assert_eq!(
            transform.apply(br#"{"p":{"at":"2023-03-05T15:41:54Z","b":"2023-03-05"},"l":[{"at":"2023-03-05 x"}],"at":"2023-03-05 x"}"#),
            br#"{"p":{"at":"2023-03-05","b":"2023-03-05T00:00:00Z"},"l":[{"at":"2023-03-05"}],"at":"2023-03-05 x"}"#
        );
    }

    /// The same with a tree, place by place, as the predecessor did it.
    fn slowly(schema: &Value, value: &mut Value) {
        if schema["format"] == "date-time" {
            let new = match &*value {
                Value::String(text) => datetime::from_text(text),
                Value::Number(number) => datetime::from_number(&number.to_string()),
                _ => None,
            };
            if let Some(new) = new {
                *value = new.into();
            }
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(member) = value.get_mut(name) {
                slowly(below, member);
            }
        }
        if let Some(items) = schema.get("items") {
            value.as_array_mut().into_iter().flatten().for_each(|element| slowly(items, element));
        }
    }

    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(time()), Just(json!({"type": "string"})), Just(json!({}))];
        leaf.prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|items| json!({ "items": items })),
                prop::collection::vec(("[ab]", inner), 1..3).prop_map(
                    |named| json!({"properties": named.into_iter().collect::<serde_json::Map<_, _>>()})
                ),
            ]
        })
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::Number)),
            (0..2_000_000_000_000_i64).prop_map(Value::from),
            "2023-0[1-9]-[12][0-9]([T ]1[0-9]:[0-5][0-9](:00)?(Z|\\+02:00)?)?".prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[abc]", inner), 0..3)
                    .prop_map(|named| Value::Object(named.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_walk_does_what_a_tree_would(schema in schemas(), value in values()) {
            // A record is an object.
            let (schema, value) = (json!({"properties": {"v": schema}}), json!({"v": value}));
            let text = value.to_string();
            let mut expected = value.clone();
            slowly(&schema, &mut expected);
            let fast = transformed(&schema, &text);
            if expected == value {
                prop_assert_eq!(&fast, &text);
            }
            prop_assert_eq!(serde_json::from_str::<Value>(&fast).expect("JSON"), expected);
        }

        #[test]
        fn junk_never_panics(schema in schemas(), text in "[{}\\[\\]\",:ab\\\\0-9 é]{0,40}") {
            let _ = transformed(&schema, &text);
        }
    }
}

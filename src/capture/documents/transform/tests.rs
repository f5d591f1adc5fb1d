use proptest::prelude::*;
use serde_json::{Number, json};

use super::*;
use crate::capture::protocol::Route;
use crate::json::envelope::{Envelopes, Part, Rule, Step, Watch, Watched};

fn transformed(schema: &Value, record: &str) -> String {
    match Transform::compile(schema, &[]) {
        Some(mut transform) => {
            String::from_utf8(transform.apply(record.as_bytes(), None).to_owned()).expect("UTF-8")
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
        transform.apply(br#"{"p":{"at":"2023-03-05T15:41:54Z","b":"2023-03-05"},"l":[{"at":"2023-03-05 x"}],"at":"2023-03-05 x"}"#, None),
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

const DATA: Part = Part::Value(0);
const RULES: &[Rule] = &[
    Rule { of: Part::Message, name: "stream", is: Part::Stream },
    Rule { of: Part::Message, name: "data", is: DATA },
];

/// The records with their changes, as they come one after the other, and whether each was walked.
fn watched(schema: &Value, lines: &[String]) -> Vec<(String, bool)> {
    let mut transforms = [Transform::compile(schema, &[]), None];
    let route = |name: &str, stream| Route { namespace: None, name: name.to_owned(), stream };
    let routes = [route("s", 0), route("other", 1)];
    let mut envelopes = Envelopes::new(RULES);
    envelopes.watch(DATA, Box::new(Places::of(&transforms, &routes).expect("places")));
    let transform = transforms[0].as_mut().expect("a transform");
    let mut changed = |line: &String| {
        let parts = envelopes.read(line.as_bytes()).expect(line);
        let spots = parts.watched.then(|| envelopes.spots());
        let changed = transform.apply(parts.values[0].expect("data"), spots);
        (String::from_utf8(changed.to_owned()).expect("UTF-8"), !parts.watched)
    };
    lines.iter().map(&mut changed).collect()
}

#[test]
fn records_that_were_watched_are_not_walked() {
    let schema = json!({"properties": {"a": time(), "n": {"properties": {"at": time()}}, "m": {"properties": {"at": time()}}}});
    let data =
        r#"{"a":"2023-01-30","n":{"at":1685098188123},"b":["2023-01-30"],"m":{"\u0061t":"2023-01-31"}}"#;
    let after = r#"{"a":"2023-01-30T00:00:00Z","n":{"at":"2023-05-26T10:49:48.123Z"},"b":["2023-01-30"],"m":{"\u0061t":"2023-01-31T00:00:00Z"}}"#;
    let ordinary = format!(r#"{{"stream":"s","data":{data}}}"#);
    let late = format!(r#"{{"data":{data},"stream":"s"}}"#);
    let other = r#"{"stream":"other","data":{"a":"2023-01-30"}}"#.to_owned();
    let lines = [ordinary.clone(), ordinary.clone(), late.clone(), other, late, ordinary];
    let walked = [false, false, false, false, true, false];
    for (number, (text, by_walk)) in watched(&schema, &lines).into_iter().enumerate() {
        assert_eq!(by_walk, walked[number], "{number}");
        if number != 3 {
            assert_eq!(text, after, "{number}");
        }
    }
}

#[test]
fn objects_that_are_used_as_maps_are_walked() {
    let schema = json!({"properties": {"map": {"additionalProperties": time()}, "a": time()}});
    let line = |number: u32| {
        let data = format!(r#"{{"a":"2023-01-30","map":{{"k{number}":"2023-01-30"}}}}"#);
        format!(r#"{{"stream":"s","data":{data}}}"#)
    };
    let lines: Vec<String> = (0..1100).map(line).collect();
    let records = watched(&schema, &lines);
    for (number, (text, _)) in records.iter().enumerate() {
        let expected =
            format!(r#"{{"a":"2023-01-30T00:00:00Z","map":{{"k{number}":"2023-01-30T00:00:00Z"}}}}"#);
        assert_eq!(*text, expected);
    }
    assert!(!records[0].1 && records[1099].1);
}

#[test]
fn streams_of_one_name_are_walked() {
    let schema = json!({"properties": {"a": time()}});
    let transforms = [Transform::compile(&schema, &[]), None];
    let route = |namespace: &str, stream| Route {
        namespace: Some(namespace.to_owned()),
        name: "s".to_owned(),
        stream,
    };
    let places = Places::of(&transforms, &[route("x", 0), route("y", 1)]).expect("places");
    assert_eq!(places.watches("s", &[&Step::Member(b"b".as_slice().into())]), Watched::Unclear);
    assert_eq!(places.watches("t", &[&Step::Member(b"a".as_slice().into())]), Watched::No);
}

proptest! {
    #[test]
    fn what_was_watched_is_what_a_walk_finds(schema in schemas(), values in prop::collection::vec(values(), 1..8)) {
        let schema = json!({"properties": {"v": schema, "w": time()}});
        let records: Vec<String> = values.into_iter().map(|value| json!({"v": value}).to_string()).collect();
        let lines: Vec<String> = records.iter().map(|record| format!(r#"{{"stream":"s","data":{record}}}"#)).collect();
        for (record, (text, walked)) in records.iter().zip(watched(&schema, &lines)) {
            prop_assert_eq!(text, transformed(&schema, record));
            prop_assert!(!walked);
        }
    }

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

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

const DATA: Part = Part::Value(0);
const RULES: &[Rule] = &[
    Rule { of: Part::Message, name: "record", is: Part::Container },
    Rule { of: Part::Container, name: "stream", is: Part::Stream },
    Rule { of: Part::Container, name: "data", is: DATA },
    Rule { of: DATA, name: "_meta", is: Part::Value(1) },
];

fn read<'a>(envelopes: &mut Envelopes, line: &'a str) -> Option<Parts<'a>> {
    envelopes.read(line.as_bytes())
}

fn text(part: Option<&[u8]>) -> Option<&str> {
    part.map(|part| std::str::from_utf8(part).expect("UTF-8"))
}

#[test]
fn parts_are_cut_out_in_any_order_and_with_blanks() {
    let mut envelopes = Envelopes::new(RULES);
    for line in [
        r#"{"type":"RECORD","record":{"stream":"users","data":{"id":1,"_meta":{"a":[]}},"at":7}}"#,
        r#"{"type":"RECORD","record":{"stream":"users","data":{"id":1,"_meta":{"a":[]}},"at":7}}"#,
        r#" { "record" : { "at":[1, {"_meta": 0}], "data" :{"id":1,"_meta":{"a":[]}} , "stream": "users" } } "#,
    ] {
        let parts = read(&mut envelopes, line).expect(line);
        assert_eq!(text(parts.stream), Some("\"users\""), "{line}");
        assert_eq!(text(parts.values[0]), Some(r#"{"id":1,"_meta":{"a":[]}}"#), "{line}");
        assert_eq!(text(parts.values[1]), Some(r#"{"a":[]}"#), "{line}");
    }
}

#[test]
fn a_name_counts_only_in_its_place() {
    let mut envelopes = Envelopes::new(RULES);
    let first = r#"{"record":{"data":{"a":1,"_meta":2}}}"#;
    let second = r#"{"record":{"data":{"a":{"_meta":2}}}}"#;
    for _ in 0..2 {
        assert!(read(&mut envelopes, first).expect("parts").values[1].is_some());
        assert!(read(&mut envelopes, second).expect("parts").values[1].is_none());
    }
}

#[test]
fn what_is_doubtful_is_left_to_a_parser() {
    let mut envelopes = Envelopes::new(RULES);
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(80), "]".repeat(80));
    for line in [
        r#"{"record":{"data":{"\u005fmeta":1}}}"#,
        r#"{"record":{"data":{},"data":{}}}"#,
        r#"{"record":{"data":[1]}}"#,
        "{\"a\":\"\t\"}",
        "{\"a\":1}x",
        "0[",
        "{\"a\":1}{",
        "{\"a\":1}\"x\"",
        "",
        &deep,
    ] {
        assert_eq!(read(&mut envelopes, line), None, "{line}");
    }
}

#[test]
fn a_gap_that_begins_like_another_one_is_told_from_it() {
    let mut envelopes = Envelopes::new(RULES);
    for _ in 0..3 {
        for value in ["null", "{}", r#"{"y":1}"#, "[]", "[1]", r#"[[1],{"z":[2,3]},4]"#, r#""text""#, "{ }"] {
            let data = format!(r#"{{"x":{value},"z":1}}"#);
            let line = format!(r#"{{"record":{{"stream":"s","data":{data}}}}}"#);
            assert_eq!(text(read(&mut envelopes, &line).expect(&line).values[0]), Some(&*data), "{line}");
        }
    }
}

#[test]
fn half_a_surrogate_pair_in_a_name_is_noticed_each_time() {
    let mut envelopes = Envelopes::new(RULES);
    for _ in 0..3 {
        let parts = read(&mut envelopes, r#"{"x":{"\ud800":1},"y":2}"#).expect("parts");
        assert!(parts.surrogates);
        assert!(!read(&mut envelopes, r#"{"x":{"a":1},"y":2}"#).expect("parts").surrogates);
    }
}

#[test]
fn maps_with_ever_new_names_are_read() {
    let mut envelopes = Envelopes::new(RULES);
    for number in 0..5_000 {
        let line =
            format!(r#"{{"record":{{"data":{{"map":{{"k{number}":1,"l{number}":[2]}},"_meta":3}}}}}}"#);
        assert_eq!(text(read(&mut envelopes, &line).expect("parts").values[1]), Some("3"));
    }
}

#[test]
fn streams_are_remembered_apart() {
    let mut envelopes = Envelopes::new(RULES);
    let line =
        |stream: &str, name: &str| format!(r#"{{"record":{{"stream":"{stream}","data":{{"{name}":1}}}}}}"#);
    for _ in 0..3 {
        for (stream, name) in [("a", "x"), ("b", "y")] {
            let line = line(stream, name);
            read(&mut envelopes, &line).expect("parts");
        }
    }
    assert_eq!(envelopes.groups.len(), 3);
}

#[test]
fn streams_beyond_those_that_are_told_apart_are_read() {
    let mut envelopes = Envelopes::new(RULES);
    for number in (0..STREAMS + 10).chain(STREAMS - 10..STREAMS + 10) {
        let line = format!(r#"{{"record":{{"stream":"s{number}","data":{{"id":{number}}}}}}}"#);
        let parts = read(&mut envelopes, &line).expect("parts");
        assert_eq!(text(parts.stream), Some(&*format!("\"s{number}\"")));
        assert_eq!(text(parts.values[0]), Some(&*format!("{{\"id\":{number}}}")));
    }
    assert_eq!(envelopes.groups.len(), STREAMS + 1);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[\"\\\\{}a,: é]{0,20}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop_oneof![
            Just("record"),
            Just("stream"),
            Just("data"),
            Just("_meta"),
            Just("a long name, longer than is remembered")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5).prop_map(|members| Value::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn parts_are_those_of_a_parser(values in prop::collection::vec(any_value(), 1..6)) {
        let mut envelopes = Envelopes::new(RULES);
        for value in values {
            let line = value.to_string();
            let Some(parts) = read(&mut envelopes, &line) else { continue };
            let parsed = |part: Option<&[u8]>| part.map(|part| serde_json::from_slice::<Value>(part).expect("JSON"));
            prop_assert_eq!(parsed(parts.stream), value.pointer("/record/stream").cloned());
            prop_assert_eq!(parsed(parts.values[0]), value.pointer("/record/data").cloned());
            prop_assert_eq!(parsed(parts.values[1]), value.pointer("/record/data/_meta").cloned());
        }
    }

    #[test]
    fn what_is_read_is_json(lines in prop::collection::vec(r#"[{}\[\]",:a0 \\]{0,14}"#, 1..8)) {
        let mut envelopes = Envelopes::new(RULES);
        for line in lines {
            if read(&mut envelopes, &line).is_some() {
                prop_assert!(serde_json::from_str::<&RawValue>(&line).is_ok(), "{}", line);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed(at: prop::sample::Index, byte in 0_u8..128) {
        let mut envelopes = Envelopes::new(RULES);
        let line = br#"{"record":{"stream":"users","data":{"id":1,"n":[true,{"a":null}],"_meta":{"a":"b"}}}}"#.to_vec();
        envelopes.read(&line).expect("parts");
        let mut changed = line.clone();
        let at = at.index(line.len());
        changed[at] = byte;
        if envelopes.read(&changed).is_some() {
            prop_assert!(serde_json::from_slice::<&RawValue>(&changed).is_ok());
        }
        prop_assert!(envelopes.read(&line).is_some());
    }
}

proptest! {
    #[test]
    fn a_record_that_lacks_what_all_had_is_novel(records in prop::collection::vec(prop::collection::vec(any::<bool>(), 5), 1..12)) {
        let mut envelopes = Envelopes::new(RULES);
        let mut always = [true; 5];
        for record in &records {
            let members: Vec<String> = record
                .iter()
                .enumerate()
                .filter(|(_, there)| **there)
                // Of each kind one: scalars, what is empty, and what holds something.
                .map(|(at, _)| format!("\"m{at}\":{}", ["1", "{}", "[]", "{\"x\":1}", "[{\"y\":null}]"][at]))
                .collect();
            let line = format!(r#"{{"record":{{"stream":"s","data":{{{}}}}}}}"#, members.join(","));
            let novel = read(&mut envelopes, &line).expect("it is plain").novel;
            let lacks = record.iter().zip(always).any(|(there, always)| always && !there);
            prop_assert!(novel || !lacks, "{line}");
            always.iter_mut().zip(record).for_each(|(always, there)| *always &= there);
        }
        let line = r#"{"record":{"stream":"s","data":{"m0":1}}}"#;
        read(&mut envelopes, line).expect("it is plain");
        prop_assert!(!read(&mut envelopes, line).expect("it is plain").novel, "known by now");
    }
}

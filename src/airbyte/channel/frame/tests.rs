//! Frames against an encoder that prost derives from the types as Airbyte describes them.

use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Record(Record),
    #[prost(string, tag = "2")]
    Line(String),
    #[prost(message, tag = "3")]
    Probe(Probe),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Probe {}

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(string, optional, tag = "1")]
    namespace: Option<String>,
    #[prost(string, tag = "2")]
    stream: String,
    #[prost(uint64, tag = "3")]
    emitted_at: u64,
    #[prost(string, tag = "4")]
    partition: String,
    #[prost(message, repeated, tag = "5")]
    data: Vec<Sent>,
    #[prost(message, optional, tag = "6")]
    meta: Option<Probe>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sent {
    #[prost(oneof = "SentValue", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    value: Option<SentValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum SentValue {
    #[prost(bool, tag = "1")]
    Boolean(bool),
    #[prost(string, tag = "2")]
    Text(String),
    #[prost(sint64, tag = "3")]
    Integer(i64),
    #[prost(string, tag = "4")]
    BigInteger(String),
    #[prost(double, tag = "5")]
    Number(f64),
    #[prost(string, tag = "6")]
    BigDecimal(String),
    #[prost(sint64, tag = "7")]
    Date(i64),
    #[prost(message, tag = "8")]
    OffsetTime(OffsetTime),
    #[prost(uint64, tag = "9")]
    Time(u64),
    #[prost(message, tag = "10")]
    OffsetDateTime(OffsetDateTime),
    #[prost(message, tag = "11")]
    LocalDateTime(LocalDateTime),
    #[prost(bytes = "vec", tag = "12")]
    Json(Vec<u8>),
    #[prost(bool, tag = "13")]
    Null(bool),
}

#[derive(Clone, PartialEq, prost::Message)]
struct OffsetTime {
    #[prost(uint64, tag = "1")]
    nanos: u64,
    #[prost(sint32, tag = "2")]
    offset: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OffsetDateTime {
    #[prost(sint64, tag = "1")]
    seconds: i64,
    #[prost(uint32, tag = "2")]
    nano: u32,
    #[prost(sint32, tag = "3")]
    offset: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LocalDateTime {
    #[prost(sint64, tag = "1")]
    days: i64,
    #[prost(uint64, tag = "2")]
    nanos: u64,
}

fn reader(names: &[&str]) -> Frames {
    let route = Route { namespace: None, name: "users".to_owned(), stream: 0 };
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    Frames::new(&[route], std::iter::once(json!({ "properties": properties })))
}

fn frame(data: Vec<Option<SentValue>>) -> Vec<u8> {
    let data = data.into_iter().map(|value| Sent { value }).collect();
    let record = Record {
        stream: "users".to_owned(),
        partition: "ab12".to_owned(),
        emitted_at: 1,
        data,
        ..Record::default()
    };
    Message { kind: Some(Kind::Record(record)) }.encode_to_vec()
}

fn document(names: &[&str], data: Vec<Option<SentValue>>) -> Result<(String, Traits), LineError> {
    let frame = frame(data);
    let mut into = Vec::new();
    match reader(names).read(&frame, &mut into)? {
        Frame::Record { stream: 0, partition: "ab12", traits } => {
            Ok((String::from_utf8(into).expect("UTF-8"), traits))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_get_the_names_of_the_schema_in_order() {
    let values = vec![
        Some(SentValue::Boolean(false)),
        Some(SentValue::Integer(-7)),
        Some(SentValue::Text("say \"é\"\n".to_owned())),
        None,
    ];
    let (text, traits) = document(&["c", "b", "z\"", "a"], values).expect("a record");
    assert_eq!(text, r#"{"a":false,"b":-7,"c":"say \"é\"\n","z\"":null}"#);
    assert_eq!(traits, Traits::default());
    assert_eq!(document(&[], Vec::new()).expect("a record").0, "{}");
}

#[test]
fn every_kind_of_value_is_written() {
    let nanos = 52_245_123_456_000;
    let values = vec![
        SentValue::Boolean(true),
        SentValue::Text(String::new()),
        SentValue::Integer(i64::MIN),
        SentValue::BigInteger("18446744073709551614".to_owned()),
        SentValue::Number(0.5),
        SentValue::BigDecimal("123456789.987654321".to_owned()),
        SentValue::Date(20_367),
        SentValue::OffsetTime(OffsetTime { nanos, offset: 19_800 }),
        SentValue::Time(nanos),
        SentValue::OffsetDateTime(OffsetDateTime {
            seconds: 1_759_761_045,
            nano: 123_456_000,
            offset: -16_200,
        }),
        SentValue::LocalDateTime(LocalDateTime { days: 20_367, nanos }),
        SentValue::Json(br#"{"a":[1]}"#.to_vec()),
        SentValue::Null(true),
        SentValue::Number(f64::NAN),
    ];
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
    let (text, _) = document(&names, values.into_iter().map(Some).collect()).expect("a record");
    let expected = concat!(
        r#"{"a":true,"b":"","c":-9223372036854775808,"d":18446744073709551614,"e":0.5,"f":123456789.987654321,"#,
        r#""g":"2025-10-06","h":"14:30:45.123456+05:30","i":"14:30:45.123456","#,
        r#""j":"2025-10-06T10:00:45.123456-04:30","k":"2025-10-06T14:30:45.123456","l":{"a":[1]},"m":null,"n":null}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn names_are_in_the_order_of_java() {
    // In UTF-16, what is beyond the first plane comes before the private use area.
    let names: Vec<String> =
        columns(&json!({"properties": {"\u{ff5e}": {}, "\u{1f600}": {}, "B": {}, "a": {}}}))
            .iter()
            .map(|column| String::from_utf8(column.head.clone()).expect("UTF-8"))
            .collect();
    assert_eq!(names, ["{\"B\":", ",\"a\":", ",\"\u{1f600}\":", ",\"\u{ff5e}\":"]);
}

#[test]
fn what_a_document_needs_to_know_is_noticed() {
    let marks = |value| document(&["_ab_cdc_deleted_at"], vec![value]).expect("a record").1.deleted;
    assert!(marks(Some(SentValue::Text("2025".to_owned()))));
    assert!(!marks(None) && !marks(Some(SentValue::Null(true))));
    let (_, traits) =
        document(&["_meta"], vec![Some(SentValue::Json(br#"{"a":"\ud800"}"#.to_vec()))]).expect("a record");
    assert!(traits.meta && traits.surrogates);
}

#[test]
fn another_number_of_values_is_an_error() {
    for (names, values) in [(&["a", "b"][..], 1), (&["a"][..], 2), (&[][..], 1)] {
        let error = document(names, vec![None; values]).expect_err("damaged").to_string();
        assert!(error.contains(&format!("{values} values")) && error.contains("discover"), "{error}");
        assert!(error.contains("\"users\""), "{error}");
    }
}

#[test]
fn messages_that_are_no_records() {
    let mut reader = reader(&["a"]);
    let mut into = Vec::new();
    let read = |reader: &mut Frames, kind, into: &mut Vec<u8>| {
        let frame = Message { kind }.encode_to_vec();
        format!("{:?}", reader.read(&frame, into))
    };
    assert_eq!(read(&mut reader, Some(Kind::Probe(Probe {})), &mut into), "Ok(Nothing)");
    assert_eq!(read(&mut reader, None, &mut into), "Ok(Nothing)");
    assert_eq!(read(&mut reader, Some(Kind::Line("{}".to_owned())), &mut into), "Ok(Line)");
    assert_eq!(into, b"{}");
    let strange = Record { stream: "strange".to_owned(), ..Record::default() };
    assert_eq!(read(&mut reader, Some(Kind::Record(strange)), &mut into), "Ok(Unbound(\"strange\"))");
    // Arrow batches, say.
    assert!(reader.read(b"\x22\x01x", &mut into).expect_err("unknown").to_string().contains("kind 4"));
    assert!(reader.read(b"\x0a\x05x", &mut into).is_err());
}

#[test]
fn the_stream_of_a_message_that_is_not_whole_is_told() {
    let whole = frame(vec![Some(SentValue::Text("x".repeat(1000)))]);
    let reader = reader(&["a"]);
    assert_eq!(reader.stream_of(&whole[..20]).as_deref(), Some("users"));
    assert_eq!(reader.stream_of(&whole[..7]), None);
    assert_eq!(reader.stream_of(b"\x12"), None);
}

fn values() -> impl Strategy<Value = (Option<SentValue>, Value)> {
    prop_oneof![
        Just((None, Value::Null)),
        Just((Some(SentValue::Null(true)), Value::Null)),
        any::<bool>().prop_map(|value| (Some(SentValue::Boolean(value)), json!(value))),
        ".{0,40}".prop_map(|value: String| (Some(SentValue::Text(value.clone())), json!(value))),
        any::<i64>().prop_map(|value| (Some(SentValue::Integer(value)), json!(value))),
        any::<u64>().prop_map(|value| (Some(SentValue::BigInteger(value.to_string())), json!(value))),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| (Some(SentValue::Number(value)), json!(value))),
        any::<i32>().prop_map(|value| (
            Some(SentValue::BigDecimal(format!("{value}.25"))),
            json!(f64::from(value) + 0.25 * if value < 0 { -1.0 } else { 1.0 })
        )),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(|list| (
            Some(SentValue::Json(serde_json::to_vec_pretty(&list).expect("JSON"))),
            json!(list)
        )),
    ]
}

proptest! {
    /// Whatever prost encodes is read as what was encoded.
    #[test]
    fn records_are_what_was_sent(sent in prop::collection::vec(values(), 0..20)) {
        let names: Vec<String> = (0..sent.len()).map(|nth| format!("f{nth:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (data, expected): (Vec<_>, Vec<_>) = sent.into_iter().unzip();
        let (text, _) = document(&names, data).expect("a record");
        let expected: serde_json::Map<String, Value> =
            names.iter().map(|name| (*name).to_owned()).zip(expected).collect();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), Value::Object(expected));
    }

    #[test]
    fn junk_never_panics_and_what_is_taken_is_json(
        bytes: Vec<u8>,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut into = Vec::new();
        let mut reader = reader(&["a", "b"]);
        let _ = reader.read(&bytes, &mut into);
        let mut changed = frame(vec![Some(SentValue::Text("abc".to_owned())), Some(SentValue::Date(1))]);
        let at = at.index(changed.len());
        changed[at] = byte;
        into.clear();
        if let Ok(Frame::Record { .. }) = reader.read(&changed, &mut into) {
            prop_assert!(serde_json::from_slice::<Value>(&into).is_ok());
        }
        let _ = reader.stream_of(&changed[..at]);
    }
}

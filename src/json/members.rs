//! Walks the members of a JSON object that is given as text, without a tree.
//!
//! The text must be valid JSON, as it is once a parser accepted it: the walk looks at quotes and
//! brackets only. On other text it ends early; it never panics.

use std::borrow::Cow;

/// A value of more bytes than this is not looked at as one that may be blank.
const BLANK_BYTES: usize = 4096;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name, unescaped.
    pub name: Cow<'a, str>,
    /// The name as it stands in the text, with its quotes.
    pub raw_name: &'a str,
    /// The value's text.
    pub value: &'a str,
}

/// The members of an object, in their order.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    /// The members of the object that `text` holds; none where it holds no object.
    pub fn new(text: &'a str) -> Self {
        let start = text.len() - text.trim_start().len();
        let at = if text[start..].starts_with('{') { start + 1 } else { text.len() };
        Self { text, at }
    }

    fn skip(&mut self, what: &[u8]) {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| byte.is_ascii_whitespace() || what.contains(byte)) {
            self.at += 1;
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        self.skip(b",");
        let name_end = string_end(self.text.as_bytes(), self.at)?;
        let raw_name = self.text.get(self.at..name_end)?;
        self.at = name_end;
        self.skip(b":");
        let value_end = value_end(self.text.as_bytes(), self.at)?;
        let value = self.text.get(self.at..value_end)?;
        self.at = value_end;
        let inner = raw_name.get(1..raw_name.len() - 1)?;
        let name = if inner.contains('\\') {
            Cow::Owned(serde_json::from_str(raw_name).ok()?)
        } else {
            Cow::Borrowed(inner)
        };
        Some(Member { name, raw_name, value })
    }
}

/// The elements of an array, as text, in their order.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Elements<'a> {
    /// The elements of the array that `text` holds; none where it holds no array.
    pub fn new(text: &'a str) -> Self {
        let start = text.len() - text.trim_start().len();
        let at = if text[start..].starts_with('[') { start + 1 } else { text.len() };
        Self { text, at }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b',') {
            self.at += 1;
        }
        let end = value_end(bytes, self.at)?;
        let element = self.text.get(self.at..end)?;
        self.at = end;
        Some(element)
    }
}

/// The member of this name; `None` where the object has none, or `text` holds no object.
pub fn member<'a>(text: &'a str, name: &str) -> Option<Member<'a>> {
    Members::new(text).find(|member| member.name == name)
}

/// Whether a value is null, or an object without members.
pub fn is_empty(value: &str) -> bool {
    value == "null" || value.starts_with('{') && Members::new(value).next().is_none()
}

/// Whether a value has nothing in it at any depth: null, or an object or list of such values alone.
pub fn is_blank(value: &str) -> bool {
    fn blank(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Null => true,
            serde_json::Value::Array(items) => items.iter().all(blank),
            serde_json::Value::Object(members) => members.values().all(blank),
            _ => false,
        }
    }
    // Most values have something in them, which is seen without a tree.
    is_empty(value) || value.len() < BLANK_BYTES && serde_json::from_str(value).is_ok_and(|tree| blank(&tree))
}

/// The text of a string, which is given without its quotes; `None` where it is none.
pub fn unescaped(inner: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'\\', inner).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let quoted = [b"\"", inner, b"\""].concat();
    let text: String = serde_json::from_slice(&quoted).ok()?;
    Some(Cow::Owned(text.into_bytes()))
}

/// The end of the string that begins at `start`, behind its closing quote; `None` where there is none.
pub fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The end of the value that begins at `start`, behind it; `None` where the text ends before it does.
pub fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return (at > start).then_some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' if depth == 0 => return Some(at),
            byte if byte.is_ascii_whitespace() && depth == 0 => return Some(at),
            _ => at += 1,
        }
        if depth == 0 && matches!(bytes.get(at.wrapping_sub(1)), Some(b'"' | b'}' | b']')) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn names_and_values_are_cut_out_exactly() {
        let text = r#" { "a" : [1, {"b": "}"}] ,"\u005fmeta":{"x":"\""}, "n":-1.5e3 } "#;
        let members: Vec<(String, &str)> =
            Members::new(text).map(|m| (m.name.into_owned(), m.value)).collect();
        let expected = [("a", r#"[1, {"b": "}"}]"#), ("_meta", r#"{"x":"\""}"#), ("n", "-1.5e3")];
        assert_eq!(members, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn elements_are_cut_out_exactly() {
        let elements = |text| Elements::new(text).collect::<Vec<_>>();
        assert_eq!(elements(r#" [1, "],", {"a":[2]} ,[] ] "#), ["1", r#""],""#, r#"{"a":[2]}"#, "[]"]);
        assert_eq!(elements("[]").len() + elements("{}").len() + elements("[").len() + elements("").len(), 0);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[\"\\\\{}a,: ]{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[\"\\\\a,:]{0,4}", inner), 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_object_is_walked_as_a_parser_would(members in prop::collection::vec(("[\"\\\\é,:]{0,4}", values()), 0..5), pretty: bool) {
            let object: Map<String, Value> = members.into_iter().collect();
            let object = Value::Object(object);
            let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.expect("JSON");
            let walked: Map<String, Value> = Members::new(&text)
                .map(|m| (m.name.into_owned(), serde_json::from_str(m.value).expect("a value")))
                .collect();
            prop_assert_eq!(Value::Object(walked), object);
        }

        #[test]
        fn junk_never_panics(text in "[{}\\[\\]\",:\\\\a é]{0,40}") {
            prop_assert!(Members::new(&text).count() <= text.len());
        }
    }
}

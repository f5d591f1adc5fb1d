//! References within a manifest: `$ref: "#/definitions/x"`, and text that begins with `#/`.
//!
//! As the CDK's `ManifestReferenceResolver` has it: members beside a `$ref` replace those of what it
//! refers to; a name may contain slashes, so the whole path is tried as one first; numbers index
//! lists. What comes out is bounded, since references can repeat each other.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// How many values may come out of one resolver, so that references to references do not fill memory.
const MOST: usize = 2_000_000;
/// How deep values may lie in each other, references included.
const DEEPEST: usize = 256;

/// Resolves references to one manifest.
#[derive(Debug)]
pub struct Resolver<'a> {
    root: &'a Value,
    left: usize,
    /// The references that are being followed.
    following: Vec<String>,
}

impl<'a> Resolver<'a> {
    /// Of this manifest.
    pub fn new(root: &'a Value) -> Self {
        Self { root, left: MOST, following: Vec::new() }
    }

    /// A value of the manifest without references. The error names the reference that leads nowhere,
    /// or back to itself.
    pub fn resolve(&mut self, value: &Value) -> Result<Value, String> {
        self.value(value, 0)
    }

    /// A value of the manifest that is no reference itself; what lies in it may have some.
    pub fn shallow<'v>(&mut self, value: &'v Value) -> Result<Cow<'v, Value>, String>
    where
        'a: 'v,
    {
        let referring = match value {
            Value::Object(members) => members.contains_key("$ref"),
            Value::String(text) => text.starts_with("#/"),
            _ => false,
        };
        if referring { self.resolve(value).map(Cow::Owned) } else { Ok(Cow::Borrowed(value)) }
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<Value, String> {
        self.left = self.left.checked_sub(1).ok_or("its references repeat each other too often")?;
        if depth > DEEPEST {
            return Err("its values lie too deep in each other".to_owned());
        }
        match value {
            Value::Object(members) => self.object(members, depth),
            Value::Array(items) => items.iter().map(|item| self.value(item, depth + 1)).collect(),
            Value::String(text) if text.starts_with("#/") => match self.find(text) {
                Some(found) => self.follow(text, found, depth),
                // Text of another kind, such as a pattern.
                None => Ok(value.clone()),
            },
            other => Ok(other.clone()),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, depth: usize) -> Result<Value, String> {
        let mut own = Map::new();
        for (name, member) in members.iter().filter(|(name, _)| *name != "$ref") {
            own.insert(name.clone(), self.value(member, depth + 1)?);
        }
        let Some(reference) = members.get("$ref") else { return Ok(Value::Object(own)) };
        let reference = reference.as_str().unwrap_or_default();
        let found = self.find(reference).ok_or_else(|| format!("it has nothing at {reference:?}"))?;
        Ok(match self.follow(reference, found, depth)? {
            Value::Object(mut merged) => {
                merged.extend(own);
                Value::Object(merged)
            }
            other => other,
        })
    }

    fn follow(&mut self, reference: &str, found: &Value, depth: usize) -> Result<Value, String> {
        if self.following.iter().any(|followed| followed == reference) {
            return Err(format!("the reference {reference:?} leads back to itself"));
        }
        self.following.push(reference.to_owned());
        let value = self.value(found, depth + 1);
        self.following.pop();
        value
    }

    fn find(&self, reference: &str) -> Option<&'a Value> {
        let mut rest = reference.strip_prefix("#/")?;
        let mut at = self.root;
        while !rest.is_empty() {
            if let Some(found) = at.get(rest) {
                return Some(found);
            }
            let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
            at = match at {
                Value::Array(items) => items.get(head.parse::<usize>().ok()?)?,
                other => other.get(head)?,
            };
            rest = tail;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(root: &Value) -> Result<Value, String> {
        Resolver::new(root).resolve(&root["at"])
    }

    #[test]
    fn members_beside_a_reference_replace_those_of_what_it_names() {
        let root = json!({
            "definitions": {"base": {"a": 1, "b": {"$ref": "#/definitions/more/0"}}, "more": [{"c": 2}], "x/y": 3},
            "at": {"$ref": "#/definitions/base", "a": "#/definitions/x/y", "pattern": "#/[a-z]"},
        });
        assert_eq!(resolved(&root), Ok(json!({"a": 3, "b": {"c": 2}, "pattern": "#/[a-z]"})));
    }

    #[test]
    fn a_reference_that_leads_nowhere_or_back_is_named() {
        let error = |root: Value| resolved(&root).expect_err("wrong");
        assert!(error(json!({"at": {"$ref": "#/nothing"}})).contains("\"#/nothing\""));
        assert!(error(json!({"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}, "at": "#/a"})).contains("itself"));
        assert!(error(json!({"at": {"x": {"$ref": "#/at"}}})).contains("itself"));
    }

    #[test]
    fn references_that_repeat_each_other_are_bounded() {
        let mut root = json!({"d0": ["x"]});
        for level in 1..40 {
            let inner = format!("#/d{}", level - 1);
            root[format!("d{level}")] = json!([inner, inner, inner]);
        }
        root["at"] = json!("#/d39");
        assert!(resolved(&root).expect_err("a bomb").contains("too often"));
    }
}

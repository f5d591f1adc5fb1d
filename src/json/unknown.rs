//! Members of a config that its schema does not name: most are slips of the pen.

use serde_json::Value;

use super::defaults::{collect, each_below};
use super::nearest::nearest;
use super::pointer;

/// Configs deeper than this are taken for circles.
const DEPTH: usize = 64;

/// A member that the schema of its place does not name.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Where it stands, as a JSON pointer.
    pub pointer: String,
    /// Its name.
    pub name: String,
    /// The name that seems to be meant; `None` where none is near.
    pub meant: Option<String>,
}

/// The members that a schema does not name, where it names any and is no map. Of a form that cannot be
/// told, the members of all forms are known.
pub fn find(config: &Value, schema: &Value) -> Vec<Unknown> {
    let mut found = Vec::new();
    // The walk is shared with one that changes what it walks over.
    look(schema, &[schema], &mut config.clone(), &mut Vec::new(), &mut found);
    found
}

fn look(
    root: &Value,
    schemas: &[&Value],
    value: &mut Value,
    path: &mut Vec<String>,
    found: &mut Vec<Unknown>,
) {
    if path.len() > DEPTH || schemas.is_empty() {
        return;
    }
    let mut parts = Vec::new();
    for schema in schemas {
        collect(root, schema, value, &mut parts);
    }
    let is_map = |part: &&Value| {
        part.get("patternProperties").is_some()
            || part["additionalProperties"].as_object().is_some_and(|of| !of.is_empty())
    };
    let known: Vec<&str> = parts
        .iter()
        .filter_map(|part| part["properties"].as_object())
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    if !known.is_empty() && !parts.iter().any(is_map) {
        for (name, _) in value.as_object().into_iter().flatten() {
            if !known.contains(&name.as_str()) {
                let free = known.iter().copied().filter(|known| value.get(known).is_none());
                found.push(Unknown {
                    pointer: pointer::from_path(path) + "/" + &pointer::escape(name),
                    name: name.clone(),
                    meant: nearest(name, free).map(str::to_owned),
                });
            }
        }
    }
    each_below(&parts, value, |below, value, name| {
        path.push(name.to_owned());
        look(root, below, value, path, found);
        path.pop();
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn slips_are_found_at_any_depth() {
        let schema = json!({"properties": {
            "count": {}, "headers": {"additionalProperties": {"type": "string"}, "properties": {"accept": {}}}, "free": {},
            "credentials": {"oneOf": [
                {"properties": {"auth": {"const": "key"}, "api_key": {}}},
                {"properties": {"auth": {"const": "token"}, "token": {}}},
            ]},
        }});
        let config = json!({
            "cuont": 1, "headers": {"x-any": "1"}, "free": {"any": 1}, "else": 2,
            "credentials": {"auth": "token", "api_key": "k"},
        });
        let found = find(&config, &schema);
        let found: Vec<_> = found.iter().map(|one| (one.pointer.as_str(), one.meant.as_deref())).collect();
        assert_eq!(found, [("/cuont", Some("count")), ("/else", None), ("/credentials/api_key", None)]);
        assert_eq!(find(&json!({"credentials": {"token": 1, "api_key": 2}}), &schema), []);
        assert_eq!(find(&json!({"a": 1}), &json!({})), []);
    }
}

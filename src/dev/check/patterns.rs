//! Regular expressions in schemas that a shim writes: whether Flow can compile them.

use serde_json::Value;

/// What to do about one that does not.
pub(super) const ADVICE: &str = "write it as Rust's regex crate takes it, which Flow uses";

/// Every pattern of a schema or of a patch that does not compile: where it is, and why.
pub(super) fn wrong(schema: &Value) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), &mut found);
    found
}

fn walk(value: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    match value {
        Value::Object(members) => {
            // A property may be called `pattern`; its value is a schema then.
            if let Some(Value::String(pattern)) = members.get("pattern")
                && let Some(why) = refused(pattern)
            {
                let at = path.iter().cloned().chain(["pattern".to_owned()]);
                found.push((at.collect(), why));
            }
            if let Some(patterns) = members.get("patternProperties").and_then(Value::as_object) {
                for (pattern, why) in patterns.keys().filter_map(|name| Some((name, refused(name)?))) {
                    let at = path.iter().cloned().chain(["patternProperties".to_owned(), pattern.clone()]);
                    found.push((at.collect(), why));
                }
            }
            for (name, member) in members {
                path.push(name.clone());
                walk(member, path, found);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                walk(item, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn refused(pattern: &str) -> Option<String> {
    let why = regex::Regex::new(pattern).err()?.to_string();
    let why = why.lines().rfind(|line| line.starts_with("error: ")).unwrap_or("error: it is too large");
    Some(why.trim_start_matches("error: ").to_owned())
}

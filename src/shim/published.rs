//! The JSON Schema of `shim.yaml` for editors, made from the types that read it.

use serde_json::Value;

use super::definition::Definition;

/// The schema, as `shim.schema.json` holds it.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Definition).to_value();
    schema["title"] = "shim.yaml".into();
    without_defaults(&mut schema);
    schema
}

/// Defaults of durations would be told in the form that Rust has of them, not in that of the file.
fn without_defaults(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.shift_remove("default");
            members.values_mut().for_each(without_defaults);
        }
        Value::Array(list) => list.iter_mut().for_each(without_defaults),
        _ => {}
    }
}

//! JSON schemas as Flow understands them.

use jsonschema::Draft;
use serde_json::Value;

/// Compiles a schema as Flow understands it: 2020-12 whatever `$schema` says, formats asserted.
/// The error says where the schema is wrong.
pub(super) fn compile(schema: &Value) -> Result<jsonschema::Validator, String> {
    if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
        return Err("is not a JSON schema".to_owned());
    }
    let options = || {
        jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .with_format("integer", |text: &str| text.parse::<i128>().is_ok())
            .with_format("number", |text: &str| text.parse::<f64>().is_ok())
    };
    // Old drafts have forms that newer ones refuse, such as a list of `items`.
    let compiled = options().with_draft(Draft::Draft202012).build(schema);
    compiled.or_else(|error| options().build(schema).map_err(|_| error)).map_err(|error| {
        let place = error.instance_path().as_str();
        format!("is not a valid JSON schema: {} at {place:?}", error.kind().keyword())
    })
}

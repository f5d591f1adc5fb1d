//! The mistakes of a config in words: where each is and what is expected there, and never a value of it.

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::Value;

use crate::json::branch::{chosen, resolve};
use crate::json::nearest::nearest;
use crate::json::pointer::escape;
use crate::json::schema::discriminator::only_value;

/// What one error of the validator means. `schema` is the one that the validator was built from.
pub(super) fn of(schema: &Value, error: &ValidationError<'_>) -> Vec<String> {
    let mut words = Vec::new();
    tell(schema, error, &mut words);
    words
}

fn tell(schema: &Value, error: &ValidationError<'_>, words: &mut Vec<String>) {
    let at = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => {
            words.push(format!("{at}/{} is required{}", escape(name), meant(schema, error, name)));
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = siblings(schema, error);
            for name in unexpected {
                let nearest = nearest(name, known.iter().map(String::as_str))
                    .map(|nearest| format!("; did you mean {nearest:?}?"))
                    .unwrap_or_default();
                words.push(format!("{at}/{} is not a setting of this connector{nearest}", escape(name)));
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            alternatives(schema, error, context, words);
        }
        _ => words.push(format!("{}: {}", place(at), error.masked_with("the value"))),
    }
}

fn place(at: &str) -> &str {
    if at.is_empty() { "the config" } else { at }
}

/// The names of the properties that the schema of the error's place knows.
fn siblings(schema: &Value, error: &ValidationError<'_>) -> Vec<String> {
    let path = error.schema_path().as_str();
    let above = path.rfind('/').and_then(|end| schema.pointer(&path[..end]));
    let properties = above.and_then(|above| above["properties"].as_object());
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Which member seems to stand for one that is missing.
fn meant(schema: &Value, error: &ValidationError<'_>, name: &str) -> String {
    let known = siblings(schema, error);
    let members = error.instance().as_object().into_iter().flatten();
    let unknown =
        members.map(|(member, _)| member.as_str()).filter(|member| !known.iter().any(|k| k == member));
    nearest(name, unknown).map(|member| format!(" (is {member:?} meant for it?)")).unwrap_or_default()
}

/// What is wrong with a value that is to have one of several forms: the mistakes of the form that it says
/// it has, where it says so.
fn alternatives(
    schema: &Value,
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
    words: &mut Vec<String>,
) {
    let at = error.instance_path().as_str();
    let branches = schema.pointer(error.schema_path().as_str()).and_then(Value::as_array);
    let branches = branches.map(Vec::as_slice).unwrap_or_default();
    if let Some(branch) = chosen(schema, branches, error.instance())
        && let Some(index) = branches.iter().position(|b| std::ptr::eq(resolve(schema, b), branch))
        && let Some(mistakes) = context.get(index)
    {
        let form = form(schema, branch, error.instance());
        let first = words.len();
        for mistake in mistakes {
            tell(schema, mistake, words);
        }
        words[first..].iter_mut().for_each(|word| word.push_str(&form));
        return;
    }
    if let Some((name, values)) = discriminator(schema, branches).filter(|_| error.instance().is_object()) {
        words.push(format!("{at}/{} must be one of {}", escape(&name), values.join(", ")));
        return;
    }
    // Of a value that may be null, or is of another type than the rest, one form is left.
    let of_other_type = |mistakes: &&Vec<ValidationError<'_>>| {
        let type_at = |mistake: &ValidationError<'_>| {
            matches!(mistake.kind(), ValidationErrorKind::Type { .. })
                && mistake.instance_path().as_str() == at
        };
        !mistakes.iter().any(type_at)
    };
    match context.iter().filter(of_other_type).collect::<Vec<_>>().as_slice() {
        [only] => {
            for mistake in *only {
                tell(schema, mistake, words);
            }
        }
        _ => words.push(format!("{}: it has none of the forms that the schema allows", place(at))),
    }
}

/// By which value a form is chosen, as the end of a sentence.
fn form(schema: &Value, branch: &Value, value: &Value) -> String {
    let properties = branch["properties"].as_object().into_iter().flatten();
    let values: Vec<String> = properties
        .filter_map(|(name, property)| {
            let only = only_value(resolve(schema, property))?;
            (value.get(name) == Some(only)).then(|| format!("{name} {only}"))
        })
        .collect();
    if values.is_empty() { String::new() } else { format!(", with {}", values.join(" and ")) }
}

/// The property that has one value in each branch, and these values as JSON.
fn discriminator(schema: &Value, branches: &[Value]) -> Option<(String, Vec<String>)> {
    let first = resolve(schema, branches.first()?)["properties"].as_object()?;
    first.keys().find_map(|name| {
        let value = |branch: &Value| {
            only_value(resolve(schema, &resolve(schema, branch)["properties"][name.as_str()]))
                .map(Value::to_string)
        };
        let mut values = branches.iter().map(value).collect::<Option<Vec<String>>>()?;
        values.dedup();
        (values.len() > 1).then(|| (name.clone(), values))
    })
}

//! Mustache's own sections, for the engine that knows Handlebars only: `{{#x}}…{{/x}}` and
//! `{{^x}}…{{/x}}` become blocks of the two helpers here.
//!
//! As in Mustache, a section of a list is rendered once an item (`{{.}}` is the item), that of an
//! object with its members in sight, and what is absent, null, false, 0 or empty counts as no.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, PathAndJson, RenderContext,
    RenderErrorReason, Renderable, Template,
};
use serde_json::Value;

/// The names of the helpers; nobody's variable is called so.
const SECTION: &str = "mustache_section";
const INVERTED: &str = "mustache_inverted";
/// Under which name an item of a list is in sight.
const ITEM: &str = "mustache_item";
/// How alike a section and a helper are from which on the helper is meant.
const ALIKE: f64 = 0.93;

/// A template for the engine, and what its sections ask for.
#[derive(Debug, Default)]
pub(super) struct Translated {
    /// The template.
    pub(super) text: String,
    /// The variables of its sections, dotted.
    pub(super) conditions: Vec<String>,
}

/// Rewrites the sections that are no helpers of this list.
pub(super) fn translate(template: &str, helpers: &[&str]) -> Translated {
    let mut translated = Translated::default();
    // What the open sections are called in the engine's words; `None` for those left alone.
    let mut open: Vec<Option<&'static str>> = Vec::new();
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once("{{") {
        translated.text.push_str(before);
        let Some(end) = tail.find("}}") else {
            translated.text.push_str("{{");
            rest = tail;
            continue;
        };
        let (tag, after) = (&tail[..end], &tail[end + 2..]);
        translated.text.push_str(&rewritten(tag, helpers, &mut open, &mut translated.conditions));
        rest = after;
    }
    translated.text.push_str(rest);
    translated
}

/// One tag, with its braces.
fn rewritten(
    tag: &str,
    helpers: &[&str],
    open: &mut Vec<Option<&'static str>>,
    conditions: &mut Vec<String>,
) -> String {
    let as_it_is = format!("{{{{{tag}}}}}");
    let (mark, name) = match tag.chars().next() {
        Some(mark @ ('#' | '^' | '/' | '&' | '{')) => (mark, tag[1..].trim()),
        _ => (' ', tag.trim()),
    };
    match mark {
        '#' | '^' if is_variable(name) && !helpers.contains(&name) => {
            let helper = if mark == '#' { SECTION } else { INVERTED };
            open.push(Some(helper));
            conditions.push(name.to_owned());
            format!("{{{{#{helper} {}}}}}", item(name))
        }
        '#' => {
            open.push(None);
            as_it_is
        }
        '/' => match open.pop().flatten() {
            Some(helper) if is_variable(name) => format!("{{{{/{helper}}}}}"),
            _ => as_it_is,
        },
        '&' if is_variable(name) => format!("{{{{{{{}}}}}}}", item(name)),
        ' ' if name == "." => format!("{{{{{ITEM}}}}}"),
        '{' if name == "." => format!("{{{{{{{ITEM}}}}}"),
        _ => as_it_is,
    }
}

fn item(name: &str) -> &str {
    if name == "." { ITEM } else { name }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// The helper that is meant by a section of nearly its name.
pub(super) fn misspelt<'h>(condition: &str, helpers: &[&'h str]) -> Option<&'h str> {
    helpers.iter().copied().find(|helper| strsim::jaro_winkler(condition, helper) > ALIKE)
}

/// Teaches the engine the sections.
pub(super) fn register(engine: &mut Handlebars<'_>) {
    engine.register_helper(SECTION, Box::new(Section));
    engine.register_helper(INVERTED, Box::new(Inverted));
}

struct Section;

struct Inverted;

impl HelperDef for Section {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        engine: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        output: &mut dyn Output,
    ) -> HelperResult {
        let (Some(inside), Some(value)) = (helper.template(), helper.param(0).map(PathAndJson::value)) else {
            return Ok(());
        };
        match value {
            value if !holds(value) => Ok(()),
            Value::Array(items) => {
                items.iter().try_for_each(|item| with(item, inside, engine, context, output))
            }
            Value::Object(_) => with(value, inside, engine, context, output),
            _ => inside.render(engine, context, render, output),
        }
    }
}

impl HelperDef for Inverted {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        engine: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        output: &mut dyn Output,
    ) -> HelperResult {
        let yes = helper.param(0).is_some_and(|param| holds(param.value()));
        match helper.template() {
            Some(inside) if !yes => inside.render(engine, context, render, output),
            _ => Ok(()),
        }
    }
}

/// Whether Mustache takes a value for a yes, as its JavaScript does.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

/// Renders with a value's members in sight before those of the outer context.
fn with(
    value: &Value,
    inside: &Template,
    engine: &Handlebars<'_>,
    outer: &Context,
    output: &mut dyn Output,
) -> HelperResult {
    let mut data = outer.data().clone();
    if let Some(members) = data.as_object_mut() {
        members.insert(ITEM.to_owned(), value.clone());
        for (name, member) in value.as_object().into_iter().flatten() {
            members.insert(name.clone(), member.clone());
        }
    }
    let context = Context::wraps(data).map_err(|_| {
        // A JSON value is one already.
        RenderErrorReason::Other("the section's values cannot be used".to_owned())
    })?;
    inside.render(engine, &context, &mut RenderContext::new(None), output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mustaches_sections_are_rewritten() {
        let translated = translate(
            "{{#urlencode}}{{{a}}}{{/urlencode}}{{# config.x }}y{{/config.x}}{{^b}}{{/b}}",
            &["urlencode"],
        );
        assert_eq!(
            translated.text,
            "{{#urlencode}}{{{a}}}{{/urlencode}}{{#mustache_section config.x}}y{{/mustache_section}}\
             {{#mustache_inverted b}}{{/mustache_inverted}}"
        );
        assert_eq!(translated.conditions, ["config.x", "b"]);
        for kept in ["{{#if a}}b{{/if}}", "{{a", "}}{{", "{{! a }}{{a.b}}", "{{/a}}"] {
            assert_eq!(translate(kept, &[]).text, kept);
        }
    }
}

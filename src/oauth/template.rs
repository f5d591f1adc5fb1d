//! The templates of an OAuth2 block: Mustache, with three sections of Flow's own
//! (flow-protocol.md, 5.1). Mustache's sections by value are translated by `mustache`.
//!
//! `{{{x}}}` inserts a value as it is, `{{x}}` HTML-escapes it, dotted paths lead into objects, and
//! what is absent inserts nothing. `urlencode`, `basicauth` and `now_plus` are sections whose inside
//! is rendered first. Errors name the helper or the place in the template, never a value.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderErrorReason,
    Renderable, StringOutput,
};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::mustache;

/// What JavaScript's `encodeURIComponent` encodes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The sections that Flow adds to Mustache.
const HELPERS: [&str; 3] = ["urlencode", "basicauth", "now_plus"];

/// Renders a template with a context, an object of the variables.
pub fn render(template: &str, context: &Value) -> Result<String, String> {
    let translated = mustache::translate(template, &HELPERS);
    engine(false).render_template(&translated.text, context).map_err(|error| why(&error))
}

/// Whether the template can be read and knows only helpers that there are. Values are not looked at.
pub fn check(template: &str) -> Result<(), String> {
    let translated = mustache::translate(template, &HELPERS);
    for name in &translated.conditions {
        if let Some(helper) = mustache::misspelt(name, &HELPERS) {
            return Err(format!("{name:?} is no helper; did you mean {helper:?}?"));
        }
    }
    match engine(false).render_template(&translated.text, &Value::Null).map_err(|error| why(&error)) {
        // With no values, `now_plus` has no number, which is not the template's fault.
        Err(why) if why != NO_NUMBER => Err(why),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The first variable of the template that the context does not have; `None` where it has all. Those of
/// sections may be absent.
pub fn missing(template: &str, context: &Value) -> Option<String> {
    match engine(true).render_template(&mustache::translate(template, &HELPERS).text, context) {
        Err(error) => match error.reason() {
            RenderErrorReason::MissingVariable(name) => name.clone(),
            _ => None,
        },
        Ok(_) => None,
    }
}

/// The variables that decide over sections of the template, dotted.
pub fn conditions(template: &str) -> Vec<String> {
    mustache::translate(template, &HELPERS).conditions
}

/// As JavaScript's `encodeURIComponent`.
pub fn urlencode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

const NO_NUMBER: &str = "what is in now_plus is not a number of seconds";

fn engine(strict: bool) -> Handlebars<'static> {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(strict);
    engine.register_escape_fn(html_escape);
    engine.register_helper("urlencode", Box::new(Section(|inside| Ok(urlencode(inside)))));
    engine.register_helper("basicauth", Box::new(Section(basicauth)));
    engine.register_helper("now_plus", Box::new(Section(now_plus)));
    mustache::register(&mut engine);
    engine
}

/// A helper that renders its inside and puts in place what the function makes of it.
struct Section(fn(&str) -> Result<String, &'static str>);

impl HelperDef for Section {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        engine: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        output: &mut dyn Output,
    ) -> HelperResult {
        let mut inside = StringOutput::new();
        if let Some(template) = helper.template() {
            template.render(engine, context, render, &mut inside)?;
        }
        let changed = (self.0)(&inside.into_string()?);
        output.write(&changed.map_err(|why| RenderErrorReason::Other(why.to_owned()))?)?;
        Ok(())
    }
}

/// As JavaScript's `btoa`, which takes characters of Latin-1 for bytes.
fn basicauth(inside: &str) -> Result<String, &'static str> {
    let bytes: Result<Vec<u8>, _> = inside.chars().map(u8::try_from).collect();
    let bytes = bytes.map_err(|_| "what is in basicauth has characters beyond Latin-1")?;
    Ok(STANDARD.encode(bytes))
}

/// As JavaScript's `parseInt` and `toISOString`.
fn now_plus(inside: &str) -> Result<String, &'static str> {
    let text = inside.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let seconds: i64 = text[..sign + digits].parse().map_err(|_| NO_NUMBER)?;
    let then = Timestamp::now()
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|_| "what is in now_plus is too many seconds")?;
    Ok(format!("{then:.3}"))
}

/// As Mustache escapes, which is a superset of what Handlebars does.
fn html_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '/' => escaped.push_str("&#x2F;"),
            '`' => escaped.push_str("&#x60;"),
            '=' => escaped.push_str("&#x3D;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The reason, without the picture of the template that the crate draws.
fn why(error: &handlebars::RenderError) -> String {
    match error.reason() {
        RenderErrorReason::TemplateError(error) => match error.pos() {
            Some((line, column)) => format!("{} at line {line}, column {column}", error.reason()),
            None => error.reason().to_string(),
        },
        RenderErrorReason::HelperNotFound(name) => {
            format!("{name:?} is no helper; there are urlencode, basicauth and now_plus")
        }
        RenderErrorReason::Other(why) => why.clone(),
        _ => "the template cannot be rendered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rendered(template: &str) -> String {
        let context =
            json!({"x": "a&b /='\"`<>", "id": "me", "config": {"sub": "acme", "n": 7}, "umlaut": "ü"});
        render(template, &context).expect("a good template")
    }

    #[test]
    fn values_are_inserted_raw_or_escaped() {
        assert_eq!(rendered("{{{ x }}}|{{{config.sub}}}|{{{none}}}|{{config.n}}"), "a&b /='\"`<>|acme||7");
        assert_eq!(rendered("{{ x }}"), "a&amp;b &#x2F;&#x3D;&#39;&quot;&#x60;&lt;&gt;");
    }

    #[test]
    fn sections_change_their_rendered_inside() {
        assert_eq!(
            rendered("{{#urlencode}}{{{x}}}!~*()ü{{/urlencode}}"),
            "a%26b%20%2F%3D'%22%60%3C%3E!~*()%C3%BC"
        );
        assert_eq!(
            rendered("{{#basicauth}}{{{id}}}:{{{umlaut}}}{{/basicauth}}"),
            STANDARD.encode(b"me:\xfc")
        );
        let then: Timestamp = rendered("{{#now_plus}} 3600.9s{{/now_plus}}").parse().expect("a time");
        let ahead = then.duration_since(Timestamp::now()).as_secs();
        assert!((3500..=3600).contains(&ahead), "{ahead}");
        let text = rendered("{{#now_plus}}0{{/now_plus}}");
        assert_eq!((text.len(), &text[19..20], &text[23..]), (24, ".", "Z"), "{text}");
    }

    #[test]
    fn sections_by_value_are_mustaches() {
        let template = "{{#config.on}}test{{/config.on}}{{^config.on}}login{{/config.on}}.example.com";
        let host = |config: Value| render(template, &json!({"config": config})).expect("a good template");
        assert_eq!(host(json!({"on": true})), "test.example.com");
        for no in [json!({"on": false}), json!({"on": ""}), json!({"on": []}), json!({"on": 0}), json!({})] {
            assert_eq!(host(no), "login.example.com");
        }
        let context =
            json!({"a": "1", "o": {"b": "2", "in": {"c": "3"}}, "l": ["x", "y"], "m": [{"n": 1}, {"n": 2}]});
        let rendered = |template: &str| render(template, &context).expect("a good template");
        assert_eq!(rendered("{{#o}}{{b}}{{#in}}{{c}}{{a}}{{/in}}{{/o}}"), "231");
        assert_eq!(rendered("{{#l}}{{.}}{{{a}}}-{{/l}}{{#m}}{{n}}{{/m}}"), "x1-y1-12");
        assert_eq!(rendered("{{#urlencode}}{{#o}}{{{b}}}/{{/o}}{{/urlencode}}{{&a}}"), "2%2F1");
        assert_eq!(missing(template, &json!({"config": {}})), None);
        assert_eq!(conditions(template), ["config.on", "config.on"]);
    }

    #[test]
    fn mistakes_say_what_is_wrong() {
        let error = |template: &str| render(template, &json!({"s": "s3cret€"})).expect_err("a mistake");
        assert_eq!(
            check("{{#urlencod}}x{{/urlencod}}").expect_err("a mistake"),
            "\"urlencod\" is no helper; did you mean \"urlencode\"?"
        );
        assert!(error("{{#urlencode}}x").contains("line"));
        assert_eq!(
            error("{{#basicauth}}{{{s}}}{{/basicauth}}"),
            "what is in basicauth has characters beyond Latin-1"
        );
        assert_eq!(error("{{#now_plus}}{{{s}}}{{/now_plus}}"), NO_NUMBER);
        assert!(error("{{#now_plus}}9223372036854775807{{/now_plus}}").contains("too many"));
    }

    #[test]
    fn a_check_needs_no_values_and_missing_ones_are_named() {
        assert!(check("{{#now_plus}}{{ expires_in }}{{/now_plus}}{{{config.a.b}}}").is_ok());
        assert!(check("{{#nope 1}}{{/nope}}").is_err());
        assert_eq!(
            missing("{{{a}}}{{#urlencode}}{{{config.sub}}}{{/urlencode}}", &json!({"a": 1, "config": {}}))
                .as_deref(),
            Some("config.sub")
        );
        assert_eq!(missing("{{{a}}}", &json!({"a": 1})), None);
    }

    proptest! {
        #[test]
        fn junk_never_panics(template in "([{}#/. a-z]|urlencode|now_plus){0,30}", value in "\\PC{0,20}") {
            let _ = render(&template, &json!({"a": value}));
        }

        #[test]
        fn what_is_encoded_decodes(text in "\\PC{0,40}") {
            let encoded = urlencode(&text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()%".contains(&byte)));
            prop_assert_eq!(percent_encoding::percent_decode_str(&encoded).decode_utf8().expect("UTF-8"), text);
        }
    }
}

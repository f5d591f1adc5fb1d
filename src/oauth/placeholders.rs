//! The placeholders of Airbyte's declarative consent flows, as templates of Flow
//! (airbyte-protocol.md, 6.2 and 6.3).
//!
//! There they are Jinja expressions over a flat map; here only the forms of the table are known.
//! Any other is refused by name, and whoever asks leaves the consent flow out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::template::urlencode;

/// Where a text stands, which decides how a value is written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The URL where the user consents.
    ConsentUrl,
    /// The URL where the code becomes a token.
    TokenUrl,
    /// A value or name of a form.
    Form,
    /// Text that is not encoded: a header, or a string in JSON.
    Plain,
}

/// What the placeholders of one consent flow mean.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    /// The names under which the provider knows things, by the first part of their placeholder.
    names: BTreeMap<&'static str, String>,
    /// The scopes, joined.
    pub(super) scopes: String,
    /// The optional scopes, joined.
    pub(super) optional_scopes: String,
    /// What the user gives, by name: where it stands in the config, as a dotted path.
    pub(super) inputs: BTreeMap<String, String>,
}

/// What `*_key` is where the flow gives no other.
const NAMES: &[(&str, &str)] = &[
    ("client_id", "client_id"),
    ("client_secret", "client_secret"),
    ("auth_code", "code"),
    ("state", "state"),
    ("redirect_uri", "redirect_uri"),
    ("scope", "scope"),
];

/// A piece of an expression.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Placeholders {
    /// Placeholders with the flow's own names, which `named` gives for `client_id_key` and the like.
    pub(super) fn new(named: impl Fn(&str) -> Option<String>) -> Self {
        let known = NAMES
            .iter()
            .map(|(kind, default)| {
                (*kind, named(&format!("{kind}_key")).unwrap_or_else(|| (*default).to_owned()))
            })
            .collect();
        Self { names: known, ..Self::default() }
    }

    /// The text with each placeholder as Flow writes it.
    pub(super) fn translate(&self, text: &str, place: Place) -> Result<String, String> {
        let mut translated = String::with_capacity(text.len() * 2);
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            translated.push_str(&literal(&rest[..start], place));
            let length = closing(&rest[start..]).ok_or("a placeholder has no end")?;
            let inside = rest[start + 2..start + length - 2].trim();
            let verifier = translated.ends_with("code_verifier=");
            translated.push_str(&self.expression(inside, place, verifier)?);
            rest = &rest[start + length..];
        }
        translated.push_str(&literal(rest, place));
        if place == Place::ConsentUrl {
            translated = translated
                .replace("code_challenge_method=S256", "code_challenge_method={{{code_challenge_method}}}");
        }
        Ok(translated)
    }

    /// The value of a parameter, whose name tells a code verifier, which has no placeholder.
    pub(super) fn parameter(&self, name: &str, value: &str, place: Place) -> Result<String, String> {
        let bare = value.trim().trim_start_matches('{').trim_end_matches('}').trim();
        if name == "code_verifier" && self.is_state(bare.trim_end_matches("_value")) {
            return Ok("{{{code_verifier}}}".to_owned());
        }
        self.translate(value, place)
    }

    fn expression(&self, inside: &str, place: Place, verifier: bool) -> Result<String, String> {
        let (value, filter) = filtered(inside);
        let pieces = pieces(value);
        let raw = || pieces.iter().map(|piece| self.raw(piece)).collect::<Result<String, String>>();
        let filter = filter.map(str::to_ascii_lowercase);
        match (filter.as_deref(), pieces.as_slice()) {
            (None, [Piece::Variable(name)]) if verifier && self.is_state(name.trim_end_matches("_value")) => {
                Ok("{{{code_verifier}}}".to_owned())
            }
            (None, [Piece::Variable(name)]) => self.variable(name, place),
            (Some("urlencode" | "urlencoder"), [Piece::Variable(name)]) if place != Place::Plain => {
                match self.variable(name, place)? {
                    plain if self.inputs.contains_key(name) && place != Place::Form => {
                        Ok(section("urlencode", &plain))
                    }
                    encoded => Ok(encoded),
                }
            }
            (Some("urlencode" | "urlencoder"), _) => Ok(section("urlencode", &raw()?)),
            (Some("b64encode" | "base64encoder"), _) => Ok(section("basicauth", &raw()?)),
            (Some("codechallenges256"), [Piece::Variable(name)])
                if place == Place::ConsentUrl && self.is_state(name.trim_end_matches("_value")) =>
            {
                Ok("{{{code_challenge}}}".to_owned())
            }
            _ => Err(format!("the placeholder {inside:?} has no counterpart in Flow")),
        }
    }

    fn is_state(&self, name: &str) -> bool {
        name == "state" || self.names.get("state").is_some_and(|state| state == name)
    }

    /// A placeholder without filters.
    fn variable(&self, name: &str, place: Place) -> Result<String, String> {
        if let Some(path) = self.inputs.get(name) {
            let value = variable(&format!("config.{path}"));
            return Ok(if place == Place::Form { section("urlencode", &value) } else { value });
        }
        if let Some(kind) = name.strip_suffix("_key")
            && let Some(key) = self.names.get(singular(kind))
        {
            return Ok(key.clone());
        }
        if let Some(kind) = name.strip_suffix("_param") {
            let key = match kind {
                "optional_scopes" => Some("optional_scopes"),
                kind => self.names.get(singular(kind)).map(String::as_str),
            };
            let key = key.ok_or_else(|| unknown(name))?;
            return Ok(format!("{key}={}", self.value(kind, Place::TokenUrl).ok_or_else(|| unknown(name))?));
        }
        let kind = name.strip_suffix("_value").unwrap_or(name);
        let kind = self.names.iter().find(|(_, key)| *key == kind).map_or(kind, |(kind, _)| kind);
        self.value(kind, place).ok_or_else(|| unknown(name))
    }

    /// What a kind of thing is; `None` for a kind that there is not.
    fn value(&self, kind: &str, place: Place) -> Option<String> {
        let scopes = |text: &str| if place == Place::Plain { text.to_owned() } else { urlencode(text) };
        let flow_name = match kind {
            "scope" | "scopes" => return Some(scopes(&self.scopes)),
            "optional_scopes" => return Some(scopes(&self.optional_scopes)),
            // Flow has what the provider sends back under the provider's name for it.
            "auth_code" => self.names.get("auth_code")?.as_str(),
            "state" => "state",
            "client_id" | "client_secret" | "redirect_uri" => kind,
            _ => return None,
        };
        let value = variable(flow_name);
        Some(if place == Place::Plain { value } else { section("urlencode", &value) })
    }

    fn raw(&self, piece: &Piece) -> Result<String, String> {
        match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Variable(name) => self.variable(name, Place::Plain),
        }
    }
}

/// Text between placeholders. A URL is written encoded; a form's values are not.
fn literal(text: &str, place: Place) -> Cow<'_, str> {
    if place == Place::Form { urlencode(text).into() } else { text.into() }
}

fn singular(kind: &str) -> &str {
    if kind == "scopes" { "scope" } else { kind }
}

fn unknown(name: &str) -> String {
    format!("the placeholder {name:?} is not known")
}

fn variable(name: &str) -> String {
    format!("{{{{{{{name}}}}}}}")
}

fn section(name: &str, inside: &str) -> String {
    format!("{{{{#{name}}}}}{inside}{{{{/{name}}}}}")
}

/// The length of the placeholder at the beginning of the text, with its braces, which may be nested.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"{{") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"}}") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// Splits the last filter off: `x | f` and, as older flows have it, `{{x}} | f`.
fn filtered(inside: &str) -> (&str, Option<&str>) {
    match inside.rsplit_once('|') {
        Some((value, filter)) => (value.trim(), Some(filter.trim())),
        None => (inside, None),
    }
}

/// A value as its pieces: a name; names in braces with text between; names and quoted text with `~`.
fn pieces(value: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    if value.contains("{{") {
        let mut rest = value;
        while let Some((text, tail)) = rest.split_once("{{") {
            let (name, after) = tail.split_once("}}").unwrap_or((tail, ""));
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            pieces.push(Piece::Variable(name.trim().to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        return pieces;
    }
    let bare = value.strip_prefix('(').and_then(|value| value.strip_suffix(')')).unwrap_or(value);
    for part in bare.split('~').map(str::trim) {
        let quoted = ['"', '\''].iter().find_map(|&quote| part.strip_prefix(quote)?.strip_suffix(quote));
        pieces.push(match quoted {
            Some(text) => Piece::Text(text.to_owned()),
            None => Piece::Variable(part.to_owned()),
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> Placeholders {
        let mut known = Placeholders::new(|name| (name == "client_id_key").then(|| "app".to_owned()));
        known.scopes = "repo read:org".to_owned();
        known.optional_scopes = "a,b".to_owned();
        known.inputs.insert("subdomain".to_owned(), "credentials.sub".to_owned());
        known
    }

    #[test]
    fn the_table_holds() {
        let encoded = |name: &str| section("urlencode", &variable(name));
        for (place, text, expected) in [
            (Place::ConsentUrl, "?{{ client_id_key }}=1", "?app=1".to_owned()),
            (Place::ConsentUrl, "{{client_id_value}}", encoded("client_id")),
            (Place::ConsentUrl, "{{ app }}", encoded("client_id")),
            (Place::Plain, "{{ client_id_value }}", "{{{client_id}}}".to_owned()),
            (
                Place::TokenUrl,
                "{{client_secret_param}}",
                format!("client_secret={}", encoded("client_secret")),
            ),
            (Place::ConsentUrl, "{{ redirect_uri_value | urlencode }}", encoded("redirect_uri")),
            (Place::ConsentUrl, "{{ {{redirect_uri_value}} | urlEncoder }}", encoded("redirect_uri")),
            (Place::Plain, "{{ redirect_uri_value | urlencode }}", encoded("redirect_uri")),
            (Place::ConsentUrl, "{{scopes_param}}", "scope=repo%20read%3Aorg".to_owned()),
            (Place::ConsentUrl, "{{ scope_value | urlencode }}", "repo%20read%3Aorg".to_owned()),
            (Place::Plain, "{{ scope_value }}", "repo read:org".to_owned()),
            (Place::ConsentUrl, "{{optional_scopes_param}}", "optional_scopes=a%2Cb".to_owned()),
            (Place::ConsentUrl, "{{state_param}}", format!("state={}", encoded("state"))),
            (Place::TokenUrl, "{{ code }}", encoded("code")),
            (
                Place::ConsentUrl,
                "https://{{ subdomain }}.x/",
                "https://{{{config.credentials.sub}}}.x/".to_owned(),
            ),
            (Place::ConsentUrl, "{{ subdomain | urlencode }}", encoded("config.credentials.sub")),
            (
                Place::ConsentUrl,
                "{{ state_value | codechallengeS256 }}&code_challenge_method=S256",
                "{{{code_challenge}}}&code_challenge_method={{{code_challenge_method}}}".to_owned(),
            ),
            (
                Place::TokenUrl,
                "?code_verifier={{ state_value }}",
                "?code_verifier={{{code_verifier}}}".to_owned(),
            ),
            (
                Place::Plain,
                "Basic {{ {{ client_id_value }}:{{ client_secret_value }} | base64Encoder }}",
                "Basic {{#basicauth}}{{{client_id}}}:{{{client_secret}}}{{/basicauth}}".to_owned(),
            ),
            (
                Place::Plain,
                "Basic {{ (client_id_value ~ ':' ~ client_secret_value) | b64encode }}",
                "Basic {{#basicauth}}{{{client_id}}}:{{{client_secret}}}{{/basicauth}}".to_owned(),
            ),
        ] {
            assert_eq!(known().translate(text, place).as_deref(), Ok(expected.as_str()), "{text}");
        }
        assert_eq!(
            known().parameter("code_verifier", "{{ state_value }}", Place::Plain).as_deref(),
            Ok("{{{code_verifier}}}")
        );
    }

    #[test]
    fn the_codes_own_name_is_what_the_provider_sends() {
        let known = Placeholders::new(|name| (name == "auth_code_key").then(|| "auth".to_owned()));
        assert_eq!(
            known.translate("{{auth_code_param}}", Place::TokenUrl).as_deref(),
            Ok("auth={{#urlencode}}{{{auth}}}{{/urlencode}}")
        );
    }

    #[test]
    fn other_expressions_are_refused_by_name() {
        for text in [
            "{{ x }}",
            "{{ state_value | upper }}",
            "{{ a if b else c }}",
            "{{ state_value",
            "{{ nope_param }}",
            "{{ client_id_value | codechallengeS256 }}",
        ] {
            assert!(known().translate(text, Place::ConsentUrl).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn junk_never_panics(text in "([{}|~'\" ]|state|_value|é){0,20}") {
            let _ = known().translate(&text, Place::ConsentUrl);
        }
    }
}

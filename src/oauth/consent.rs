//! The two requests of a consent flow, made as Flow makes them (flow-protocol.md, 5.2 and 5.3): the
//! URL where the user consents, with PKCE and a state that only we know, and the request that turns
//! the code into tokens. Pure: who opens, listens and sends is the caller's to say.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;

use super::spec::text_of;
use super::template;
use crate::flow::message::OAuth2;

/// How long Flow's verifier is.
const VERIFIER: usize = 50;
/// How long Flow's verification token is.
const TOKEN: usize = 40;

/// What the operator of a consent flow has.
#[derive(Debug)]
pub struct Client {
    /// The provider's name for the application.
    pub id: String,
    /// What the application shows to the provider.
    pub secret: String,
    /// The endpoint config as far as it is known.
    pub config: Value,
    /// Further variables of the token request, which Flow's server would have.
    pub injected: Map<String, Value>,
    /// Where the provider sends the user back to.
    pub redirect_uri: String,
}

/// One attempt to get consent.
#[derive(Debug)]
pub struct Attempt<'a> {
    block: &'a OAuth2,
    client: Client,
    state: State,
    code_verifier: String,
}

/// What tells the redirect of one attempt from others.
#[derive(Debug, Clone)]
pub struct State(String);

impl State {
    /// Whether a redirect with this state belongs to the attempt, compared in constant time.
    pub fn owns(&self, state: &str) -> bool {
        // Flow looks at the token inside, but it has sent the whole, and gets the whole back.
        self.0.as_bytes().ct_eq(state.as_bytes()).into()
    }
}

/// A request to be sent to the provider.
#[derive(Debug)]
pub struct TokenRequest {
    /// `POST`, unless the block says otherwise.
    pub method: String,
    /// Where to.
    pub url: String,
    /// With names in lower case where they are Flow's own.
    pub headers: Vec<(String, String)>,
    /// `None` where the block has no body.
    pub body: Option<String>,
}

impl<'a> Attempt<'a> {
    /// A new attempt, with a state and a verifier of its own.
    pub fn new(block: &'a OAuth2, client: Client) -> Result<Self, String> {
        let state = json!({"verification_token": random(TOKEN)?});
        Ok(Self {
            block,
            client,
            state: State(STANDARD.encode(state.to_string())),
            code_verifier: random(VERIFIER)?,
        })
    }

    /// The same with no secrets in it, for showing what would be sent.
    pub fn masked(block: &'a OAuth2, mut client: Client, mask: &str) -> Result<Self, String> {
        mask.clone_into(&mut client.secret);
        client.injected.values_mut().for_each(|value| *value = mask.into());
        Ok(Self { code_verifier: mask.to_owned(), ..Self::new(block, client)? })
    }

    /// Where the user consents.
    pub fn auth_url(&self) -> Result<String, String> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, self.code_verifier.as_bytes()));
        let context = json!({
            "state": self.state.0,
            "redirect_uri": self.client.redirect_uri,
            "client_id": self.client.id,
            "config": self.client.config,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        });
        rendered("authUrlTemplate", &self.block.auth_url_template, &context)
    }

    /// What the redirect must bring back.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The request that turns the code into tokens. `redirect` has the parameters that the provider
    /// sent back; they may stand in for other variables, as in Flow.
    pub fn token_request(&self, redirect: &Map<String, Value>) -> Result<TokenRequest, String> {
        let mut context = json!({
            "redirect_uri": self.client.redirect_uri,
            "client_id": self.client.id,
            "client_secret": self.client.secret,
            "config": self.client.config,
            "code_verifier": self.code_verifier,
        });
        if let Some(context) = context.as_object_mut() {
            context.extend(self.client.injected.clone());
            context.extend(redirect.clone());
        }
        let block = self.block;
        let body = rendered("accessTokenBody", &block.access_token_body, &context)?;
        let method = Some(block.access_token_method.clone()).filter(|method| !method.is_empty());
        Ok(TokenRequest {
            method: method.unwrap_or_else(|| "POST".to_owned()),
            url: rendered("accessTokenUrlTemplate", &block.access_token_url_template, &context)?,
            headers: self.headers(&context)?,
            body: Some(body).filter(|body| !body.is_empty()),
        })
    }

    fn headers(&self, context: &Value) -> Result<Vec<(String, String)>, String> {
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        let given = &self.block.access_token_headers;
        if !given.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        for (name, text) in given {
            let value = rendered(&format!("accessTokenHeaders.{name}"), &text_of(text), context)?;
            // As in Flow, only a header that is spelled like a default replaces it.
            headers.retain(|(default, _)| default != name);
            headers.push((name.clone(), value));
        }
        Ok(headers)
    }

    /// The `credentials` of the endpoint config, from the provider's answer: what the response map
    /// names, with the client's own two values.
    pub fn credentials(&self, answer: &Value) -> Result<Map<String, Value>, String> {
        let mut credentials = Map::new();
        for (name, source) in &self.block.access_token_response_map {
            let source = text_of(source);
            let value = if source.starts_with('/') {
                answer.pointer(&source).cloned().ok_or_else(|| {
                    format!("the provider's answer has nothing at {source:?}, which is to become {name:?}")
                })?
            } else {
                rendered_answer(&format!("accessTokenResponseMap.{name}"), &source, answer)?.into()
            };
            credentials.insert(name.clone(), value);
        }
        credentials.insert("client_id".to_owned(), self.client.id.clone().into());
        credentials.insert("client_secret".to_owned(), self.client.secret.clone().into());
        Ok(credentials)
    }
}

/// Renders a template that must lack nothing: Flow would insert nothing, and the provider then refuses.
fn rendered(place: &str, text: &str, context: &Value) -> Result<String, String> {
    if let Some(missing) = template::missing(text, context) {
        let hint = match missing.strip_prefix("config.") {
            Some(_) => "give it in the capture's config, or with --endpoint-config",
            None => "correct its name; what Flow's server adds comes with --injected-values",
        };
        return Err(format!("{place} inserts {missing:?}, which there is not: {hint}"));
    }
    template::render(text, context).map_err(|why| format!("{place}: {why}"))
}

/// Renders a template of the provider's answer, and says by name what that lacks: Flow inserts nothing
/// for it.
fn rendered_answer(place: &str, text: &str, answer: &Value) -> Result<String, String> {
    if let Some(missing) = template::missing(text, answer) {
        tracing::warn!(
            "oauth2: {place} inserts {missing:?}, which the provider did not send; it is left empty"
        );
    }
    template::render(text, answer).map_err(|why| format!("{place}: {why}"))
}

/// Letters and digits, each as likely as any other.
fn random(length: usize) -> Result<String, String> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let source = SystemRandom::new();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        source.fill(&mut bytes).map_err(|_| "the system has no random numbers".to_owned())?;
        let letters = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte & 63)));
        text.extend(letters.take(length - text.len()).map(|&letter| char::from(letter)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(value: Value) -> OAuth2 {
        serde_json::from_str(&value.to_string()).expect("a block")
    }

    fn client() -> Client {
        Client {
            id: "me".to_owned(),
            secret: "s3cret".to_owned(),
            config: json!({"shop": "acme"}),
            injected: Map::from_iter([("developer_token".to_owned(), "d3v".into())]),
            redirect_uri: "http://localhost:16963/".to_owned(),
        }
    }

    #[test]
    fn a_state_belongs_to_one_attempt() {
        let block = block(
            json!({"authUrlTemplate": "{{{state}}} {{{code_challenge}}} {{{code_challenge_method}}} {{{config.shop}}}"}),
        );
        let (one, other) =
            (Attempt::new(&block, client()).expect("one"), Attempt::new(&block, client()).expect("other"));
        let url = one.auth_url().expect("a URL");
        let parts: Vec<_> = url.split(' ').collect();
        assert!(one.state().owns(parts[0]) && !other.state().owns(parts[0]) && !one.state().owns(""));
        let state: Value = serde_json::from_slice(&STANDARD.decode(parts[0]).expect("base64")).expect("JSON");
        assert_eq!(state["verification_token"].as_str().map(str::len), Some(TOKEN));
        assert_eq!(parts[1], URL_SAFE_NO_PAD.encode(digest(&SHA256, one.code_verifier.as_bytes())));
        assert_eq!(
            (one.code_verifier.len(), parts[1].len(), parts[2], parts[3]),
            (VERIFIER, 43, "S256", "acme")
        );
    }

    #[test]
    fn a_token_request_has_flows_defaults_and_the_blocks_own() {
        let block = block(json!({
            "accessTokenUrlTemplate": "https://x/{{{config.shop}}}", "accessTokenBody": "{{{code}}} {{{client_secret}}} {{{developer_token}}} {{{code_verifier}}}",
            "accessTokenHeaders": {"Content-Type": "text/plain", "accept": "*/*", "authorization": "{{#basicauth}}{{{client_id}}}:{{{client_secret}}}{{/basicauth}}"},
            "accessTokenMethod": "PUT",
        }));
        let redirect = Map::from_iter([("code".to_owned(), "c0de".into())]);
        let request =
            Attempt::new(&block, client()).expect("one").token_request(&redirect).expect("a request");
        assert_eq!((request.method.as_str(), request.url.as_str()), ("PUT", "https://x/acme"));
        assert!(request.body.expect("a body").starts_with("c0de s3cret d3v "));
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(headers, ["Content-Type: text/plain", "accept: */*", "authorization: bWU6czNjcmV0"]);

        let masked = Attempt::masked(&block, client(), "****")
            .expect("one")
            .token_request(&redirect)
            .expect("a request");
        assert_eq!(masked.body.as_deref(), Some("c0de **** **** ****"));
    }

    #[test]
    fn credentials_are_what_the_map_names() {
        let block = block(json!({"accessTokenResponseMap": {
            "access_token": "/data/token", "scopes": "/data/scopes", "expires_at": "{{#now_plus}}{{ expires_in }}{{/now_plus}}",
        }}));
        let attempt = Attempt::new(&block, client()).expect("one");
        let answer = json!({"data": {"token": "t", "scopes": ["a"]}, "expires_in": 60, "more": 1});
        let credentials = attempt.credentials(&answer).expect("credentials");
        let names: Vec<_> = credentials.keys().map(String::as_str).collect();
        assert_eq!(names, ["access_token", "expires_at", "scopes", "client_id", "client_secret"]);
        assert_eq!((&credentials["access_token"], &credentials["scopes"]), (&json!("t"), &json!(["a"])));
        let mistyped = self::block(
            json!({"authUrlTemplate": "{{{code_chalenge}}}", "accessTokenBody": "{{{code_verifer}}}"}),
        );
        let mistyped = Attempt::new(&mistyped, client()).expect("one");
        assert!(mistyped.auth_url().expect_err("unknown").contains("code_chalenge"));
        assert!(mistyped.token_request(&Map::new()).expect_err("unknown").contains("code_verifer"));
        let lacking = attempt.credentials(&json!({"data": {}})).expect_err("no token");
        assert!(lacking.contains("/data/"), "{lacking}");
    }
}

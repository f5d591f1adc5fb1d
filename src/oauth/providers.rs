//! Consent flows of sources that describe only where values go: completed from the manifest's own
//! authenticator, and from what providers publish.
//!
//! A manifest names the endpoint that renews tokens, which is the one that turns a code into tokens too
//! (RFC 6749, 3.2). Where users consent stands in no manifest, so it is known here for providers that
//! have one address for all.

use serde_json::{Map, Value, json};

/// A provider: its token endpoint, where users consent, what that address needs besides, and whether it
/// wants PKCE.
struct Provider {
    token: &'static str,
    consent: &'static str,
    more: &'static str,
    pkce: bool,
}

const fn provider(token: &'static str, consent: &'static str, more: &'static str) -> Provider {
    Provider { token, consent, more, pkce: false }
}

/// From the providers' own documentation.
const PROVIDERS: &[Provider] = &[
    provider(
        "https://oauth2.googleapis.com/token",
        "https://accounts.google.com/o/oauth2/v2/auth",
        "&access_type=offline&prompt=consent",
    ),
    provider(
        "https://www.googleapis.com/oauth2/v4/token",
        "https://accounts.google.com/o/oauth2/v2/auth",
        "&access_type=offline&prompt=consent",
    ),
    provider("https://api.hubapi.com/oauth/v1/token", "https://app.hubspot.com/oauth/authorize", ""),
    provider(
        "https://api.notion.com/v1/oauth/token",
        "https://api.notion.com/v1/oauth/authorize",
        "&owner=user",
    ),
    Provider {
        token: "https://airtable.com/oauth2/v1/token",
        consent: "https://airtable.com/oauth2/v1/authorize",
        more: "",
        pkce: true,
    },
    provider("https://github.com/login/oauth/access_token", "https://github.com/login/oauth/authorize", ""),
    provider("https://gitlab.com/oauth/token", "https://gitlab.com/oauth/authorize", ""),
    provider("https://app.asana.com/-/oauth_token", "https://app.asana.com/-/oauth_authorize", ""),
    provider(
        "https://login.salesforce.com/services/oauth2/token",
        "https://login.salesforce.com/services/oauth2/authorize",
        "",
    ),
    provider(
        "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
        "https://appcenter.intuit.com/connect/oauth2",
        "",
    ),
    provider(
        "https://identity.xero.com/connect/token",
        "https://login.xero.com/identity/connect/authorize",
        "",
    ),
    provider(
        "https://www.linkedin.com/oauth/v2/accessToken",
        "https://www.linkedin.com/oauth/v2/authorization",
        "",
    ),
    provider("https://zoom.us/oauth/token", "https://zoom.us/oauth/authorize", ""),
    provider("https://auth.calendly.com/oauth/token", "https://auth.calendly.com/oauth/authorize", ""),
    provider(
        "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        "",
    ),
    provider("https://login.live.com/oauth20_token.srf", "https://login.live.com/oauth20_authorize.srf", ""),
];

/// The member of an `advanced_auth` that describes the flow itself.
const FLOW: &str = "oauth_connector_input_specification";

/// Whether an `advanced_auth` describes its flow, and not only where values go.
pub fn describes_flow(advanced_auth: &Value) -> bool {
    advanced_auth["oauth_config_specification"][FLOW].is_object()
}

/// An `advanced_auth` that describes no flow, with the one that the manifest's authenticator implies.
/// `Err` says why there is none. What describes a flow already stays as it is.
pub fn with_manifest(advanced_auth: &Value, manifest: &Value) -> Result<Value, String> {
    if describes_flow(advanced_auth) {
        return Ok(advanced_auth.clone());
    }
    let authenticator = authenticator(manifest)
        .ok_or("the manifest has no OAuthAuthenticator with a token_refresh_endpoint")?;
    let token = authenticator["token_refresh_endpoint"].as_str().unwrap_or_default().trim_end_matches('/');
    let known = PROVIDERS.iter().find(|provider| provider.token == token);
    let known = known.ok_or_else(|| {
        format!("where users of {token:?} consent is not known; write the `oauth2` block out")
    })?;
    let challenge = if known.pkce {
        "&code_challenge={{ state_value | codechallengeS256 }}&code_challenge_method=S256"
    } else {
        ""
    };
    let scopes = scopes(authenticator);
    let scope = if scopes.is_empty() { "" } else { "&{{ scopes_param }}" };
    let mut params = Map::new();
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "{{ auth_code_value }}"),
        ("redirect_uri", "{{ redirect_uri_value }}"),
        ("client_id", "{{ client_id_value }}"),
        ("client_secret", "{{ client_secret_value }}"),
    ] {
        params.insert(name.to_owned(), value.into());
    }
    if known.pkce {
        params.insert("code_verifier".to_owned(), "{{ state_value }}".into());
    }
    let consent = known.consent;
    let more = known.more;
    let mut described = advanced_auth.clone();
    let outputs = outputs(advanced_auth);
    described["oauth_config_specification"][FLOW] = json!({
        "consent_url": format!(
            "{consent}?response_type=code&{{{{ client_id_param }}}}&{{{{ redirect_uri_param }}}}&{{{{ state_param }}}}{scope}{more}{challenge}"
        ),
        "access_token_url": token,
        "scopes": scopes,
        "access_token_headers": {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        "access_token_params": params,
        "extract_output": outputs,
    });
    Ok(described)
}

/// The values that a token request brings, of those that the source wants: what lies elsewhere than the
/// credentials is the user's to give, such as the name of a shop.
pub(super) fn outputs(advanced_auth: &Value) -> Vec<&str> {
    let placed = &advanced_auth["oauth_config_specification"]["complete_oauth_output_specification"];
    let names = placed["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    let mut outputs: Vec<&str> = names
        .map(|name| if name == "token_expiry_date" { "expires_in" } else { name })
        .filter(|name| *name == "expires_in" || name.ends_with("token"))
        .collect();
    if outputs.is_empty() {
        outputs.push("refresh_token");
    }
    outputs
}

/// The first authenticator that renews tokens at a fixed address, wherever in the manifest.
fn authenticator(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(members) => {
            let endpoint = members.get("token_refresh_endpoint").and_then(Value::as_str);
            let fixed = endpoint.is_some_and(|url| url.starts_with("https://") && !url.contains("{{"));
            if fixed { Some(value) } else { members.values().find_map(authenticator) }
        }
        Value::Array(items) => items.iter().find_map(authenticator),
        _ => None,
    }
}

/// Those that the authenticator asks for when it renews a token.
fn scopes(authenticator: &Value) -> Vec<Value> {
    let listed = authenticator["scopes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let plain = listed.iter().filter(|scope| scope.as_str().is_some_and(|scope| !scope.contains("{{")));
    plain.map(|scope| json!({"scope": scope})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::derive::derive;

    fn recorded(text: &str) -> Value {
        let line = text.lines().find(|line| line.contains("advanced_auth")).expect("a spec");
        serde_json::from_str::<Value>(line).expect("JSON")["spec"]["advanced_auth"].clone()
    }

    fn manifest(endpoint: &str) -> Value {
        json!({"definitions": {"auth": {"type": "SelectiveAuthenticator", "authenticators": {"oauth": {
            "type": "OAuthAuthenticator", "token_refresh_endpoint": endpoint, "scopes": ["a:read", "b"],
        }}}}})
    }

    #[test]
    fn what_a_source_leaves_out_comes_from_its_manifest() {
        for (text, endpoint, provider, outputs) in [
            (
                include_str!("../../fixtures/airbyte/airtable/spec.jsonl"),
                "https://airtable.com/oauth2/v1/token",
                "airtable",
                vec!["access_token", "refresh_token", "token_expiry_date"],
            ),
            (
                include_str!("../../fixtures/airbyte/hubspot/spec.jsonl"),
                "https://api.hubapi.com/oauth/v1/token",
                "hubspot",
                vec!["refresh_token"],
            ),
            (
                include_str!("../../fixtures/airbyte/google-sheets/spec.jsonl"),
                "https://oauth2.googleapis.com/token",
                "google",
                vec!["refresh_token"],
            ),
        ] {
            let described = with_manifest(&recorded(text), &manifest(endpoint)).expect("a flow");
            let derived = derive(&described).expect("a block");
            let block = derived.message;
            assert_eq!(
                (block.provider.as_str(), block.access_token_url_template.as_str()),
                (provider, endpoint)
            );
            assert!(block.auth_url_template.contains("scope=a%3Aread%20b"), "{}", block.auth_url_template);
            assert!(block.access_token_body.starts_with("grant_type=authorization_code&code="));
            assert_eq!(
                block.access_token_response_map.keys().map(String::as_str).collect::<Vec<_>>(),
                outputs
            );
            let pkce = provider == "airtable";
            assert_eq!(block.auth_url_template.contains("{{{code_challenge}}}"), pkce);
            assert_eq!(block.access_token_body.contains("code_verifier={{{code_verifier}}}"), pkce);
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let shopify = recorded(include_str!("../../fixtures/airbyte/shopify/spec.jsonl"));
        assert!(with_manifest(&shopify, &json!({})).expect_err("none").contains("no OAuthAuthenticator"));
        let own = with_manifest(&shopify, &manifest("https://auth.example/token")).expect_err("none");
        assert!(own.contains("auth.example"), "{own}");
        let templated = manifest("https://{{ config['shop'] }}.example/token");
        assert!(with_manifest(&shopify, &templated).is_err());
        assert_eq!(outputs(&shopify), ["access_token"], "the shop is the user's to give");
        let github = recorded(include_str!("../../fixtures/airbyte/github/spec.jsonl"));
        assert_eq!(with_manifest(&github, &json!({})), Ok(github));
    }
}

//! Names of settings that hold secrets, where no schema says so.

/// Parts of names that tell a secret.
const PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "privatekey",
    "access_key",
    "accesskey",
    "account_key",
    "accountkey",
    "auth_key",
    "authkey",
    "signing_key",
    "encryption_key",
    "application_key",
    "app_key",
    "license_key",
    "ssh_key",
    "credential",
    "authorization",
    "bearer",
    "service_account_info",
    "service_account_json",
    "service_account_key",
    "sqlalchemy_url",
    "connection_string",
];
/// Whole names that tell a secret.
const WHOLE: &[&str] = &["pwd", "pass", "pat", "jwt", "cookie", "sas_url", "webhook_url"];
/// Last words of names that are about a secret and hold none, such as `token_refresh_endpoint`.
const HARMLESS_ENDS: &[&str] = &[
    "algorithm",
    "at",
    "audience",
    "count",
    "database",
    "date",
    "description",
    "domain",
    "email",
    "encoding",
    "endpoint",
    "env",
    "expires",
    "expiry",
    "field",
    "flow",
    "format",
    "grant",
    "header",
    "headers",
    "host",
    "hostname",
    "in",
    "issuer",
    "kind",
    "label",
    "lifetime",
    "limit",
    "location",
    "manager",
    "method",
    "mode",
    "name",
    "names",
    "option",
    "param",
    "parameter",
    "path",
    "placement",
    "policy",
    "port",
    "prefix",
    "profile",
    "project",
    "provider",
    "region",
    "scheme",
    "scope",
    "scopes",
    "server",
    "source",
    "store",
    "strategy",
    "timeout",
    "title",
    "ttl",
    "type",
    "uri",
    "url",
    "urls",
    "variable",
    "version",
];
/// Parts of other words, in which a part that tells a secret stands.
const OTHER_WORDS: &[&str] = &["tokeniz", "tokenis", "secretar"];

/// Whether a member of this name holds a secret when it holds text.
pub fn tells_secret(name: &str) -> bool {
    let mut name = in_words(name);
    if ["sqlalchemy_url", "connection_string"].iter().any(|part| name.contains(part))
        || WHOLE.contains(&name.as_str())
    {
        return true;
    }
    for other in OTHER_WORDS {
        name = name.replace(other, "");
    }
    let last = name.rsplit('_').next().unwrap_or_default();
    PARTS.iter().any(|part| name.contains(part)) && !HARMLESS_ENDS.contains(&last)
}

/// `tokenURL`, `token-url` and `Token URL` as `token_url`.
fn in_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for character in name.chars() {
        if character.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit()) {
            words.push('_');
        }
        let separator = matches!(character, '-' | ' ' | '.');
        words.extend(if separator { '_' } else { character }.to_lowercase());
        before = character;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of real configs whose values must be masked.
    const SECRET: &[&str] = &[
        "client_secret",
        "clientSecret",
        "apiKey",
        "api-key",
        "API Key",
        "X-API-Key",
        "Password",
        "tunnel_user_password",
        "refresh-token",
        "access_token",
        "accesstoken",
        "token",
        "sqlalchemy_url",
        "connection_string",
        "aws_secret_access_key",
        "azure_blob_storage_account_key",
        "private_key",
        "privateKey",
        "service_account_info",
        "credentials_json",
        "application_key",
        "signing_key",
        "Authorization",
        "pwd",
        "pat",
        "webhook_url",
        "secret",
        "sshKeyPassphrase",
    ];
    /// Names whose values must stay readable: an error without them tells nothing.
    const READABLE: &[&str] = &[
        "token_url",
        "tokenUrl",
        "tokenURL",
        "access_token_url",
        "token_uri",
        "token_refresh_endpoint",
        "api_key_header",
        "api_key_name",
        "apiKeyPrefix",
        "auth_token_host",
        "secret_project",
        "secret_name",
        "secret_manager_region",
        "credentials_title",
        "token_expiry_date",
        "token_expires_in",
        "token_type",
        "token_scope",
        "password_policy",
        "private_key_path",
        "tokenizer",
        "secretary",
        "service_account_email",
        "start_date",
        "host",
        "username",
        "key",
        "compass",
    ];

    #[test]
    fn names_tell_secrets_that_nobody_marked() {
        for name in SECRET {
            assert!(tells_secret(name), "{name}");
        }
        for name in READABLE {
            assert!(!tells_secret(name), "{name}");
        }
    }
}

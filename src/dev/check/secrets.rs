//! Secrets in the clear, in a config that is kept with the shim.

use serde_json::{Value, json};

use super::report::{Place, Report};
use super::subject::Subject;
use crate::capture::config::secrets;

/// Words in a value that say that it opens nothing, and the beginning of a template.
const NO_SECRETS: &[&str] =
    &["fake", "example", "dummy", "placeholder", "changeme", "replace", "your", "xxx", "test", "{{"];

/// Checks a config; one that sops encrypted is as it should be.
pub(super) fn check(config: &Value, place: &Place, subject: &Subject<'_>, report: &mut Report) {
    if config["sops"].is_object() || is_local(config) {
        return;
    }
    let schema = subject.seen_schema().unwrap_or_else(|| json!({}));
    let found = secrets::secrets(&schema, config);
    for name in found.into_iter().filter(|(_, value)| !opens_nothing(value)).map(|(name, _)| name) {
        let what = format!("{name:?} holds a secret in the clear");
        report.error(
            place.clone().item(&name),
            &what,
            "put the config into a file of its own, encrypt it with `flow-shim encrypt` or sops, and rotate the secret",
        );
    }
}

/// Whether a config is for a server on the machine where it is used: a database that tests start.
fn is_local(config: &Value) -> bool {
    ["host", "hostname"].iter().any(|name| matches!(config[*name].as_str(), Some("localhost" | "127.0.0.1")))
}

/// Whether a value can be no secret: it is short, made up, or a template.
pub(super) fn opens_nothing(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    value.chars().count() < 6 || NO_SECRETS.iter().any(|word| value.contains(word))
}

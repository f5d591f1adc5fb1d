//! Every environment variable that flow-shim looks at. Nothing else calls `std::env::var`.

#![expect(clippy::disallowed_methods, reason = "this is the one place")]

use std::ffi::OsString;

/// The shim's folder; the flag is `--shim`. Upstream gets it too, as an absolute path.
pub const SHIM_DIR: &str = "FLOW_SHIM_DIR";
/// `airbyte` or `singer`; the flag is `--protocol`.
pub const PROTOCOL: &str = "FLOW_SHIM_PROTOCOL";
/// `json` or `proto`; the flag is `--codec`. Flow's name for it.
pub const CODEC: &str = "FLOW_RUNTIME_CODEC";
/// `error`, `warn`, `info`, `debug` or `trace`; set by Flow.
pub const LOG_LEVEL: &str = "LOG_LEVEL";
/// The docker command, for `raw` and `preview` with an image; Flow's name for it.
pub const DOCKER_CLI: &str = "DOCKER_CLI";

/// A file of CA certificates in PEM that are believed instead of the web's; OpenSSL's name for it.
/// Upstream sees it too. Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";

/// Age keys that open encrypted configs of the driver; sops' name for it.
pub const SOPS_AGE_KEY: &str = "SOPS_AGE_KEY";
/// A file with such keys; sops' name for it.
pub const SOPS_AGE_KEY_FILE: &str = "SOPS_AGE_KEY_FILE";

/// A variable's value, where it is set, not empty, and UTF-8.
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where programs are looked up.
pub fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin"))
}

//! Every environment variable that flow-shim looks at. Nothing else calls `std::env::var`.

#![expect(clippy::disallowed_methods, reason = "this is the one place")]

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The shim's folder; the flag is `--shim`. Upstream gets it too, as an absolute path.
pub const SHIM_DIR: &str = "FLOW_SHIM_DIR";
/// `airbyte` or `singer`; the flag is `--protocol`.
pub const PROTOCOL: &str = "FLOW_SHIM_PROTOCOL";
/// `json` or `proto`; the flag is `--codec`. Flow's name for it.
pub const CODEC: &str = "FLOW_RUNTIME_CODEC";
/// `error`, `warn`, `info`, `debug` or `trace`; set by Flow.
pub const LOG_LEVEL: &str = "LOG_LEVEL";
/// `json` has the log's lines be JSON also where a person reads them; the driver sets it for connectors.
pub const LOG_FORMAT: &str = "LOG_FORMAT";
/// Whether there are no colours; see <https://no-color.org>.
pub const NO_COLOR: &str = "NO_COLOR";
/// `0` means no colours; see <https://bixense.com/clicolors>.
pub const CLICOLOR: &str = "CLICOLOR";
/// Anything but `0` means colours also where nobody reads them.
pub const CLICOLOR_FORCE: &str = "CLICOLOR_FORCE";
/// The kind of terminal; `dumb` ones have no colours.
pub const TERM: &str = "TERM";
/// The docker command, for `raw` and `preview` with an image; Flow's name for it.
pub const DOCKER_CLI: &str = "DOCKER_CLI";

/// A file of CA certificates in PEM that are believed instead of the web's; OpenSSL's name for it.
/// Upstream sees it too. Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Where the connector is explained; set in an image, it replaces what shim.yaml and upstream say.
pub const DOCS_URL: &str = "DOCS_URL";
/// How an Airbyte image's connector is started, as a shell would read it; set in every such image
/// (airbyte-protocol.md, section 1.4). It counts where nothing else names a command.
pub const AIRBYTE_ENTRYPOINT: &str = "AIRBYTE_ENTRYPOINT";

/// Where configs are encrypted for Flow; set by Flow.
pub const ENCRYPTION_URL: &str = "ENCRYPTION_URL";

/// Whether a Python that is aborted prints its stacks; set for upstream where it is not set.
pub const PYTHONFAULTHANDLER: &str = "PYTHONFAULTHANDLER";

/// In which encoding a Python's streams are; set to UTF-8 for upstream where it is not set.
pub const PYTHONIOENCODING: &str = "PYTHONIOENCODING";
/// The variables that name the locale of text, the strongest first. Where none does, upstream gets
/// a UTF-8 one.
pub const LOCALE: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];
/// Whether libraries may report that they are used; upstream gets `true` where one is not set.
pub const NO_TRACKING: [&str; 2] = ["SCARF_NO_ANALYTICS", "DO_NOT_TRACK"];

/// Options of a JVM; upstream gets some in a container with a limit, where none of [`JAVA`] is set.
pub const JAVA_TOOL_OPTIONS: &str = "JAVA_TOOL_OPTIONS";
/// Where people and images put options of a JVM.
pub const JAVA: [&str; 4] = [JAVA_TOOL_OPTIONS, "JDK_JAVA_OPTIONS", "JAVA_OPTS", "_JAVA_OPTIONS"];
/// Set by images that hold a JVM.
pub const JAVA_HOME: &str = "JAVA_HOME";
/// How many heaps glibc keeps; set for upstream in a container with a limit, where it is not set.
pub const MALLOC_ARENA_MAX: &str = "MALLOC_ARENA_MAX";

/// Where temporary files are; the warden gets it.
pub const TMPDIR: &str = "TMPDIR";

/// airbyte-to-flow's: with `per_stream`, the connector of a folder in its layout gets its state as a
/// list of STREAM messages.
pub const ATF_STATE_FORMAT: &str = "AIRBYTE_TO_FLOW_STATE_FORMAT";

/// Age keys that open encrypted configs of the driver; sops' name for it.
pub const SOPS_AGE_KEY: &str = "SOPS_AGE_KEY";
/// A file with such keys; sops' name for it.
pub const SOPS_AGE_KEY_FILE: &str = "SOPS_AGE_KEY_FILE";

/// Whether a variable is set at all.
pub fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// A variable's value, where it is set, not empty, and UTF-8.
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where programs are looked up.
pub fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin"))
}

/// The program of this name in one of the places of [`path`], where there is one.
pub fn program(name: &str) -> Option<PathBuf> {
    program_in(std::env::split_paths(&path()), name)
}

/// The same in one of these folders.
pub fn program_in(folders: impl IntoIterator<Item = PathBuf>, name: &str) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(name)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

//! The words by which failures are found: each stays the same while messages change, stands at the
//! end of the last line and in its field `code`, and has a row in docs/errors.md.
//!
//! One code is one remedy. A failure cannot be made without one, and a code only here.

use std::fmt;

use super::Cause;

/// What went wrong, as a word to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    name: &'static str,
    cause: Cause,
}

impl Code {
    /// A signal asked us to stop.
    pub const fn stopped(signal: i32) -> Self {
        Self { name: "stopped", cause: Cause::Stopped(signal) }
    }

    /// The code of this name; `None` where there is none, or where it needs a signal.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name == name)
    }

    /// As it stands in messages.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Whether operators get a copy of the failure (flow-protocol.md, R18): it is rare, and points at the
    /// connector or its surroundings rather than at one user's settings.
    pub fn is_observable(self) -> bool {
        [Self::UPSTREAM_HUNG, Self::OUT_OF_MEMORY, Self::TOO_MANY_DELETES].contains(&self)
    }

    /// Why a run fails so.
    pub const fn cause(self) -> Cause {
        self.cause
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! codes {
    ($($cause:ident { $($(#[$doc:meta])* $code:ident = $name:literal;)* })*) => {
        impl Code {
            $($(
                $(#[$doc])*
                pub const $code: Self = Self { name: $name, cause: Cause::$cause };
            )*)*

            /// All of them but [`Code::stopped`].
            pub const ALL: &[Self] = &[$($(Self::$code),*),*];
        }
    };
}

codes! {
    Internal {
        /// Something happened that cannot.
        BUG = "bug";
        /// The operating system refused a process, a pipe or a thread.
        SYSTEM = "system";
        /// The private folder of a run cannot be made or written.
        TEMPORARY_FILES = "temporary-files";
        /// Documents break their collection's schema or key.
        INVALID_DOCUMENTS = "invalid-documents";
        /// Flow would refuse what was discovered.
        INVALID_DISCOVERY = "invalid-discovery";
        /// A merge left conflicts.
        MERGE_CONFLICTS = "merge-conflicts";
    }
    Usage {
        /// clap refused the command line.
        COMMAND_LINE = "command-line";
        /// An option, an argument or a variable has a value that makes no sense.
        BAD_OPTION = "bad-option";
        /// The flow.yaml has no capture of this name, or several and none was named.
        WHICH_CAPTURE = "which-capture";
        /// Neither shim.yaml nor the command line names upstream.
        NO_COMMAND = "no-command";
        /// The folder that was named is no shim.
        NO_SHIM = "no-shim";
        /// What should be made is there already.
        ALREADY_THERE = "already-there";
        /// A file that a command makes cannot be written.
        CANNOT_WRITE = "cannot-write";
        /// A transcript is missing or has an unknown directive.
        TRANSCRIPT = "transcript";
        /// The git repository is in no state to import into.
        GIT_NOT_READY = "git-not-ready";
        /// git cannot be started.
        NO_GIT = "no-git";
        /// There is no such file or folder upstream.
        NO_UPSTREAM_PATH = "no-upstream-path";
        /// A licence is unknown, or not an open one.
        LICENSE = "license";
        /// The port for the redirect is taken.
        PORT_TAKEN = "port-taken";
        /// No Python that is new enough.
        NO_PYTHON = "no-python";
    }
    Definition {
        /// shim.yaml is wrong.
        SHIM_YAML = "shim-yaml";
        /// A manifest, or the Python code beside it, is wrong.
        MANIFEST = "manifest";
        /// The source's metadata.yaml is wrong.
        METADATA_YAML = "metadata-yaml";
        /// A file in airbyte-to-flow's layout is wrong.
        ATF_FILES = "atf-files";
        /// The OAuth2 block is wrong.
        OAUTH2_BLOCK = "oauth2-block";
        /// The specification that `bake` kept cannot be used.
        BAKED_SPEC = "baked-spec";
        /// Neither protocol was recognised.
        WHICH_PROTOCOL = "which-protocol";
        /// There is no requirements.txt.
        NO_REQUIREMENTS = "no-requirements";
        /// The lock file of an import is damaged.
        LOCK_FILE = "lock-file";
    }
    Config {
        /// The endpoint config does not fit its schema.
        ENDPOINT_CONFIG = "endpoint-config";
        /// Upstream's check refused the config.
        CHECK_FAILED = "check-failed";
        /// Upstream reported a failure that it calls a mistake of the config.
        SOURCE_CONFIG = "source-config";
        /// A binding of the capture is wrong.
        BINDING = "binding";
        /// The source has no such stream.
        NO_STREAM = "no-stream";
        /// A discovery found no stream at all.
        NO_STREAMS = "no-streams";
        /// A stream hands over files in place of rows.
        FILES = "files";
        /// A stream cannot be read in the way that its binding asks for.
        STREAM_MODE = "stream-mode";
        /// A state in Flow's keeping cannot be read.
        STATE_UNREADABLE = "state-unreadable";
        /// A state is of a connector that we do not know.
        STATE_FOREIGN = "state-foreign";
        /// Records come under a name that no binding reads, and the position of a bound stream moves.
        STREAM_RENAMED = "stream-renamed";
        /// One state for all streams, where several readers would each need their own.
        STATE_SHARED = "state-shared";
        /// The flow.yaml, or a file that it names, is wrong.
        FLOW_YAML = "flow-yaml";
        /// A collection's schema is no JSON schema.
        COLLECTION_SCHEMA = "collection-schema";
        /// The endpoint's program or image cannot be started.
        ENDPOINT = "endpoint";
        /// The connector has no OAuth2 block, or no place for credentials.
        NO_OAUTH2 = "no-oauth2";
        /// The config of a capture could not be encrypted.
        NOT_ENCRYPTED = "not-encrypted";
        /// git refused.
        GIT = "git";
    }
    Upstream {
        /// Upstream reported a failure in its protocol.
        SOURCE_ERROR = "source-error";
        /// Upstream failed, and said why on stderr.
        UPSTREAM_FAILED = "upstream-failed";
        /// Upstream ended well, but did not read all streams.
        STREAMS_UNREAD = "streams-unread";
        /// A refresh would delete more of a collection than the shim allows.
        TOO_MANY_DELETES = "too-many-deletes";
        /// The OAuth2 provider refused.
        CONSENT_REFUSED = "consent-refused";
        /// pip or venv failed.
        INSTALL_FAILED = "install-failed";
        /// A file that was handed to the transcript's player cannot be read.
        REPLAYED_FILE = "replayed-file";
    }
    Crash {
        /// Upstream's program is nowhere.
        UPSTREAM_NOT_FOUND = "upstream-not-found";
        /// Upstream's program is there and cannot be started.
        UPSTREAM_NOT_STARTED = "upstream-not-started";
        /// A signal ended upstream.
        UPSTREAM_KILLED = "upstream-killed";
        /// Upstream had no memory left.
        OUT_OF_MEMORY = "out-of-memory";
        /// Upstream failed without a word.
        UPSTREAM_SILENT = "upstream-silent";
    }
    UpstreamProtocol {
        /// The program answers nothing that an Airbyte source would.
        NOT_AIRBYTE = "not-airbyte";
        /// The program answers nothing that a Singer tap would.
        NOT_SINGER = "not-singer";
        /// Upstream's answer to a question cannot be read.
        ANSWER = "answer";
        /// A message of upstream's is damaged.
        DAMAGED_MESSAGE = "damaged-message";
        /// Records that a state covers never came through the data channel.
        RECORDS_MISSING = "records-missing";
        /// A record is larger than the limit.
        RECORD_TOO_LARGE = "record-too-large";
        /// A batch file cannot be read.
        BATCH_FILE = "batch-file";
    }
    Timeout {
        /// Upstream did not answer a question in time.
        NO_ANSWER = "no-answer";
        /// Upstream showed no sign of life.
        UPSTREAM_HUNG = "upstream-hung";
        /// Upstream closed its output and stayed.
        NO_EXIT = "no-exit";
        /// Nobody came back from the consent page.
        NO_CONSENT = "no-consent";
    }
    Runtime {
        /// Flow's request cannot be read.
        REQUEST_UNREADABLE = "request-unreadable";
        /// Flow's request is not one that can come now.
        REQUEST_UNEXPECTED = "request-unexpected";
        /// stdin or stdout is closed, or cannot be written.
        PIPES = "pipes";
        /// The driver's connector broke Flow's protocol.
        CONNECTOR_PROTOCOL = "connector-protocol";
        /// The driver's connector failed in words of its own.
        CONNECTOR_FAILED = "connector-failed";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_name_and_is_like_no_other() {
        for code in Code::ALL {
            assert_eq!(Code::named(code.name), Some(*code));
        }
        assert_eq!(Code::named("stopped"), None);
        assert_eq!(Code::stopped(15).cause().exit_code(), 143);
    }
}

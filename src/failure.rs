//! How a run of flow-shim fails: one [`Failure`], logged once, as the last line on stderr.
//!
//! Flow shows that last line to the user, so a failure carries a message for people, a code to search
//! for, and the facts that a developer wants beside it. Texts are fragments in lower case that say what
//! happened, where, and what to do; they never hold a value of a config.

mod code;
mod kind;

use std::fmt;

use serde_json::{Map, Value};

pub use self::code::Code;
pub use self::kind::FailureType;

/// Why a run failed; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A bug of flow-shim, violations that `preview` found, or conflicts that a merge left (exit code 1).
    Internal,
    /// The command line is wrong (2).
    Usage,
    /// The shim's definition is wrong: `shim.yaml` or a file beside it (3).
    Definition,
    /// The user's config, a binding or a collection is wrong (4).
    Config,
    /// Upstream said that it failed: a TRACE ERROR, a FAILED check, or a non-zero exit with words (10).
    Upstream,
    /// Upstream could not be started, crashed, or was killed (11).
    Crash,
    /// Upstream broke its own protocol (12).
    UpstreamProtocol,
    /// Upstream did not answer in time (13).
    Timeout,
    /// Flow's side broke its protocol or went away (20).
    Runtime,
    /// A signal asked us to stop before the work was done (128 + the signal's number).
    Stopped(i32),
}

impl Cause {
    /// The process exit code that stands for this cause.
    pub fn exit_code(self) -> u8 {
        match self {
            Cause::Internal => 1,
            Cause::Usage => 2,
            Cause::Definition => 3,
            Cause::Config => 4,
            Cause::Upstream => 10,
            Cause::Crash => 11,
            Cause::UpstreamProtocol => 12,
            Cause::Timeout => 13,
            Cause::Runtime => 20,
            Cause::Stopped(signal) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)),
        }
    }
}

/// What is said last, and the exit code that goes with it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What, as a word to search for.
    pub code: Code,
    /// One sentence for the user.
    pub message: String,
    /// Facts beside it, for developers: stack traces, internal messages, exit statuses.
    pub fields: Map<String, Value>,
}

impl Failure {
    /// A failure with a message for the user and no further facts.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Map::new() }
    }

    /// Why, which decides the exit code.
    pub fn cause(&self) -> Cause {
        self.code.cause()
    }

    /// Adds a fact that is logged beside the message.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a fact unless it is there already, or is `None`.
    #[must_use]
    pub fn or_with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value.filter(|_| !self.fields.contains_key(name)) {
            self.fields.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Who can do something about it: as upstream told, else derived.
    pub fn failure_type(&self) -> FailureType {
        let told = self.fields.get("failureType").and_then(Value::as_str).and_then(FailureType::told);
        told.unwrap_or_else(|| FailureType::derived(self.cause(), &self.message))
    }

    /// Says that a catalog came before the failure. Flow removes the bindings of streams that a catalog
    /// lacks, so it must not be used.
    #[must_use]
    pub fn although_answered(mut self) -> Self {
        self.message.push_str("; it printed a catalog, which may lack streams and is therefore not used");
        self
    }

    /// Puts what was being done before the message, unless it begins with that: `"validate: …"`.
    #[must_use]
    pub fn while_doing(mut self, context: &str) -> Self {
        if !self.message.strip_prefix(context).is_some_and(|rest| rest.starts_with([' ', ':'])) {
            self.message = format!("{context}: {}", self.message);
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_becomes_the_shells_exit_code() {
        assert_eq!(Cause::Stopped(15).exit_code(), 143);
        assert_eq!(Cause::Stopped(2).exit_code(), 130);
    }

    #[test]
    fn context_stands_before_the_message_and_the_code_behind_it() {
        let failure = Failure::new(Code::NO_STREAM, "it is gone").while_doing("open");
        assert_eq!(failure.to_string(), "open: it is gone [no-stream]");
        let twice = Failure::new(Code::UPSTREAM_FAILED, "discover failed: no host").while_doing("discover");
        assert_eq!(twice.message, "discover failed: no host");
    }
}

//! Whose turn it is after a failure: the failure type that Airbyte's sources tell
//! (airbyte-protocol.md, 2.4), and that is derived wherever nobody tells one. docs/errors.md lists it.

use std::sync::LazyLock;

use regex::Regex;

use super::Cause;

/// Who can do something about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureType {
    /// The user: credentials, settings, the choice of streams.
    Config,
    /// Nobody: the next session may well succeed.
    Transient,
    /// A developer.
    System,
}

/// Words of a failure that passes. They come first: a vendor may refuse with 403 what is only too fast.
static PASSING: LazyLock<Regex> = LazyLock::new(|| {
    words(
        r"rate.?limit|too many requests|quota exceeded|timed? ?out|timeout|connection (was )?(refused|reset|aborted|closed)|could not connect|max retries exceeded|broken pipe|temporar(y|ily)|service unavailable|bad gateway|server closed the connection|network is unreachable|no route to host|name or service not known|\b(429|502|503|504)\b",
    )
});

/// Words of a failure that lasts until the user changes something.
static LASTING: LazyLock<Regex> = LazyLock::new(|| {
    words(
        r"unauthori[sz]ed|unauthenticated|not authori[sz]ed|forbidden|authentication|(access|permission) denied|no pg_hba|login failed|credential|password|(api|access|secret) ?key|invalid[_ ](grant|client|token|scope)|(token|key) (is|was|has) (invalid|expired|been revoked)|expired token|config(uration)? (is|does|has|validation)|missing required|required propert|\b(401|403)\b",
    )
});

fn words(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("the pattern is a constant")
}

impl FailureType {
    /// As it stands in the field `failureType`.
    pub fn name(self) -> &'static str {
        match self {
            FailureType::Config => "config",
            FailureType::Transient => "transient",
            FailureType::System => "system",
        }
    }

    /// The one that a source tells; `None` where it is none of Airbyte's three.
    pub fn told(text: &str) -> Option<Self> {
        match text.trim_end_matches("_error") {
            "config" => Some(FailureType::Config),
            "transient" => Some(FailureType::Transient),
            "system" => Some(FailureType::System),
            _ => None,
        }
    }

    /// The one that follows from the cause; from upstream's words where it failed in words of its own.
    pub fn derived(cause: Cause, message: &str) -> Self {
        match cause {
            Cause::Usage | Cause::Definition | Cause::Config => FailureType::Config,
            Cause::Timeout | Cause::Stopped(_) => FailureType::Transient,
            Cause::Upstream if PASSING.is_match(message) => FailureType::Transient,
            Cause::Upstream if LASTING.is_match(message) => FailureType::Config,
            Cause::Internal | Cause::Crash | Cause::Upstream | Cause::UpstreamProtocol | Cause::Runtime => {
                FailureType::System
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upstream_says_tells_who_can_do_something() {
        for (message, expected) in [
            ("psycopg2.OperationalError: FATAL:  password authentication failed for user \"a\"", "config"),
            ("CRITICAL HTTP-error-code: 401, Error: Unauthorized", "config"),
            ("Access denied for user 'a'@'b'", "config"),
            ("invalid_grant", "config"),
            ("singer_sdk.exceptions.ConfigValidationError: 'host' is a required property", "config"),
            ("connection to server at \"db\" failed: Connection refused", "transient"),
            ("requests.exceptions.ReadTimeout: read timed out", "transient"),
            ("403 Forbidden: API rate limit exceeded", "transient"),
            ("503 Server Error: Service Unavailable for url", "transient"),
            ("KeyError: 'count'", "system"),
            ("ValueError: 14010 rows of 4291", "system"),
        ] {
            assert_eq!(FailureType::derived(Cause::Upstream, message).name(), expected, "{message}");
        }
    }

    #[test]
    fn words_count_only_where_upstream_spoke() {
        assert_eq!(FailureType::derived(Cause::Crash, "401 Unauthorized"), FailureType::System);
        assert_eq!(FailureType::derived(Cause::Timeout, "raise timeouts.check"), FailureType::Transient);
        assert_eq!(FailureType::derived(Cause::Definition, "anything"), FailureType::Config);
    }

    #[test]
    fn a_type_that_was_told_is_taken() {
        assert_eq!(FailureType::told("config_error"), Some(FailureType::Config));
        assert_eq!(FailureType::told("transient_error"), Some(FailureType::Transient));
        assert_eq!(FailureType::told("refresh_schema"), None);
    }
}

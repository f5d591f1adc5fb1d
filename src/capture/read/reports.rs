//! What upstream's own reports of failure come to: one failure, which names every stream that failed.

use super::errors::Errors;
use crate::capture::event::ErrorReport;
use crate::capture::processes::supervisor::Ended;
use crate::failure::{Code, Failure};

/// How many streams are named with their messages.
const NAMED: usize = 5;
/// How many characters of each message stand beside others.
const WORDS: usize = 300;

/// The failure that these reports tell of; `None` where there are none.
pub(super) fn failure(errors: &Errors, ended: &Ended) -> Option<Failure> {
    let first = first_cause(errors.reports())?;
    let of_streams: Vec<&ErrorReport> =
        errors.reports().iter().filter(|report| report.stream.is_some()).collect();
    let message = if of_streams.len() > 1 { all(&of_streams, errors.streams()) } else { one(first) };
    let config = first.failure_type.as_deref() == Some("config_error");
    let code = if config { Code::SOURCE_CONFIG } else { Code::SOURCE_ERROR };
    let mut failure = ended.described(Failure::new(code, message));
    failure.fields.extend(first.fields());
    if of_streams.len() > 1 {
        let names: Vec<&str> = of_streams.iter().filter_map(|report| report.stream.as_deref()).collect();
        failure = failure.with("failedStreams", names);
    }
    Some(failure)
}

/// A report about one stream says more than one about the run.
fn first_cause(errors: &[ErrorReport]) -> Option<&ErrorReport> {
    errors.iter().find(|report| report.stream.is_some()).or_else(|| errors.first())
}

fn one(report: &ErrorReport) -> String {
    match &report.stream {
        Some(stream) if !report.message.contains(stream.as_str()) => {
            format!("stream {stream:?}: {}", report.user_message())
        }
        _ => report.user_message(),
    }
}

/// Each stream with its own message.
fn all(reports: &[&ErrorReport], count: usize) -> String {
    let parts = reports.iter().take(NAMED).map(|report| {
        let words = report.user_message();
        let short = match words.char_indices().nth(WORDS) {
            Some((end, _)) => format!("{}\u{2026}", &words[..end]),
            None => words.trim_end_matches('.').to_owned(),
        };
        format!("stream {:?}: {short}", report.stream.as_deref().unwrap_or_default())
    });
    let parts = parts.collect::<Vec<_>>().join("; ");
    let more = match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{count} streams failed: {parts}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(stream: Option<&str>, message: &str) -> ErrorReport {
        ErrorReport {
            message: message.to_owned(),
            stream: stream.map(str::to_owned),
            ..ErrorReport::default()
        }
    }

    fn message(errors: &[ErrorReport]) -> String {
        let errors = errors.iter().cloned().collect();
        failure(&errors, &Ended::default()).expect("a failure").message
    }

    #[test]
    fn the_report_of_a_stream_comes_before_the_one_of_the_run() {
        let errors = [report(None, "some streams failed"), report(Some("users"), "no access")];
        assert_eq!(message(&errors), "stream \"users\": no access");
        assert!(failure(&Errors::default(), &Ended::default()).is_none());
    }

    #[test]
    fn streams_that_failed_are_named_with_their_words_and_in_bounds() {
        let errors =
            [report(Some("a"), "No access."), report(Some("b"), "Gone"), report(None, "failed: a, b")];
        assert_eq!(message(&errors), "2 streams failed: stream \"a\": No access; stream \"b\": Gone");
        let names: Vec<String> = (0..900).map(|n| format!("s{n}")).collect();
        let many: Vec<ErrorReport> =
            names.iter().map(|name| report(Some(name), &"\u{e9}".repeat(10_000))).collect();
        let message = message(&many);
        assert!(message.ends_with("; and 895 more"), "{message}");
        assert!(message.chars().count() < 2_000);
    }
}

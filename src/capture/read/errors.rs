//! What upstream reported as failed: the first report of each stream, in bounds.

use std::collections::HashSet;

use crate::capture::event::ErrorReport;

/// So many reports are stored with all they say; of more streams, only that they failed.
const MOST_REPORTS: usize = 100;
/// So many names of streams that no binding reads are remembered.
const MOST_NAMES: usize = 10_000;

/// The reports of failure.
#[derive(Debug, Default)]
pub(super) struct Errors {
    reports: Vec<ErrorReport>,
    streams: HashSet<Option<String>>,
}

impl Errors {
    /// Takes a report, unless one of this stream came before: the last one only says that something
    /// failed (airbyte-protocol.md, 5.4). Streams that are bound are remembered whatever their number.
    pub(super) fn add(&mut self, report: ErrorReport, is_bound: bool) {
        if !is_bound && self.streams.len() >= MOST_NAMES || self.streams.contains(&report.stream) {
            return;
        }
        self.streams.insert(report.stream.clone());
        if self.reports.len() < MOST_REPORTS {
            self.reports.push(report);
        }
    }

    /// The first reports, in their order.
    pub(super) fn reports(&self) -> &[ErrorReport] {
        &self.reports
    }

    /// How many streams failed, as far as reports name them.
    pub(super) fn streams(&self) -> usize {
        self.streams.iter().flatten().count()
    }

    /// Whether a failure of this stream was reported.
    pub(super) fn has(&self, stream: &str) -> bool {
        !self.streams.is_empty() && self.streams.contains(&Some(stream.to_owned()))
    }
}

#[cfg(test)]
impl FromIterator<ErrorReport> for Errors {
    fn from_iter<I: IntoIterator<Item = ErrorReport>>(reports: I) -> Self {
        let mut errors = Self::default();
        reports.into_iter().for_each(|report| errors.add(report, true));
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(stream: Option<String>) -> ErrorReport {
        ErrorReport { stream, ..ErrorReport::default() }
    }

    #[test]
    fn floods_are_bounded_and_no_bound_stream_is_forgotten() {
        let mut errors = Errors::default();
        for n in 0..200_000 {
            errors.add(report(Some(format!("s{n}"))), false);
        }
        errors.add(report(Some("users".to_owned())), true);
        errors.add(report(None), false);
        assert_eq!((errors.reports().len(), errors.streams()), (MOST_REPORTS, MOST_NAMES + 1));
        assert!(errors.has("users") && errors.has("s1") && !errors.has("orders"));
    }

    #[test]
    fn the_first_report_of_a_stream_counts() {
        let told = |stream: Option<&str>, message: &str| ErrorReport {
            message: message.to_owned(),
            stream: stream.map(str::to_owned),
            ..ErrorReport::default()
        };
        let errors: Errors =
            [told(None, "one"), told(Some("a"), "two"), told(None, "three")].into_iter().collect();
        let messages: Vec<&str> = errors.reports().iter().map(|report| report.message.as_str()).collect();
        assert_eq!(messages, ["one", "two"]);
    }
}

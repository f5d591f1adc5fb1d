//! What a preview did, as text for people, on stderr.

use std::io::Write;
use std::time::Duration;

use super::documents::{Violation, Violations};
use crate::dev::display::table::{Column, Table};
use crate::dev::driver::rules::sequence::Counts;
use crate::failure::{Code, Failure};
use crate::terminal::{self, Style, styled};

/// What came of one capture.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The capture's name.
    pub(super) capture: String,
    /// One entry for each binding.
    pub(super) bindings: Vec<BindingCount>,
    /// Checkpoints received.
    pub(super) checkpoints: u64,
    /// Transactions closed.
    pub(super) transactions: u64,
    /// Sourced schemas received.
    pub(super) sourced_schemas: u64,
    /// Sequences whose documents lacked what a sourced schema promised.
    pub(super) broken_promises: u64,
    /// Sequences and messages that are too large.
    pub(super) large: Counts,
    /// Documents that broke a rule, and where.
    pub(super) violations: Violations,
    /// How long it all took.
    pub(super) took: Duration,
}

/// What came of one binding.
#[derive(Debug, Default)]
pub(super) struct BindingCount {
    /// Its collection.
    pub(super) collection: String,
    /// Documents received.
    pub(super) documents: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// How long they were waited for.
    pub(super) took: Duration,
}

impl Summary {
    /// Adds what a session counted.
    pub(super) fn count(&mut self, more: Counts) {
        self.large.large_sequences += more.large_sequences;
        self.large.large_messages += more.large_messages;
    }

    /// The failure of a capture that Flow would stop; `None` where it would not.
    pub(super) fn failure(&self) -> Option<Failure> {
        let large = self.large.large_messages;
        let too_large = (large > 0).then(|| {
            let what = if large == 1 { "1 document is".to_owned() } else { format!("{large} documents are") };
            Failure::new(
                Code::INVALID_DOCUMENTS,
                format!("{what} larger than 64 MiB, which Flow refuses; set `read.maxRecordBytes` (rule R9)"),
            )
        });
        self.violations.failure().or(too_large)
    }

    /// On stderr.
    pub(super) fn print(&self) {
        let people = terminal::watches_stderr();
        let mut text = self.lines(people.then(terminal::stderr_width)).join("\n");
        text.push('\n');
        // Where stderr is closed there is nobody to tell.
        let _ = terminal::above(|| std::io::stderr().write_all(text.as_bytes()));
    }

    /// No wider than this, where it is given.
    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let mut table = Table::new([
            ("  COLLECTION", Column::Name),
            ("DOCUMENTS", Column::Number),
            ("BYTES", Column::Number),
            ("ROWS/S", Column::Number),
        ]);
        for binding in &self.bindings {
            let BindingCount { collection, documents, bytes, .. } = binding;
            let rate = binding.rate().map_or("-".to_owned(), per_second);
            table.row([format!("  {collection}"), documents.to_string(), bytes.to_string(), rate]);
        }
        let mut lines = table.lines(width);
        lines[0] = styled(Style::Dim, &lines[0]);
        lines.insert(0, styled(Style::Bold, &format!("{}: {:.1} s", self.capture, self.took.as_secs_f64())));
        lines.push(format!(
            "  checkpoints {}, transactions {}, sourced schemas {}",
            self.checkpoints, self.transactions, self.sourced_schemas
        ));
        if self.broken_promises > 0 {
            let count = self.broken_promises;
            lines.push(styled(Style::Yellow, &format!("  sourced schemas that documents broke {count}")));
        }
        let Counts { large_sequences, large_messages } = self.large;
        if large_sequences > 0 {
            lines.push(styled(
                Style::Red,
                &format!("  sequences over 512 MiB {large_sequences}: their state is lost"),
            ));
        }
        if large_messages > 0 {
            lines.push(styled(Style::Red, &format!("  messages over 64 MiB {large_messages}")));
        }
        if let Some(slowest) = self.slowest() {
            let seconds = slowest.took.as_secs_f64();
            lines.push(format!("  slowest stream {}, {seconds:.1} s", slowest.collection));
        }
        let invalid = self.violations.documents;
        let style = if invalid == 0 { Style::Green } else { Style::Red };
        lines.push(styled(style, &format!("  invalid documents {invalid}")));
        lines.extend(self.violations.places.iter().map(|(violation, count)| {
            let Violation { stream, pointer, keyword } = violation;
            format!("  {count} x {keyword} at {pointer:?} of {stream}")
        }));
        lines
    }

    /// The one that was waited for longest, where several brought anything.
    fn slowest(&self) -> Option<&BindingCount> {
        let brought = || self.bindings.iter().filter(|binding| binding.documents > 0);
        brought().nth(1)?;
        brought().max_by_key(|binding| binding.took)
    }
}

/// As a person reads it.
pub(super) fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

impl BindingCount {
    /// Documents a second, of the time that was waited for them; `None` where that says nothing, as of less
    /// than a second.
    fn rate(&self) -> Option<f64> {
        let documents = u32::try_from(self.documents).ok().filter(|documents| *documents > 0)?;
        (self.took >= Duration::from_secs(1)).then(|| f64::from(documents) / self.took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_text_and_names_who_was_waited_for() {
        let count = |collection: &str, documents, seconds| BindingCount {
            collection: collection.to_owned(),
            documents,
            bytes: 40,
            took: Duration::from_secs(seconds),
        };
        let bindings = vec![count("x/users", 200, 2), count("x/long-name", 30, 60), count("x/none", 0, 0)];
        let mut summary = Summary {
            capture: "x/source".to_owned(),
            bindings,
            checkpoints: 3,
            transactions: 1,
            took: Duration::from_millis(62500),
            ..Default::default()
        };
        insta::assert_snapshot!(summary.lines(None).join("\n"), @r"
        x/source: 62.5 s
          COLLECTION   DOCUMENTS  BYTES  ROWS/S
          x/users            200     40     100
          x/long-name         30     40     0.5
          x/none               0     40       -
          checkpoints 3, transactions 1, sourced schemas 0
          slowest stream x/long-name, 60.0 s
          invalid documents 0
        ");
        summary.bindings.truncate(1);
        assert!(summary.slowest().is_none(), "one alone is not slow");
    }
}

//! What a preview did, as text for people, on stderr.

use std::fmt;
use std::time::Duration;

use super::checks::Violations;

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
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {:.1} s", self.capture, self.took.as_secs_f64())?;
        let width = self.bindings.iter().map(|binding| binding.collection.len()).max().unwrap_or(0);
        for BindingCount { collection, documents, bytes } in &self.bindings {
            writeln!(f, "  {collection:width$}  {documents:>9} documents  {bytes:>12} bytes")?;
        }
        writeln!(
            f,
            "  checkpoints {}, transactions {}, sourced schemas {}, invalid documents {}",
            self.checkpoints, self.transactions, self.sourced_schemas, self.violations.documents
        )?;
        for (violation, count) in &self.violations.places {
            writeln!(
                f,
                "  {count} x {} at {:?} of {}",
                violation.keyword, violation.pointer, violation.stream
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_text() {
        let users = BindingCount { collection: "x/users".to_owned(), documents: 2, bytes: 40 };
        let summary = Summary {
            capture: "x/source".to_owned(),
            bindings: vec![
                users,
                BindingCount { collection: "x/long-name".to_owned(), ..Default::default() },
            ],
            checkpoints: 3,
            transactions: 1,
            took: Duration::from_millis(1500),
            ..Default::default()
        };
        insta::assert_snapshot!(summary.to_string(), @r"
        x/source: 1.5 s
          x/users              2 documents            40 bytes
          x/long-name          0 documents             0 bytes
          checkpoints 3, transactions 1, sourced schemas 0, invalid documents 0
        ");
    }
}

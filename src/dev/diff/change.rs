//! What changes, how much that matters to a running capture, and how it is printed.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use crate::dev::display::form::Form;
use crate::dev::display::output::Output;
use crate::dev::display::table::{Column, Table};
use crate::failure::Failure;

/// What a change does to a running capture; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Effect {
    /// It stops until somebody changes it.
    Breaks,
    /// It goes on, and what it reads is wrong until the binding is backfilled.
    Backfill,
    /// A collection gets other documents.
    Collection,
    /// Nothing.
    Note,
}

impl Effect {
    fn as_str(self) -> &'static str {
        match self {
            Effect::Breaks => "breaks",
            Effect::Backfill => "backfill",
            Effect::Collection => "collection",
            Effect::Note => "note",
        }
    }
}

/// One change.
#[derive(Debug, Serialize)]
struct Change {
    effect: Effect,
    /// A stream, or a part of the connector.
    #[serde(rename = "where")]
    subject: String,
    what: String,
}

/// All changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    all: Vec<Change>,
    backfills: BTreeSet<String>,
    collections: BTreeSet<String>,
}

impl Changes {
    /// A change of something else than a stream.
    pub(super) fn add(&mut self, effect: Effect, subject: &str, what: impl Into<String>) {
        self.all.push(Change { effect, subject: subject.to_owned(), what: what.into() });
    }

    /// A change of a stream, whose collection is proposed by this name.
    pub(super) fn stream(&mut self, effect: Effect, stream: &str, collection: &str, what: impl Into<String>) {
        if effect == Effect::Backfill {
            self.backfills.insert(stream.to_owned());
        }
        if matches!(effect, Effect::Backfill | Effect::Collection) {
            self.collections.insert(collection.to_owned());
        }
        self.add(effect, stream, what);
    }

    /// Whether a running capture would stop, or read on wrongly.
    pub(super) fn breaks(&self) -> bool {
        self.all.iter().any(|change| change.effect <= Effect::Backfill)
    }

    /// Prints all, the worst first.
    pub(super) fn print(&mut self, form: Form) -> Result<(), Failure> {
        self.all.sort_by_key(|change| change.effect);
        let mut output = Output::stdout();
        let all = || {
            json!({
                "breaks": self.breaks(),
                "backfill": self.backfills,
                "collections": self.collections,
                "changes": self.all,
            })
        };
        match form {
            Form::Json => output.json(&all())?,
            Form::Yaml => output.yaml(&all())?,
            Form::Text | Form::Table => self.table(&mut output)?,
        }
        output.flush()
    }

    fn table(&self, output: &mut Output) -> Result<(), Failure> {
        if self.all.is_empty() {
            return output.text("nothing changes");
        }
        let mut table =
            Table::new([("EFFECT", Column::Name), ("WHERE", Column::Name), ("WHAT", Column::Prose)]);
        for change in &self.all {
            table.row([change.effect.as_str().to_owned(), change.subject.clone(), change.what.clone()]);
        }
        output.table(&table)?;
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        if !self.backfills.is_empty() {
            output.text(&format!("bindings that need a backfill: {}", list(&self.backfills)))?;
        }
        if !self.collections.is_empty() {
            output.text(&format!("collections that change: {}", list(&self.collections)))?;
        }
        output.text(if self.breaks() {
            "a running capture would break"
        } else {
            "running captures go on as they are"
        })
    }
}

//! What all sessions of a capture's preview share, from the first to the last.

use std::time::Instant;

use super::documents::DocumentChecks;
use super::live::Live;
use super::options::PreviewOptions;
use super::promises::Promises;
use super::state::State;
use super::summary::{BindingCount, Summary};
use crate::dev::display::output::Output;
use crate::dev::driver::rules::backfills::Backfills;
use crate::failure::Failure;
use crate::flow::message::{CaptureSpec, ConnectorState};

/// A capture while it is previewed.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) options: &'a PreviewOptions,
    pub(super) output: &'a mut Output,
    /// One for each binding.
    pub(super) checks: Vec<DocumentChecks>,
    /// One for each binding.
    pub(super) promises: Vec<Promises>,
    /// The bindings' collections, as JSON strings.
    pub(super) collections: Vec<String>,
    pub(super) state: State,
    /// What was announced of backfills.
    pub(super) backfills: Backfills,
    pub(super) summary: Summary,
    /// `None` where nobody looks.
    pub(super) live: Option<Live>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        options: &'a PreviewOptions,
        output: &'a mut Output,
        capture: &CaptureSpec,
        state: State,
    ) -> Result<Self, Failure> {
        let checks = capture.bindings.iter().map(DocumentChecks::new).collect::<Result<_, _>>()?;
        let names = capture.bindings.iter().map(|binding| {
            binding.collection.as_ref().map(|collection| collection.name.clone()).unwrap_or_default()
        });
        let bindings: Vec<_> =
            names.map(|collection| BindingCount { collection, ..Default::default() }).collect();
        let collections =
            bindings.iter().map(|binding| serde_json::json!(binding.collection).to_string()).collect();
        let summary = Summary { capture: capture.name.clone(), bindings, ..Default::default() };
        let live = Live::start(&capture.bindings);
        let promises = capture.bindings.iter().map(|_| Promises::default()).collect();
        let backfills = Backfills::new(!state.is_empty());
        Ok(Self { options, output, checks, promises, collections, state, backfills, summary, live })
    }

    /// Tells a person how it goes.
    pub(super) fn draw(&mut self) {
        if let Some(live) = &mut self.live {
            live.draw(&self.summary);
        }
    }

    /// Prints what is to be said at the end; the failure of a capture that had invalid documents.
    pub(super) fn close(mut self, started: Instant) -> Result<Option<Failure>, Failure> {
        if self.options.output_state {
            let whole = ConnectorState { updated_json: self.state.to_json(), merge_patch: false };
            self.output.state(&whole)?;
        }
        self.output.flush()?;
        self.summary.took = started.elapsed();
        self.live = None;
        self.summary.print();
        Ok(self.summary.failure())
    }
}

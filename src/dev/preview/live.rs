//! What a preview tells while it runs, to a person at a terminal: a line for each stream, with its
//! rows, how many come in a second, and how old its state is.

use std::time::{Duration, Instant};

use bytesize::ByteSize;
use serde_json::Value;

use super::summary::{Summary, per_second};
use crate::dev::display::table::{Column, Table, cut};
use crate::flow::message::{Binding, ConnectorState};
use crate::terminal::{self, Style};

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(250);
/// Rates are those of the last while.
const WINDOW: usize = 12;
/// Below this width there is no room for bytes.
const ROOMY: usize = 80;
/// Where our own states have what they hold of each binding.
const BY_STATE_KEY: &str = "bindingStateV1";

/// The area below all else, while it lives.
#[derive(Debug)]
pub(super) struct Live {
    started: Instant,
    drawn: Instant,
    state_keys: Vec<String>,
    /// When a checkpoint with a state of the binding came last.
    states: Vec<Option<Instant>>,
    /// Documents of each binding at the last few times that it was drawn.
    past: Vec<(Instant, Vec<u64>)>,
}

impl Live {
    /// `None` where nobody looks.
    pub(super) fn start(bindings: &[Binding]) -> Option<Self> {
        let now = Instant::now();
        terminal::watches_stderr().then(|| Self {
            started: now,
            drawn: now,
            state_keys: bindings.iter().map(|binding| binding.state_key.clone()).collect(),
            states: vec![None; bindings.len()],
            past: Vec::new(),
        })
    }

    /// When it is to be drawn again.
    pub(super) fn next(&self) -> Instant {
        self.drawn + EVERY
    }

    /// Notes whose state a checkpoint brings; one that tells bindings not apart is that of all.
    pub(super) fn checkpoint(&mut self, state: &ConnectorState) {
        let now = Some(Instant::now());
        let updated: Value = serde_json::from_slice(&state.updated_json).unwrap_or_default();
        let apart = updated.get(BY_STATE_KEY).and_then(Value::as_object);
        for (key, seen) in self.state_keys.iter().zip(&mut self.states) {
            if apart.is_none_or(|bindings| bindings.contains_key(key)) {
                *seen = now;
            }
        }
    }

    /// Draws it, unless that was done a moment ago.
    pub(super) fn draw(&mut self, summary: &Summary) {
        let now = Instant::now();
        if now < self.next() {
            return;
        }
        self.drawn = now;
        let lines = self.lines(summary, now, terminal::stderr_width(), terminal::stderr_height());
        terminal::show_below(&lines);
        self.past.push((now, summary.bindings.iter().map(|binding| binding.documents).collect()));
        if self.past.len() > WINDOW {
            self.past.remove(0);
        }
    }

    fn lines(&self, summary: &Summary, now: Instant, width: usize, height: usize) -> Vec<String> {
        let columns = [("STREAM", Column::Name), ("ROWS", Column::Number)];
        let rest = [("ROWS/S", Column::Number), ("STATE", Column::Number)];
        let roomy = width >= ROOMY;
        let mut table = if roomy {
            Table::new([columns[0], columns[1], ("BYTES", Column::Number), rest[0], rest[1]])
        } else {
            Table::new([columns[0], columns[1], rest[0], rest[1]])
        };
        for (at, binding) in summary.bindings.iter().enumerate() {
            let rate = per_second(self.rate(at, binding.documents, now));
            let state = self.states[at].map_or("none".to_owned(), |seen| {
                format!("{} ago", clock(now.saturating_duration_since(seen)))
            });
            let (name, rows) = (binding.collection.clone(), binding.documents.to_string());
            if roomy {
                table.row([name, rows, ByteSize(binding.bytes).to_string(), rate, state]);
            } else {
                table.row([name, rows, rate, state]);
            }
        }
        // The last column of a terminal is left free: some wrap when it is filled.
        let width = width.saturating_sub(1);
        let mut lines = table.lines(Some(width));
        let room = height.saturating_sub(4).max(2);
        let hidden = lines.len().saturating_sub(room);
        lines.truncate(room);
        if let Some(heading) = lines.first_mut() {
            *heading = terminal::styled(Style::Dim, heading);
        }
        if hidden > 0 {
            lines.push(format!("… and {hidden} more"));
        }
        let counts = format!(
            ": {}, rows {}, states {}, invalid {}",
            clock(now.saturating_duration_since(self.started)),
            summary.bindings.iter().map(|binding| binding.documents).sum::<u64>(),
            summary.checkpoints,
            summary.violations.documents,
        );
        let head = cut(&summary.capture, width.saturating_sub(counts.chars().count())) + &counts;
        lines.insert(0, terminal::styled(Style::Bold, &head));
        lines
    }

    fn rate(&self, binding: usize, documents: u64, now: Instant) -> f64 {
        let (since, before) =
            self.past.first().map_or((self.started, 0), |(at, documents)| (*at, documents[binding]));
        let seconds = now.saturating_duration_since(since).as_secs_f64().max(0.001);
        let rows = u32::try_from(documents.saturating_sub(before)).unwrap_or(u32::MAX);
        f64::from(rows) / seconds
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        terminal::show_below(&[]);
    }
}

/// `7s`, `3m05s` or `2h07m`.
fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::preview::summary::BindingCount;

    #[test]
    fn lines_fit_and_a_state_is_as_old_as_its_last_checkpoint() {
        let started = Instant::now();
        let mut live = Live {
            started,
            drawn: started,
            state_keys: vec!["users".to_owned(), "orders".to_owned()],
            states: vec![None, None],
            past: Vec::new(),
        };
        let updated_json = br#"{"bindingStateV1":{"orders":{"rowId":1}}}"#.to_vec();
        live.checkpoint(&ConnectorState { updated_json, merge_patch: true });
        let seen = live.states[1].expect("it has a state");
        assert_eq!(live.states[0], None, "the state of one stream is not that of another");
        let count = |collection: &str, documents| BindingCount {
            collection: collection.to_owned(),
            documents,
            bytes: 2048,
            ..BindingCount::default()
        };
        let summary = Summary {
            capture: "x/source".to_owned(),
            bindings: vec![count("x/a_very_long_name_of_a_collection_of_users", 1200), count("x/orders", 30)],
            checkpoints: 1,
            ..Summary::default()
        };
        live.started = seen.checked_sub(Duration::from_secs(60)).expect("the machine runs for longer");
        let lines = live.lines(&summary, seen + Duration::from_secs(60), 48, 24);
        insta::assert_snapshot!(lines.join("\n"), @r"
        x/source: 2m00s, rows 1230, states 1, invalid 0
        STREAM                  ROWS  ROWS/S      STATE
        x/a_very_lo…n_of_users  1200      10       none
        x/orders                  30     0.2  1m00s ago
        ");
        assert!(lines.iter().all(|line| line.chars().count() < 48));
        live.checkpoint(&ConnectorState { updated_json: b"{}".to_vec(), merge_patch: true });
        assert!(live.states[0].is_some(), "a state of all is one of each");
    }
}

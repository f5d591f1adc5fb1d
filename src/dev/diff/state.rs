//! What changes in upstream's state: whether the new version can go on where the old one stopped.
//!
//! Seen in the states of recorded reads; where one side has none, nothing is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::change::{Changes, Effect};
use super::side::Side;

/// What a recorded read says of its states.
#[derive(Debug, Default)]
struct States {
    /// `STREAM`, `GLOBAL`, `LEGACY`, or `Singer`.
    forms: BTreeSet<String>,
    /// The members of each stream's state.
    members: BTreeMap<String, BTreeSet<String>>,
}

/// Compares the states of two recorded reads.
pub(super) fn compare(old: &Side, new: &Side, changes: &mut Changes) {
    let forced = (old.definition.state.format, new.definition.state.format);
    if forced.0 != forced.1 {
        changes.add(Effect::Note, "state", "`state.format` of the shim changes");
    }
    let (Some(before), Some(after)) = (of(old), of(new)) else { return };
    let listed = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" and ");
    if before.forms != after.forms {
        let what = format!("was of the form {}, is {}", listed(&before.forms), listed(&after.forms));
        changes.add(Effect::Backfill, "state", what);
    }
    for (stream, was) in &before.members {
        let Some(is) = after.members.get(stream) else { continue };
        let collection = collection_of(stream, old);
        let gone: BTreeSet<String> = was.difference(is).cloned().collect();
        if !gone.is_empty() {
            let what = format!("its state has no {} any more", listed(&gone));
            changes.stream(Effect::Backfill, stream, collection, what);
        }
        let fresh: BTreeSet<String> = is.difference(was).cloned().collect();
        if gone.is_empty() && !fresh.is_empty() {
            let what = format!("its state has {} too", listed(&fresh));
            changes.stream(Effect::Note, stream, collection, what);
        }
    }
}

/// The name that is proposed for a stream's collection; the stream's own where that is not known.
fn collection_of<'a>(stream: &'a str, side: &'a Side) -> &'a str {
    let mut offered = side.known.streams.iter().flatten();
    let found = offered.find(|(offered, _)| offered.id.to_string() == stream);
    let binding = found.and_then(|(_, binding)| binding.as_ref());
    binding.map_or(stream, |binding| &binding.recommended_name)
}

/// `None` where no state was recorded.
fn of(side: &Side) -> Option<States> {
    let file = side.known.recording.as_deref()?.join("read.jsonl");
    read(&file).filter(|states| !states.forms.is_empty())
}

fn read(file: &Path) -> Option<States> {
    let mut states = States::default();
    for line in BufReader::new(File::open(file).ok()?).split(b'\n').map_while(Result::ok) {
        // Records are most of a recording, and none of them is looked at.
        if memchr::memmem::find(&line, b"STATE").is_none() {
            continue;
        }
        let Ok(message) = serde_json::from_slice::<Value>(&line) else { continue };
        if message["type"] == "STATE" {
            states.add(&message);
        }
    }
    Some(states)
}

impl States {
    fn add(&mut self, message: &Value) {
        if let Some(value) = message.get("value") {
            self.forms.insert("Singer".to_owned());
            for (stream, bookmark) in value["bookmarks"].as_object().into_iter().flatten() {
                self.stream(stream, bookmark);
            }
            return;
        }
        let state = &message["state"];
        self.forms.insert(state["type"].as_str().unwrap_or("LEGACY").to_owned());
        let shared = state["global"]["stream_states"].as_array().into_iter().flatten();
        let own = state.get("stream").into_iter();
        for one in shared.chain(own) {
            let descriptor = &one["stream_descriptor"];
            let name = descriptor["name"].as_str().unwrap_or_default();
            let name = match descriptor["namespace"].as_str() {
                Some(namespace) => format!("{namespace}.{name}"),
                None => name.to_owned(),
            };
            self.stream(&name, &one["stream_state"]);
        }
    }

    fn stream(&mut self, name: &str, state: &Value) {
        let members = state.as_object().into_iter().flatten().map(|(member, _)| member.clone());
        self.members.entry(name.to_owned()).or_default().extend(members);
    }
}

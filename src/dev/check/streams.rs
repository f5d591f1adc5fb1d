//! `streams:` of a shim against the streams that were recorded: globs, keys and pointers.

use serde_json::Value;

use super::patterns;
use super::report::{Place, Report};
use super::subject::Subject;
use crate::capture::protocol::DiscoveredStream;
use crate::json::schema::types::{self, Types};
use crate::json::{merge_patch, pointer};
use crate::shim::names::{airbyte_to_flow, matches};
use crate::shim::streams::{Conventions, StreamOverride};

/// A key that is counted by us, not read.
const COUNTED: &str = "/_meta/row_id";
/// How alike two names are from which on one may be meant by the other.
const ALIKE: f64 = 0.8;

/// Checks the section.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let section = &subject.definition.streams;
    for (glob, different) in &section.overrides {
        if let Some(patch) = &different.schema_patch {
            for (path, why) in patterns::wrong(patch) {
                let path = path.iter().map(String::as_str);
                let keys: Vec<&str> =
                    ["streams", "overrides", glob, "schemaPatch"].into_iter().chain(path).collect();
                let what = format!("the pattern is refused: {why}");
                report.error(subject.place(&keys), &what, patterns::ADVICE);
            }
        }
    }
    let Some(streams) = subject.known.and_then(|known| known.streams.as_ref()) else { return };
    let streams: Vec<&DiscoveredStream> = streams.iter().map(|(stream, _)| stream).collect();
    let lists = [("select", section.select.as_deref()), ("omit", Some(section.omit.as_slice()))];
    for (name, globs) in lists {
        for glob in globs.unwrap_or_default() {
            if !streams.iter().any(|stream| speaks_of(glob, stream, Conventions::FlowShim)) {
                nothing(subject.place(&["streams", name]).item(glob), glob, &streams, report);
            }
        }
    }
    for (glob, different) in &section.overrides {
        let meant: Vec<&DiscoveredStream> =
            streams.iter().copied().filter(|stream| speaks_of(glob, stream, section.conventions)).collect();
        if meant.is_empty() {
            nothing(subject.place(&["streams", "overrides", glob]), glob, &streams, report);
        }
        for stream in meant {
            // A wildcard may ask for what only some streams have.
            if !glob.contains(['*', '?']) {
                pointers(subject, glob, different, stream, report);
            }
        }
    }
}

fn speaks_of(glob: &str, stream: &DiscoveredStream, conventions: Conventions) -> bool {
    let by_collection =
        || conventions == Conventions::AirbyteToFlow && matches(glob, &airbyte_to_flow(&stream.id.name));
    matches(glob, &stream.id.name) || matches(glob, &stream.id.to_string()) || by_collection()
}

fn nothing(place: Place, glob: &str, streams: &[&DiscoveredStream], report: &mut Report) {
    let alike = |stream: &DiscoveredStream| strsim::jaro_winkler(glob, &stream.id.name);
    let nearest = streams.iter().copied().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    let advice = match nearest.filter(|stream| alike(stream) > ALIKE) {
        Some(nearest) => format!("did you mean {:?}?", nearest.id.name),
        None => "correct it, or remove it".to_owned(),
    };
    let what = format!("{glob:?} matches none of the {} streams that were recorded", streams.len());
    report.warning(place, &what, &advice);
}

/// The pointers of an override, in the schema of a stream that it speaks of.
fn pointers(
    subject: &Subject<'_>,
    glob: &str,
    different: &StreamOverride,
    stream: &DiscoveredStream,
    report: &mut Report,
) {
    let mut schema = stream.schema.tree();
    if let Some(patch) = &different.schema_patch {
        merge_patch::apply(&mut schema, patch);
    }
    if !schema["properties"].is_object() {
        return;
    }
    for key in different.key.iter().flatten().filter(|key| *key != COUNTED) {
        if let Some(why) = no_key(&schema, key) {
            let place = subject.place(&["streams", "overrides", glob, "key"]).item(key);
            report.error(
                place,
                &format!("{key} {why}"),
                "name a property that every record has, as text, whole number or boolean",
            );
        }
    }
    for location in different.normalize.keys().filter(|location| !location.contains('*')) {
        if at(&schema, location).is_none() {
            let place = subject.place(&["streams", "overrides", glob, "normalize", location]);
            report.error(
                place,
                &format!("the stream's schema has nothing at {location}"),
                "correct it, or remove it",
            );
        }
    }
}

fn at(schema: &Value, location: &str) -> Option<Types> {
    types::at(schema, &pointer::to_path(location)?)
}

fn no_key(schema: &Value, key: &str) -> Option<String> {
    let Some(declared) = at(schema, key) else { return Some("is not in the stream's schema".to_owned()) };
    let other = declared.without(Types::NULL).without(Types::KEY);
    if declared == Types::ANY || other == Types::NONE {
        return None;
    }
    if other.overlaps(Types::FRACTION) {
        return Some("is a number that may have a fraction".to_owned());
    }
    Some(format!("is of type {}", other.names().join(" or ")))
}

//! Under which names a tap prints a stream: the catalog's `tap_stream_id`, its `stream`, an alias, or
//! a schema's name in front of it, by family (singer-protocol.md, 4.6).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::entry::Entry;
use crate::capture::protocol::{BoundStream, DiscoveredStream, Route, StreamId};

/// The names of each stream. A name that could mean two streams means neither; an exact
/// `tap_stream_id` always wins.
pub(super) fn routes(streams: &[BoundStream], discovered: &[DiscoveredStream]) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let found: HashMap<&StreamId, &DiscoveredStream> =
        discovered.iter().map(|found| (&found.id, found)).collect();
    let names: Vec<Vec<String>> =
        streams.iter().map(|stream| names(stream, found.get(&stream.id).copied())).collect();
    let mut taken: HashSet<&str> = HashSet::new();
    let rounds = names.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        let here: Vec<(usize, &String)> = names
            .iter()
            .enumerate()
            .filter_map(|(stream, names)| Some((stream, names.get(round)?)))
            .collect();
        let mut times: HashMap<&str, usize> = HashMap::new();
        for (_, name) in &here {
            *times.entry(name).or_default() += 1;
        }
        for (stream, name) in &here {
            let shared = times.get(name.as_str()).is_some_and(|times| *times > 1);
            if !name.is_empty() && !shared && taken.insert(name) {
                routes.push(Route { namespace: None, name: (*name).clone(), stream: *stream });
            }
        }
    }
    routes
}

/// The names of one stream, the surest first; an empty one holds a place.
fn names(stream: &BoundStream, discovered: Option<&DiscoveredStream>) -> Vec<String> {
    let Some(entry) = discovered.and_then(|found| found.source_stream.as_ref()) else {
        return vec![stream.id.name.clone()];
    };
    let entry = entry.tree();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let plain = text(&entry["stream"]);
    let prefixed = |prefix: &Value| match prefix.as_str() {
        Some(prefix) if !plain.is_empty() => format!("{prefix}-{plain}"),
        _ => String::new(),
    };
    let root = Entry(&entry).root_metadata();
    vec![
        stream.id.name.clone(),
        plain.clone(),
        text(&entry["stream_alias"]),
        prefixed(&root["schema-name"]),
        prefixed(&root["database-name"]),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::singer::catalog::discovered;

    fn route_names(entries: &[Value]) -> Vec<(String, usize)> {
        let found: Vec<DiscoveredStream> = entries.iter().filter_map(discovered).collect();
        let streams: Vec<BoundStream> = found
            .iter()
            .map(|found| BoundStream { id: found.id.clone(), ..BoundStream::bare(None, "") })
            .collect();
        routes(&streams, &found).into_iter().map(|route| (route.name, route.stream)).collect()
    }

    #[test]
    fn names_that_could_mean_two_streams_mean_neither() {
        let entry = |id: &str, schema: &str| json!({"tap_stream_id": id, "stream": "orders", "metadata": [{"breadcrumb": [], "metadata": {"schema-name": schema}}]});
        let names = route_names(&[entry("public-orders", "public"), entry("crm_orders", "crm")]);
        assert_eq!(
            names,
            [("public-orders".to_owned(), 0), ("crm_orders".to_owned(), 1), ("crm-orders".to_owned(), 1)]
        );
        assert_eq!(route_names(&[entry("x", "public")]).len(), 3);
    }
}

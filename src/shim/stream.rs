//! What a shim says of one stream.

use super::definition::Definition;
use super::names::{airbyte_to_flow, literals, matches};
use super::streams::{Conventions, StreamOverride};

/// Whether a stream is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Never.
    Omitted,
    /// Shown, but new captures do not read it.
    Disabled,
    /// New captures read it.
    Selected,
    /// As upstream has it.
    AsUpstream,
}

/// Whether a stream is shown. Globs match its plain name or its full one, `namespace.name`.
pub fn visibility(definition: &Definition, name: &str, full: &str) -> Visibility {
    let any = |globs: &[String]| globs.iter().any(|glob| matches(glob, name) || matches(glob, full));
    let streams = &definition.streams;
    match &streams.select {
        _ if any(&streams.omit) => Visibility::Omitted,
        None => Visibility::AsUpstream,
        Some(select) if any(select) => Visibility::Selected,
        Some(_) => Visibility::Disabled,
    }
}

/// What is different for a stream. Each setting comes from the most specific entry that has it: that
/// of the full name, of the plain one, then the glob that names most characters.
pub fn stream_override(definition: &Definition, name: &str, full: &str) -> StreamOverride {
    let entries = entries_for(definition, &[full, name]);
    let shaping = match definition.streams.conventions {
        Conventions::FlowShim => entries.clone(),
        Conventions::AirbyteToFlow => entries_for(definition, &[&airbyte_to_flow(name)]),
    };
    StreamOverride {
        key: shaping.iter().find_map(|entry| entry.key.clone()),
        schema_patch: shaping.iter().find_map(|entry| entry.schema_patch.clone()),
        normalize: entries
            .iter()
            .map(|entry| &entry.normalize)
            .find(|changes| !changes.is_empty())
            .cloned()
            .unwrap_or_default(),
        fields: entries.iter().find_map(|entry| entry.fields.clone()),
        refresh: entries.iter().find_map(|entry| entry.refresh),
        interval: entries.iter().find_map(|entry| entry.interval),
    }
}

/// The entries that speak of a stream of these names, the most specific one first.
fn entries_for<'a>(definition: &'a Definition, names: &[&str]) -> Vec<&'a StreamOverride> {
    let mut found: Vec<_> = definition
        .streams
        .overrides
        .iter()
        .filter_map(|(glob, entry)| {
            let name = names.iter().position(|name| matches(glob, name))?;
            let rank = match literals(glob) {
                None => (0, name),
                Some(literals) => (1, usize::MAX - literals),
            };
            Some((rank, entry))
        })
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// The name that the shim's conventions give a stream's collection; `None` where the protocol's own
/// holds.
pub fn collection_name(definition: &Definition, name: &str) -> Option<String> {
    match definition.streams.conventions {
        Conventions::FlowShim => None,
        // Flow takes no empty name, which airbyte-to-flow could give.
        Conventions::AirbyteToFlow => Some(airbyte_to_flow(name)).filter(|name| !name.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn keyed(key: &str) -> StreamOverride {
        StreamOverride { key: Some(vec![key.to_owned()]), ..StreamOverride::default() }
    }

    #[test]
    fn the_most_specific_entry_that_has_a_setting_counts() {
        let mut definition = Definition::default();
        let star = StreamOverride { interval: Some(Duration::from_secs(1)), ..keyed("/star") };
        for (name, entry) in [
            ("*", star),
            ("user*", keyed("/short")),
            ("*users", keyed("/long")),
            ("users", keyed("/plain")),
            ("shop.users", keyed("/full")),
            ("a\\*b", keyed("/escaped")),
        ] {
            definition.streams.overrides.insert(name.to_owned(), entry);
        }
        let key =
            |name: &str, full: &str| stream_override(&definition, name, full).key.map(|key| key.concat());
        for (name, full, expected) in [
            ("users", "shop.users", "/full"),
            ("users", "users", "/plain"),
            ("allusers", "x.allusers", "/long"),
            ("user1", "user1", "/short"),
            ("orders", "shop.orders", "/star"),
            ("a*b", "a*b", "/escaped"),
        ] {
            assert_eq!(key(name, full).as_deref(), Some(expected), "{full}");
        }
        let users = stream_override(&definition, "users", "shop.users");
        assert_eq!(users.interval, Some(Duration::from_secs(1)), "no other entry says it");
    }

    #[test]
    fn airbyte_to_flow_looked_patches_and_keys_up_by_the_name_of_the_collection() {
        let mut definition = Definition::default();
        definition.streams.conventions = Conventions::AirbyteToFlow;
        let entry = StreamOverride { interval: Some(Duration::from_secs(1)), ..keyed("/k") };
        definition.streams.overrides.insert("Ads/All".to_owned(), entry);
        let found = stream_override(&definition, "Ads/A ll", "Ads/A ll");
        assert_eq!((found.key.map(|key| key.concat()).as_deref(), found.interval), (Some("/k"), None));
    }

    #[test]
    fn omitted_wins_over_selected() {
        let mut definition = Definition::default();
        assert_eq!(visibility(&definition, "users", "users"), Visibility::AsUpstream);
        definition.streams.select = Some(vec!["u*".to_owned()]);
        assert_eq!(visibility(&definition, "users", "users"), Visibility::Selected);
        assert_eq!(visibility(&definition, "orders", "orders"), Visibility::Disabled);
        definition.streams.select = Some(Vec::new());
        assert_eq!(visibility(&definition, "users", "users"), Visibility::Disabled);
        definition.streams.omit.push("users".to_owned());
        assert_eq!(visibility(&definition, "users", "users"), Visibility::Omitted);
    }
}

//! The shim that is checked: what its definition and its upstream say, and where it says it.

use std::path::Path;

use serde_json::{Value, json};

use super::report::Place;
use crate::capture::protocol::UpstreamSpec;
use crate::dev::known::{self, Known};
use crate::failure::Failure;
use crate::oauth::spec::{self, Consent};
use crate::shim::definition::Definition;
use crate::shim::manifest::Manifest;
use crate::shim::{atf, load};

/// A shim, and what is known of its upstream.
pub(super) struct Subject<'a> {
    /// The folder.
    pub(super) folder: &'a Path,
    pub(super) definition: &'a Definition,
    /// The manifest of a low-code connector; `None` where it is none.
    pub(super) manifest: Option<&'a Manifest>,
    /// `None` where nothing is recorded, or the recording cannot be played.
    pub(super) known: Option<&'a Known>,
}

impl Subject<'_> {
    /// Where a key of the definition stands: in `shim.yaml`, or in a file of airbyte-to-flow's.
    pub(super) fn place(&self, keys: &[&str]) -> Place {
        if self.folder.join(load::FILE).is_file() || !atf::is_atf(self.folder) {
            return keys.iter().fold(Place::of(load::FILE), |place, key| place.key(key));
        }
        let (file, rest) = match keys {
            ["oauth2", rest @ ..] => ("oauth2.patch.json", rest),
            ["config", "map", rest @ ..] => ("spec.map.json", rest),
            ["config", "schemaPatch", rest @ ..] => ("spec.patch.json", rest),
            ["streams", "select", rest @ ..] => ("selected_streams.json", rest),
            ["streams", "omit", rest @ ..] => ("omitted_streams.json", rest),
            ["streams", "overrides", rest @ ..] => ("streams", rest),
            rest => ("", rest),
        };
        rest.iter().fold(Place::of(file), |place, key| place.key(key))
    }

    /// What upstream says of itself; `None` where that was not recorded.
    pub(super) fn upstream(&self) -> Option<&UpstreamSpec> {
        self.known?.spec.as_ref()
    }

    /// The config schema that people see, before consent adds to it; `None` where it is not known.
    pub(super) fn config_schema(&self) -> Option<Value> {
        known::config_schema(self.definition, self.upstream())
    }

    /// What consent changes, to any config where the schema is not known.
    pub(super) fn consent(&self) -> Result<Consent, Failure> {
        let described = self.upstream().and_then(|spec| spec.consent_flow.as_ref());
        let schema = self.config_schema().unwrap_or_else(|| json!({"type": "object"}));
        spec::consent(self.definition.oauth2.as_ref(), described, schema)
    }

    /// The config schema that people see, with what consent adds; `None` where it is not known.
    pub(super) fn seen_schema(&self) -> Option<Value> {
        let schema = self.config_schema()?;
        Some(self.consent().map_or(schema, |consent| consent.config_schema))
    }
}

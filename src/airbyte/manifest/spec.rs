//! The specification that a manifest holds: what a packaged connector would answer to `spec`.

use serde::Deserialize;
use serde_json::Value;

use super::references::Resolver;
use crate::capture::protocol::UpstreamSpec;
use crate::failure::Failure;
use crate::json::packed::Packed;
use crate::oauth::providers;
use crate::shim::definition::Definition;
use crate::shim::manifest::{self, Manifest};

#[derive(Deserialize)]
struct Spec {
    connection_specification: Option<Value>,
    documentation_url: Option<String>,
    advanced_auth: Option<Value>,
}

/// What a shim wants of a manifest's specification.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The shim describes the config itself, so the manifest may lack a specification.
    config_is_known: bool,
    /// The consent flow is to be derived. Where the specification leaves it out, the authenticators are
    /// looked up, for which all of the manifest is parsed.
    consent: bool,
}

impl Wanted {
    /// What this shim wants.
    pub fn by(definition: &Definition) -> Self {
        Self {
            config_is_known: definition.config.schema.is_some(),
            consent: definition.oauth2.as_ref().is_some_and(|oauth2| oauth2 == "auto"),
        }
    }
}

/// The specification; fails where the manifest lacks one that is wanted, or a reference in it leads nowhere.
pub fn spec(manifest: &Manifest, wanted: Wanted) -> Result<UpstreamSpec, Failure> {
    let failed = |why: &str| manifest::failed(&manifest.file, why);
    let resolved = resolved(manifest)?;
    if resolved.is_none() && wanted.config_is_known {
        return Ok(UpstreamSpec::default());
    }
    let resolved = resolved.ok_or_else(|| {
        failed(
            "it has no `spec`, which describes the config of the connector; add one with a \
             `connection_specification`, or describe the config as `config.schema` in shim.yaml",
        )
    })?;
    let spec: Spec =
        serde_json::from_value(resolved).map_err(|error| failed(&format!("its `spec`: {error}")))?;
    let schema = spec.connection_specification.filter(Value::is_object).ok_or_else(|| {
        failed("its `spec` has no `connection_specification`; add the JSON schema of the config there")
    })?;
    Ok(UpstreamSpec {
        config_schema: Some(Packed::from(&schema)),
        documentation_url: spec.documentation_url,
        consent_flow: match spec.advanced_auth {
            Some(described) if wanted.consent => Some(completed(described, manifest)?),
            described => described,
        },
    })
}

/// A description of a consent flow, with what the manifest's authenticator tells of it.
fn completed(described: Value, manifest: &Manifest) -> Result<Value, Failure> {
    if providers::describes_flow(&described) {
        return Ok(described);
    }
    Ok(providers::with_manifest(&described, manifest.tree()?).unwrap_or_else(|why| {
        tracing::warn!("oauth2: {why}");
        described
    }))
}

/// The manifest's `spec` without references; `None` where it has none.
pub(super) fn resolved(manifest: &Manifest) -> Result<Option<Value>, Failure> {
    if let Some(alone) = manifest.section("spec") {
        return Ok(Some(alone));
    }
    let tree = manifest.tree()?;
    let Some(spec) = tree.get("spec").filter(|spec| !spec.is_null()) else { return Ok(None) };
    let resolved = Resolver::new(tree).resolve(spec);
    resolved.map(Some).map_err(|why| manifest::failed(&manifest.file, &format!("its `spec`: {why}")))
}

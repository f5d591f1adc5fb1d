//! The specification that a manifest holds: what a packaged connector would answer to `spec`.

use serde::Deserialize;
use serde_json::Value;

use super::references::Resolver;
use crate::capture::protocol::UpstreamSpec;
use crate::failure::Failure;
use crate::json::packed::Packed;
use crate::shim::manifest::{self, Manifest};

#[derive(Deserialize)]
struct Spec {
    connection_specification: Option<Value>,
    documentation_url: Option<String>,
    advanced_auth: Option<Value>,
}

/// The specification; fails where the manifest has none, or a reference in it leads nowhere.
/// `needs_none`: the shim describes the config, so a manifest without one says nothing of it.
pub fn spec(manifest: &Manifest, needs_none: bool) -> Result<UpstreamSpec, Failure> {
    let failed = |why: &str| manifest::failed(&manifest.file, why);
    let resolved = resolved(manifest)?;
    if resolved.is_none() && needs_none {
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
        consent_flow: spec.advanced_auth,
    })
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

//! `flow-shim bake`: asks upstream for its specification once, as an image is built, and keeps the
//! answer in the shim's folder.

use std::path::PathBuf;

use super::known;
use crate::airbyte;
use crate::capture::shutdown::Shutdown;
use crate::failure::{Code, Failure};
use crate::shim::baked::{Baked, Identity};
use crate::shim::command::CommandLine;
use crate::shim::load;
use crate::upstream;

/// Options of `bake`.
#[derive(Debug, clap::Args)]
pub struct BakeOptions {
    /// The shim's folder
    #[arg(value_name = "SHIM-DIR")]
    pub shim: PathBuf,
}

/// Asks and keeps.
pub async fn bake(options: &BakeOptions, shutdown: &Shutdown) -> Result<(), Failure> {
    let shim = load::load(Some(&options.shim))?;
    if let Some(manifest) = &shim.manifest {
        airbyte::manifest::spec(manifest, airbyte::manifest::Wanted::by(&shim.definition))?;
        tracing::info!("{} says the specification itself; nothing is to be kept", manifest.file.display());
        return Ok(());
    }
    let command = CommandLine { argv: shim.definition.command.clone(), folder: shim.folder.clone() };
    let connector = known::connector(command, &shim.definition, None, shutdown);
    let program = connector.command.find()?;
    let (protocol, spec) = upstream::spec(&connector).await.map_err(|f| f.while_doing("spec"))?;
    let spec = serde_json::to_value(spec)
        .map_err(|error| Failure::new(Code::BUG, format!("the specification cannot be kept: {error}")))?;
    let identity = Identity::of(&program);
    let file = Baked::new(protocol, identity.clone(), spec).save(&shim.folder.unwrap_or_default())?;
    tracing::info!("{} holds the specification of {identity}", file.display());
    Ok(())
}

//! One of the two versions: a shim's folder with a recording or an installed upstream, or a recording
//! alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::capture::shutdown::Shutdown;
use crate::dev::catalog::flow_yaml::Catalog;
use crate::dev::catalog::task::Task;
use crate::dev::known::{self, Known};
use crate::failure::{Code, Failure};
use crate::shim::command::CommandLine;
use crate::shim::definition::Definition;
use crate::shim::load::{self, Shim};
use crate::shim::manifest::{self, Manifest};

/// A version.
#[derive(Debug)]
pub(super) struct Side {
    /// The folder that was named, or a manifest of its own.
    pub(super) folder: PathBuf,
    /// The shim's; that of an empty shim for a recording.
    pub(super) definition: Definition,
    /// The manifest of a low-code connector; `None` where it is none.
    pub(super) manifest: Option<Arc<Manifest>>,
    /// What it offers.
    pub(super) known: Known,
}

impl Side {
    /// Finds out what is offered; recordings are played, unless what is installed is asked for.
    pub(super) async fn load(folder: &Path, installed: bool, shutdown: &Shutdown) -> Result<Self, Failure> {
        if folder.is_file() {
            let (definition, manifest) = (Definition::default(), manifest::read(folder)?);
            let known = Known::declared(&manifest, &definition)?;
            return Ok(Self {
                folder: folder.to_owned(),
                definition,
                manifest: Some(Arc::new(manifest)),
                known,
            });
        }
        let is_shim = load::is_shim(folder);
        let shim = if is_shim { load::load(Some(folder))? } else { Shim::default() };
        let Shim { definition, manifest, .. } = shim;
        let recording = known::recording(folder).filter(|_| is_shim && !installed);
        let recording = recording.unwrap_or_else(|| folder.to_owned());
        let known = match &manifest {
            Some(manifest) if !installed => Some(Known::declared(manifest, &definition)?),
            manifest => Known::recorded(&recording, &definition, manifest.as_ref(), shutdown).await?,
        };
        if let Some(known) = known {
            return Ok(Self { folder: folder.to_owned(), definition, manifest, known });
        }
        if !is_shim {
            let what = format!(
                "{} is neither a shim's folder nor a recording, which has a spec.jsonl, about.json or discover.json, nor a manifest",
                folder.display()
            );
            return Err(Failure::new(Code::NO_SHIM, what));
        }
        let command = CommandLine { argv: definition.command.clone(), folder: folder.canonicalize().ok() };
        let mut connector = known::connector(command, &definition, manifest.as_ref(), shutdown);
        let known = Known::asked(&mut connector, config(folder).as_ref()).await?;
        Ok(Self { folder: folder.to_owned(), definition, manifest, known })
    }
}

/// The config of the shim's test.flow.yaml; `None`, and a warning, where there is none to use.
fn config(folder: &Path) -> Option<Value> {
    let file = folder.join("test.flow.yaml");
    let read = || {
        let catalog = Catalog::load(&file)?;
        let name = catalog.names().next().unwrap_or_default().to_owned();
        Task::load(&catalog, &name, false)
    };
    match read() {
        Ok(task) => Some(task.config),
        Err(failure) => {
            tracing::warn!(
                "streams are not compared, because there is no config to discover with: {failure}"
            );
            None
        }
    }
}

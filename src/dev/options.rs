//! Options that all commands of the driver share, and what they choose: a capture, and how its connector
//! is asked.

use std::path::PathBuf;

use super::catalog::flow_yaml::Catalog;
use super::catalog::task::Task;
use super::driver::{Driver, Runtime};
use super::install;
use crate::capture::shutdown::Shutdown;
use crate::failure::{Code, Failure};

/// Which capture of which file.
#[derive(Debug, Clone, clap::Args)]
pub struct TaskOptions {
    /// The flow.yaml that defines the capture
    #[arg(long, value_name = "FILE", default_value = "test.flow.yaml")]
    pub source: PathBuf,
    /// The capture, where the file has several
    #[arg(long, visible_alias = "capture", value_name = "CAPTURE")]
    pub name: Option<String>,
    /// Docker's network, for connectors in images
    #[arg(long, default_value = "bridge")]
    pub network: String,
    /// Play this transcript in place of upstream; the endpoint's command must be flow-shim
    #[arg(long, value_name = "TRANSCRIPT")]
    pub replay: Option<PathBuf>,
}

impl TaskOptions {
    pub(super) fn catalog(&self) -> Result<Catalog, Failure> {
        let catalog = Catalog::load(&self.source)?;
        if catalog.names().next().is_none() {
            return Err(Failure::new(Code::FLOW_YAML, format!("{} has no capture", self.source.display())));
        }
        Ok(catalog)
    }

    /// A capture, with the upstream that these options ask for.
    pub(super) fn task(&self, catalog: &Catalog, name: &str, with_bindings: bool) -> Result<Task, Failure> {
        self.with_upstream(Task::load(catalog, name, with_bindings)?)
    }

    /// The capture, with the upstream that these options ask for in place of its own.
    pub(super) fn with_upstream(&self, mut task: Task) -> Result<Task, Failure> {
        if let Some(transcript) = &self.replay {
            task.endpoint.program.replay(transcript)?;
        } else if let Some(shim) = task.endpoint.program.shim() {
            for folder in install::outdated(&shim) {
                let shim = shim.display();
                tracing::warn!("the installed code is not that of {folder}; run `flow-shim install {shim}`");
            }
        }
        Ok(task)
    }

    /// Asks connectors in the network of these options.
    pub(super) fn driver<'a>(&'a self, shutdown: &'a Shutdown) -> Driver<'a> {
        Driver { network: &self.network, shutdown, runtime: Runtime::default() }
    }

    /// The one capture that is meant.
    pub(super) fn only(&self, catalog: &Catalog) -> Result<String, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let names: Vec<_> = catalog.names().collect();
        match names.as_slice() {
            [only] => Ok((*only).to_owned()),
            several => {
                let several = several.join(", ");
                Err(Failure::new(
                    Code::WHICH_CAPTURE,
                    format!("there are several captures, choose with --name: {several}"),
                ))
            }
        }
    }
}

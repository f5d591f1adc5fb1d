//! `flow-shim encrypt`: the config of a capture, encrypted as Flow takes it.
//!
//! The connector says which values are secrets. Flow's service at `ENCRYPTION_URL` encrypts them, or
//! age keys do. The config in the clear is read and left alone: nothing of it is written anywhere.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::catalog::{sops, yaml};
use super::display::output::Output;
use super::oauth::apart;
use super::options::TaskOptions;
use crate::capture::config::{sealed, secrets};
use crate::capture::shutdown::Shutdown;
use crate::encryption;
use crate::env;
use crate::failure::{Code, Failure};

/// Options of `encrypt`.
#[derive(Debug, Clone, clap::Args)]
pub struct EncryptOptions {
    /// Which capture
    #[command(flatten)]
    pub task: TaskOptions,
    /// Encrypt for this age key instead of asking the service; may be given several times
    #[arg(long = "age", value_name = "RECIPIENT")]
    pub age: Vec<String>,
    /// Write the encrypted config into this new file instead of printing it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Encrypts a config.
pub async fn run(options: &EncryptOptions, shutdown: &Shutdown) -> Result<(), Failure> {
    if let Some(file) = options.output.as_deref().filter(|file| file.exists()) {
        let what = format!("{} exists already; name a new file, or remove it", file.display());
        return Err(Failure::new(Code::CANNOT_WRITE, what));
    }
    let catalog = options.task.catalog()?;
    let task = options.task.task(&catalog, &options.task.only(&catalog)?, false)?;
    let spec = options.task.driver(shutdown).bare_spec(&task).await?;
    let schema: Value = serde_json::from_slice(&spec.config_schema_json).unwrap_or_default();
    secrets::hide(&schema, &task.config);
    let encrypted = if options.age.is_empty() {
        by_service(&schema, task.config, shutdown).await?
    } else {
        let found = secrets::secrets(&schema, &task.config);
        sops::encrypt(task.config, &found, &options.age).map_err(failed)?
    };
    let Some(file) = &options.output else {
        let mut output = Output::stdout();
        output.text(&yaml::text(&encrypted, Path::new("config.yaml"))?)?;
        return output.flush();
    };
    yaml::replace(file, &yaml::text(&encrypted, file)?)
        .map_err(|error| yaml::wrong(file, format!("cannot be written: {error}")))?;
    let name = file.display();
    tracing::info!(
        "{name} is encrypted: say `config: {name}` in the flow.yaml, and keep the one in the clear out of git and images"
    );
    Ok(())
}

async fn by_service(schema: &Value, config: Value, shutdown: &Shutdown) -> Result<Value, Failure> {
    let service = encryption::service().ok_or_else(|| {
        failed(format!(
            "nothing says by whom: set {} to Flow's encryption service, or name an age key with --age",
            env::ENCRYPTION_URL
        ))
    })?;
    let body = sealed::request(&config, schema);
    let answer = apart(shutdown, move || service(&body)).await?.map_err(failed)?;
    sealed::answer(&answer, schema, &config).map_err(failed)
}

fn failed(why: String) -> Failure {
    Failure::new(Code::NOT_ENCRYPTED, format!("the config was not encrypted: {why}"))
}

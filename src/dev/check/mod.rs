//! `flow-shim check`: what is wrong with a shim's folder, without running upstream.
//!
//! Where the folder has a recording, it is played and the shim is held against what it offers. Each
//! file here looks at one thing of the `subject`; `report` keeps and prints what they find, with the
//! line where it stands (`lines`).

mod command;
mod config;
mod flow;
mod form;
mod image;
mod lines;
mod lock;
mod manifest;
mod manifest_config;
mod oauth;
mod patterns;
mod report;
mod requirements;
mod secrets;
mod streams;
mod subject;

use std::path::{Path, PathBuf};

use self::report::{Place, Report};
use self::subject::Subject;
use super::display::form::Form;
use super::known::{self, Known};
use crate::capture::shutdown::Shutdown;
use crate::failure::{Code, Failure};
use crate::shim::load::{self, Shim};

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckOptions {
    /// The shim's folder
    #[arg(value_name = "SHIM-DIR")]
    pub shim: PathBuf,
    /// How to print what is found
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Form,
    /// Fail on warnings too
    #[arg(long)]
    pub strict: bool,
}

/// Checks, and prints what is found; the exit code.
pub async fn check(options: &CheckOptions, shutdown: &Shutdown) -> Result<u8, Failure> {
    let folder = &options.shim;
    if !folder.is_dir() {
        let what = format!("the shim folder {} does not exist", folder.display());
        return Err(Failure::new(Code::NO_SHIM, what));
    }
    let mut report = Report::new(folder);
    let shim = definition(folder, &mut report);
    requirements::check(folder, &mut report);
    lock::check(folder, &mut report);
    let known = match (&shim, known::recording(folder)) {
        (Some(shim), Some(recording)) => recorded(&recording, shim, shutdown, &mut report).await,
        // What is wrong with a manifest is found below.
        (Some(Shim { definition, manifest: Some(manifest), .. }), None) => {
            Known::declared(manifest, definition).ok()
        }
        _ => None,
    };
    if let Some(shim) = &shim {
        let (definition, manifest) = (&shim.definition, shim.manifest.as_deref());
        let subject = Subject { folder, definition, manifest, known: known.as_ref() };
        command::check(&subject, shim.baked.as_ref(), &mut report);
        manifest::check(&subject, &mut report);
        config::check(&subject, &mut report);
        oauth::check(&subject, &mut report);
        streams::check(&subject, &mut report);
        form::check(&subject, &mut report);
        image::check(&subject, &mut report);
        flow::check(&subject, &mut report).await;
    }
    report.print(options.output)?;
    Ok(u8::from(report.fails(options.strict)))
}

/// What the folder says; `None`, and a finding, where it cannot be read.
fn definition(folder: &Path, report: &mut Report) -> Option<Shim> {
    if !load::is_shim(folder) {
        let what = "there is no shim.yaml, and no file of airbyte-to-flow's";
        report.error(Place::of(load::FILE), what, "make a folder with `flow-shim new`");
        return None;
    }
    match load::load(Some(folder)) {
        Ok(shim) => Some(shim),
        Err(failure) => {
            report.refused(&failure.message, "correct it");
            None
        }
    }
}

/// Plays the recording; a finding where that fails.
async fn recorded(recording: &Path, shim: &Shim, shutdown: &Shutdown, report: &mut Report) -> Option<Known> {
    match Known::recorded(recording, &shim.definition, shim.manifest.as_ref(), shutdown).await {
        Ok(known) => known,
        Err(failure) => {
            let name = recording.file_name().unwrap_or_default().to_string_lossy();
            let what = format!("the recording cannot be played: {}", failure.message);
            report.error(Place::of(&name), &what, "record it anew with `flow-shim record`");
            None
        }
    }
}

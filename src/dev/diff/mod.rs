//! `flow-shim diff`: what changes for running captures between two versions of a connector.
//!
//! `side` finds out what a version offers, `facts` what is known beside it; `config` and `streams`
//! compare, and `change` keeps and prints what they find.

mod change;
mod config;
mod facts;
mod side;
mod state;
mod streams;

use std::path::PathBuf;

use self::change::{Changes, Effect};
use self::side::Side;
use super::display::form::Form;
use crate::capture::shutdown::Shutdown;
use crate::failure::Failure;

/// Options of `diff`.
#[derive(Debug, clap::Args)]
pub struct DiffOptions {
    /// The version that captures run now: a shim's folder, or a recording by `flow-shim record`
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The version that they would get
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Ask the programs that are installed in the shims' folders, also where there are recordings
    #[arg(long)]
    pub installed: bool,
    /// How to print what changes
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Form,
}

/// Compares, and prints; exit code 1 where a running capture would break.
pub async fn diff(options: &DiffOptions, shutdown: &Shutdown) -> Result<u8, Failure> {
    let old = Side::load(&options.old, options.installed, shutdown).await?;
    let new = Side::load(&options.new, options.installed, shutdown).await?;
    let mut changes = Changes::default();
    if old.known.protocol == new.known.protocol {
        config::compare(&old, &new, &mut changes);
        streams::compare(&old, &new, &mut changes);
        state::compare(&old, &new, &mut changes);
    } else {
        let (old, new) = (old.known.protocol.as_str(), new.known.protocol.as_str());
        changes.add(Effect::Breaks, "protocol", format!("was {old}, is {new}"));
    }
    facts::compare(&old, &new, &mut changes);
    changes.print(options.output)?;
    Ok(u8::from(changes.breaks()))
}

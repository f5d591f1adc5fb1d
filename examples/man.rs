//! Writes the manual pages, one for each command: `cargo run --example man -- FOLDER`.
//!
//! A program of its own, so that what makes pages is not in flow-shim.

use std::path::PathBuf;

use clap::CommandFactory;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "man".into()));
    std::fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(flow_shim::cli::Cli::command(), folder)
}

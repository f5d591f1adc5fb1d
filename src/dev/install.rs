//! `flow-shim install`: a virtual environment beside a shim, with its requirements.txt in it.
//!
//! `uv` does it where it is there, else Python's own venv and pip. The environment says what it was
//! made of; when that has not changed, nothing is done.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::subprocess;
use crate::env;
use crate::failure::{Code, Failure};
use crate::shim::command::{REQUIREMENTS, VENV};

/// The oldest Python that current connectors run on.
const OLDEST: (u32, u32) = (3, 10);
/// Interpreters that are tried, the newest that connectors commonly support first.
const INTERPRETERS: &[&str] = &["python3.12", "python3.11", "python3.13", "python3.10", "python3", "python"];
/// The file in an environment that says what it was made of.
const STAMP: &str = "flow-shim-requirements.txt";

/// Options of `install`.
#[derive(Debug, clap::Args)]
pub struct InstallOptions {
    /// The shim's folder
    #[arg(value_name = "SHIM-DIR")]
    pub shim: PathBuf,
    /// Install anew even where nothing has changed
    #[arg(long)]
    pub force: bool,
}

/// Installs.
pub fn install(options: InstallOptions) -> Result<(), Failure> {
    let shim = options.shim.canonicalize().map_err(|error| {
        Failure::new(
            Code::NO_SHIM,
            format!("the shim folder {} cannot be opened: {error}", options.shim.display()),
        )
    })?;
    let requirements = shim.join(REQUIREMENTS);
    let wanted = std::fs::read_to_string(&requirements).map_err(|error| {
        Failure::new(
            Code::NO_REQUIREMENTS,
            format!("{}: {error}; it names what is to be installed", requirements.display()),
        )
    })?;
    let venv = shim.join(VENV);
    let stamp = venv.join(STAMP);
    if !options.force && std::fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
        tracing::info!("{} is up to date", venv.display());
        return Ok(());
    }
    if venv.exists() {
        std::fs::remove_dir_all(&venv).map_err(|error| {
            Failure::new(Code::CANNOT_WRITE, format!("{} cannot be removed: {error}", venv.display()))
        })?;
    }
    let python = interpreter()?;
    tracing::info!("making {} with {}", venv.display(), python.display());
    if let Some(uv) = env::program("uv") {
        run(
            "making the environment",
            Command::new(&uv).arg("venv").arg("--python").arg(&python).arg(&venv),
            &shim,
        )?;
        let mut install = Command::new(&uv);
        install.args(["pip", "install", "--python"]).arg(venv.join("bin/python")).args(["-r", REQUIREMENTS]);
        run("installing requirements.txt", &mut install, &shim)?;
    } else {
        run("making the environment", Command::new(&python).args(["-m", "venv"]).arg(&venv), &shim)?;
        let mut install = Command::new(venv.join("bin/python"));
        install.args(["-m", "pip", "install", "--disable-pip-version-check", "-r", REQUIREMENTS]);
        run("installing requirements.txt", &mut install, &shim)?;
    }
    std::fs::write(&stamp, wanted).map_err(|error| {
        Failure::new(Code::CANNOT_WRITE, format!("{} cannot be written: {error}", stamp.display()))
    })
}

/// A Python that is new enough.
fn interpreter() -> Result<PathBuf, Failure> {
    INTERPRETERS
        .iter()
        .filter_map(|name| env::program(name))
        .find(|python| version(python) >= Some(OLDEST))
        .ok_or_else(|| {
            let (major, minor) = OLDEST;
            Failure::new(
                Code::NO_PYTHON,
                format!("no Python {major}.{minor} or newer is in PATH; install one"),
            )
        })
}

fn version(python: &Path) -> Option<(u32, u32)> {
    let output =
        Command::new(python).args(["-c", "import sys; print(*sys.version_info[:2])"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Runs one step in the shim's folder, so that relative paths in requirements.txt hold.
fn run(step: &str, command: &mut Command, shim: &Path) -> Result<(), Failure> {
    let output = subprocess::run(command.current_dir(shim), b"")
        .map_err(|error| Failure::new(Code::INSTALL_FAILED, format!("{step} failed: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = subprocess::said(&output);
    let reason = said.lines().rfind(|line| line.to_lowercase().contains("error"));
    let reason = reason.or_else(|| subprocess::last_line(&said)).unwrap_or("nothing was said").trim();
    Err(Failure::new(Code::INSTALL_FAILED, format!("{step} failed: {reason}")).with("output", said.as_ref()))
}

//! `flow-shim install`: a virtual environment beside a shim, with its requirements.txt in it.
//!
//! `uv` does it where it is there, else Python's own venv and pip, and the environment is the same. It
//! says what it was made of (`stamp`); when that has not changed, nothing is done.

mod stamp;

use std::path::{Path, PathBuf};
use std::process::Command;

use self::stamp::Stamp;
use super::subprocess;
use crate::env;
use crate::failure::{Code, Failure};
use crate::shim::command::{REQUIREMENTS, VENV};

/// The oldest Python that current connectors run on.
const OLDEST: (u32, u32) = (3, 10);
/// Interpreters that are tried, the newest that connectors commonly support first.
const INTERPRETERS: &[&str] = &["python3.12", "python3.11", "python3.13", "python3.10", "python3", "python"];
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
    let wanted = Stamp::of(&shim).map_err(|error| {
        Failure::new(
            Code::NO_REQUIREMENTS,
            format!("{}: {error}; it names what is to be installed", requirements.display()),
        )
    })?;
    let venv = shim.join(VENV);
    if !options.force && wanted.is_of(&shim) == Some(true) {
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
    let installer = Installer::new(&python, &shim, &venv)?;
    installer.install("installing pip and setuptools", &stamp::SEED.map(str::to_owned))?;
    let mut arguments = vec!["-r".to_owned(), REQUIREMENTS.to_owned()];
    if installer.uv.is_some() && (options.force || !wanted.folders.is_empty()) {
        // uv keeps the wheel that it made of a folder, and looks only at its pyproject.toml for changes.
        arguments.push("--refresh".to_owned());
    }
    installer.install("installing requirements.txt", &arguments)?;
    let stamp = venv.join(stamp::FILE);
    std::fs::write(&stamp, wanted.text).map_err(|error| {
        Failure::new(Code::CANNOT_WRITE, format!("{} cannot be written: {error}", stamp.display()))
    })
}

/// The local folders in a shim's requirements.txt whose code is not what is installed; empty where nothing
/// says that it is not.
pub(super) fn outdated(shim: &Path) -> Vec<String> {
    let Ok(stamp) = Stamp::of(shim) else { return Vec::new() };
    if stamp.is_of(shim) == Some(false) { stamp.folders } else { Vec::new() }
}

/// What installs into an environment.
struct Installer<'a> {
    uv: Option<PathBuf>,
    shim: &'a Path,
    venv: &'a Path,
}

impl<'a> Installer<'a> {
    /// Makes the environment.
    fn new(python: &Path, shim: &'a Path, venv: &'a Path) -> Result<Self, Failure> {
        let uv = env::program("uv");
        let mut make = Command::new(uv.as_deref().unwrap_or(python));
        if uv.is_some() {
            make.arg("venv").arg("--python").arg(python);
        } else {
            make.args(["-m", "venv"]);
        }
        run("making the environment", make.arg(venv), shim)?;
        Ok(Self { uv, shim, venv })
    }

    fn install(&self, step: &str, arguments: &[String]) -> Result<(), Failure> {
        let python = self.venv.join("bin/python");
        let mut install = Command::new(self.uv.as_ref().unwrap_or(&python));
        if self.uv.is_some() {
            install.args(["pip", "install", "--python"]).arg(&python);
        } else {
            install.args(["-m", "pip", "install", "--disable-pip-version-check"]);
        }
        run(step, install.args(arguments), self.shim)
    }
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

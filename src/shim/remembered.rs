//! What a connector has said of itself and says again as long as the same version of it is installed, kept in
//! the shim's folder between sessions: each question that need not be asked saves a start of its program,
//! which takes seconds for many Python connectors.
//!
//! It is kept for Python distributions alone: their version tells one installed program from another. A folder
//! that cannot be written keeps nothing. What the answers mean is for the protocol to say.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::baked::Identity;
use super::command::CommandLine;

/// The file's name.
pub const FILE: &str = "answers.remembered.json";
/// The layout of the file that this version writes and reads.
const LAYOUT: u32 = 1;

/// The answers of one installed connector.
#[derive(Debug, Default)]
pub struct Remembered(Option<Place>);

/// Where they are kept.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    layout: u32,
    /// The folder that describes the distribution, which has the version in its name.
    upstream: Identity,
    /// The whole command, with the arguments of questions: they may change the answers.
    command: Vec<String>,
    answers: Map<String, Value>,
}

impl Remembered {
    /// What is kept for this command and the arguments that the shim adds to questions. Nothing is, and nothing will be, without a shim's folder, or where the
    /// program is of no distribution, or of one that is edited in place.
    pub fn of(command: &CommandLine, arguments: &[String]) -> Self {
        let asked: Vec<String> = command.argv.iter().chain(arguments).cloned().collect();
        let place = || {
            let folder = command.folder.clone()?;
            let program = command.find().ok()?;
            let kept = match load(&folder).filter(|kept| kept.is_of(&asked, &program)) {
                Some(kept) => kept,
                None => Kept {
                    layout: LAYOUT,
                    upstream: Some(Identity::of(&program))
                        .filter(|identity| !identity.may_be_edited(&program))?,
                    command: asked.clone(),
                    answers: Map::new(),
                },
            };
            Some(Place { folder, kept: Mutex::new(kept) })
        };
        Self(place())
    }

    /// The answer to a question; `None` where it is to be asked.
    pub fn answer<T: DeserializeOwned>(&self, question: &str) -> Option<T> {
        let kept = self.0.as_ref()?.kept();
        serde_json::from_value(kept.answers.get(question)?.clone()).ok()
    }

    /// Keeps an answer. That it cannot be kept is no failure: it is asked for again.
    pub fn keep<T: Serialize>(&self, question: &str, answer: &T) {
        let (Some(place), Ok(answer)) = (&self.0, serde_json::to_value(answer)) else { return };
        let mut kept = place.kept();
        if kept.answers.get(question) == Some(&answer) {
            return;
        }
        kept.answers.insert(question.to_owned(), answer);
        if let Err(error) = save(&place.folder, &kept) {
            tracing::debug!(%error, "what upstream says of itself cannot be kept in {}", place.folder.display());
        }
    }
}

impl Place {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_of(&self, asked: &[String], program: &Path) -> bool {
        self.layout == LAYOUT && self.command == asked && self.upstream.is_of(program)
    }
}

/// A file that cannot be read counts as none.
fn load(folder: &Path) -> Option<Kept> {
    serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
}

/// Replaces the file at once: several sessions of a shim may run beside each other. Others may read it, as they
/// read the shim: it holds nothing of a config.
fn save(folder: &Path, kept: &Kept) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, kept)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(folder.join(FILE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shim's folder with a tap of this version in its virtual environment.
    fn install(folder: &Path, version: &str) {
        let venv = folder.join(".venv");
        let packages = venv.join("lib/python3.11/site-packages");
        let _ = std::fs::remove_dir_all(&packages);
        let described = packages.join(format!("tap_x-{version}.dist-info"));
        std::fs::create_dir_all(&described).expect("a folder");
        std::fs::write(described.join("entry_points.txt"), "[console_scripts]\ntap-x = x:main\n")
            .expect("written");
        std::fs::create_dir_all(venv.join("bin")).expect("a folder");
        std::fs::write(venv.join("bin/tap-x"), "#!/bin/sh\n").expect("written");
    }

    fn command(folder: &Path, argument: &str) -> CommandLine {
        let argv = [folder.join(".venv/bin/tap-x").to_string_lossy().into_owned(), argument.to_owned()];
        CommandLine { argv: argv.to_vec(), folder: Some(folder.to_owned()) }
    }

    #[test]
    fn answers_last_as_long_as_the_version_and_the_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        install(folder, "1.0");
        let answer = |argument: &str| Remembered::of(&command(folder, argument), &[]).answer::<u8>("help");
        Remembered::of(&command(folder, "a"), &[]).keep("help", &7);
        assert_eq!(answer("a"), Some(7));
        assert_eq!(answer("b"), None, "another command");
        assert_eq!(Remembered::of(&command(folder, "a"), &["--dev".to_owned()]).answer::<u8>("help"), None);
        install(folder, "1.1");
        assert_eq!(answer("a"), None, "another version");
        std::fs::write(folder.join(FILE), "{").expect("written");
        assert_eq!(answer("a"), None, "a damaged file counts as none");
    }

    #[test]
    fn nothing_is_kept_of_programs_without_a_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        install(folder, "1.0");
        let described = folder.join(".venv/lib/python3.11/site-packages/tap_x-1.0.dist-info");
        std::fs::write(
            described.join("direct_url.json"),
            r#"{"url": "file:///x", "dir_info": {"editable": true}}"#,
        )
        .expect("written");
        Remembered::of(&command(folder, "a"), &[]).keep("help", &7);
        std::fs::remove_file(described.join("entry_points.txt")).expect("removed");
        Remembered::of(&command(folder, "a"), &[]).keep("help", &7);
        assert!(!folder.join(FILE).exists());
        Remembered::default().keep("help", &7);
    }
}

//! Upstream's command: how a shim or a command line names it, and where the program is.
//!
//! Nothing passes through a shell. A bare name is looked up in the shim's virtual environment
//! (`.venv/bin`, made by `flow-shim install`), then in PATH; a path is one from the shim's folder, else
//! from the current one. The name `flow-shim` is this very program: the embedded demo connector runs
//! in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::env;
use crate::failure::{Code, Failure};
use crate::json::nearest::nearest;

/// The virtual environment in a shim's folder.
pub const VENV: &str = ".venv";
/// The file in a shim's folder that says what is installed there.
pub const REQUIREMENTS: &str = "requirements.txt";

/// Program and arguments, with the folder of the shim that names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments; never empty once a session runs.
    pub argv: Vec<String>,
    /// The shim's folder, absolute.
    pub folder: Option<PathBuf>,
}

impl CommandLine {
    /// The program as it was named.
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The arguments after the program.
    pub fn arguments(&self) -> &[String] {
        self.argv.get(1..).unwrap_or_default()
    }

    /// Variables that let upstream find what was installed beside the shim.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = Vec::new();
        if let Some(folder) = &self.folder {
            variables.push((env::SHIM_DIR, folder.clone().into_os_string()));
            let venv = folder.join(VENV);
            if venv.is_dir() {
                let mut places = vec![venv.join("bin")];
                places.extend(std::env::split_paths(&env::path()));
                if let Ok(path) = std::env::join_paths(places) {
                    variables.push(("PATH", path));
                }
                variables.push(("VIRTUAL_ENV", venv.into_os_string()));
            }
        }
        variables
    }

    /// Where the program is. The error says where it was looked for, and what to do.
    pub fn find(&self) -> Result<PathBuf, Failure> {
        let program = self.program();
        if program.is_empty() {
            return Err(Failure::new(
                Code::NO_COMMAND,
                "no upstream command is given; name it as `command` in shim.yaml, or after `--`",
            ));
        }
        if program == "flow-shim" {
            return std::env::current_exe().map_err(|error| {
                Failure::new(Code::SYSTEM, format!("our own program cannot be found: {error}"))
            });
        }
        if program.contains('/') {
            let beside = self.folder.as_ref().map(|folder| folder.join(program));
            let found = beside.into_iter().chain([PathBuf::from(program)]).find(|path| path.exists());
            let places =
                if program.starts_with('/') { "" } else { " in the shim's folder or in the current one" };
            return found.ok_or_else(|| self.missing(places));
        }
        let installed = self.folder.iter().map(|folder| folder.join(VENV).join("bin"));
        env::program_in(installed, program)
            .or_else(|| env::program(program))
            .ok_or_else(|| self.missing(" in the shim's .venv/bin or in PATH"))
    }

    /// What is said of a program that is in none of these places.
    fn missing(&self, places: &str) -> Failure {
        let program = self.program();
        let advice = match &self.folder {
            // What is installed has another name.
            Some(folder) if folder.join(VENV).join("bin").is_dir() => {
                let names = programs(&folder.join(VENV).join("bin"));
                let nearest = nearest(program, names.iter().map(String::as_str));
                let meant = nearest.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
                format!(
                    "correct `command` in shim.yaml{meant}, or install it with `flow-shim install {}`",
                    folder.display()
                )
            }
            Some(folder) if folder.join(REQUIREMENTS).exists() => {
                format!("install it with `flow-shim install {}`", folder.display())
            }
            _ => "install it, or correct `command` in shim.yaml or the arguments after `--`".to_owned(),
        };
        Failure::new(
            Code::UPSTREAM_NOT_FOUND,
            format!("the upstream program {program:?} was not found{places}; {advice}"),
        )
    }
}

/// The names of what is in a folder.
fn programs(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str]) -> CommandLine {
        CommandLine { argv: argv.iter().map(|&word| word.to_owned()).collect(), folder: None }
    }

    #[test]
    fn a_bare_name_is_found_in_path() {
        assert!(command(&["sh", "-c", "true"]).find().is_ok_and(|path| path.is_absolute()));
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = command(&["no-such-tap"]).find().expect_err("it is missing");
        assert!(failure.message.contains("\"no-such-tap\""), "{failure}");
        assert!(command(&[]).find().is_err());
    }

    #[test]
    fn a_slip_in_the_name_of_what_is_installed_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join(VENV).join("bin");
        std::fs::create_dir_all(&bin).expect("made");
        std::fs::write(bin.join("source-faker"), "").expect("written");
        let command = CommandLine { folder: Some(folder.path().to_owned()), ..command(&["source-fakr"]) };
        let failure = command.find().expect_err("it has another name");
        assert!(failure.message.contains("did you mean \"source-faker\"?"), "{failure}");
    }

    #[test]
    fn a_path_is_not_looked_up_in_path_and_the_error_does_not_say_so() {
        for (program, place) in [
            ("bin/no-such-tap", "not found in the shim's folder or in the current one; "),
            ("/no/such/tap", "\"/no/such/tap\" was not found; "),
        ] {
            let failure = command(&[program]).find().expect_err("it is missing");
            assert!(failure.message.contains(place), "{failure}");
        }
    }
}

//! Upstream's command: how a shim or a command line names it, and where the program is.
//!
//! Nothing passes through a shell. A bare name is looked up in the shim's virtual environment
//! (`.venv/bin`, made by `flow-shim install`), then in PATH. The name `flow-shim` is this very
//! program: the embedded demo connector runs in it.

use std::path::{Path, PathBuf};

use crate::env;
use crate::failure::{Code, Failure};

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
    pub fn environment(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        let mut variables = Vec::new();
        if let Some(folder) = &self.folder {
            variables.push((env::SHIM_DIR, folder.clone().into_os_string()));
            let venv = folder.join(".venv");
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
            let path = Path::new(program);
            let beside =
                self.folder.as_ref().map(|folder| folder.join(path)).filter(|beside| beside.exists());
            let found = beside.unwrap_or_else(|| path.to_owned());
            return if found.exists() { Ok(found) } else { Err(self.missing()) };
        }
        let venv = self.folder.iter().map(|folder| folder.join(".venv/bin"));
        let path = env::path();
        venv.chain(std::env::split_paths(&path))
            .map(|place| place.join(program))
            .find(|candidate| is_executable(candidate))
            .ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Failure {
        let program = self.program();
        let advice = match &self.folder {
            Some(folder) if folder.join("requirements.txt").exists() => {
                format!("install it with `flow-shim install {}`", folder.display())
            }
            _ => "install it, or correct `command` in shim.yaml or the arguments after `--`".to_owned(),
        };
        Failure::new(
            Code::UPSTREAM_NOT_FOUND,
            format!(
                "the upstream program {program:?} was not found in the shim's .venv/bin or in PATH; {advice}"
            ),
        )
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
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
}

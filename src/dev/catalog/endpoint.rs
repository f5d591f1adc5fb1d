//! What a flow.yaml says of an endpoint: which program or image the connector is.

use std::path::{Path, PathBuf};

use crate::env::SHIM_DIR;
use crate::failure::{Code, Failure};

/// How a capture's connector is started.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// What is started.
    pub(crate) program: Program,
    /// `shards.logLevel`.
    pub(crate) log_level: Option<String>,
}

/// `endpoint.local` or `endpoint.connector`.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// A command on this machine.
    Local {
        /// Program and arguments; `flow-shim` is this very program.
        command: Vec<String>,
        /// Variables to set.
        env: Vec<(String, String)>,
        /// Whether it speaks protobuf.
        protobuf: bool,
    },
    /// An image, through the docker command.
    Image {
        /// Its name.
        image: String,
    },
}

impl Program {
    /// The folder of the shim that flow-shim runs; `None` where it is another program, or names none.
    pub(crate) fn shim(&self) -> Option<PathBuf> {
        let Self::Local { command, env, .. } = self else { return None };
        let mut words = command.iter().take_while(|word| *word != "--");
        words.next().filter(|program| *program == "flow-shim")?;
        let named = loop {
            match words.next() {
                None => break None,
                Some(word) if word == "--shim" => break words.next(),
                Some(word) => {
                    if let Some(folder) = word.strip_prefix("--shim=") {
                        return Some(folder.into());
                    }
                }
            }
        };
        let set = || env.iter().find(|(name, _)| name == SHIM_DIR).map(|(_, value)| value);
        named.or_else(set).map(PathBuf::from)
    }

    /// Has flow-shim play a transcript in place of its upstream.
    pub(crate) fn replay(&mut self, transcript: &Path) -> Result<(), Failure> {
        match self {
            Self::Local { command, .. } if command.first().is_some_and(|program| program == "flow-shim") => {
                // What follows is another upstream, which the transcript stands for as well.
                command.truncate(command.iter().position(|word| word == "--").unwrap_or(command.len()));
                // One that is not here is looked for in the shim's folder.
                let transcript = transcript.canonicalize().unwrap_or_else(|_| transcript.to_owned());
                let transcript = transcript.to_string_lossy().into_owned();
                command.extend(["--", "flow-shim", "replay"].map(str::to_owned));
                command.push(transcript);
                Ok(())
            }
            _ => Err(Failure::new(
                Code::BAD_OPTION,
                "--replay needs an endpoint whose `local.command` is flow-shim: it plays the transcript",
            )),
        }
    }
}

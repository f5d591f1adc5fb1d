//! What a flow.yaml says of an endpoint: which program or image the connector is.

use std::path::Path;

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

//! What `run` was told, resolved: a flag counts before a variable, a variable before `shim.yaml`,
//! and that before the default.

use std::path::PathBuf;

use crate::capture::shutdown::Shutdown;
use crate::encryption;
use crate::env;
use crate::failure::{Code, Failure};
use crate::flow::codec::Codec;
use crate::shim::command::CommandLine;
use crate::shim::definition::ProtocolName;
use crate::shim::load;
use crate::upstream::Connector;

/// How the connector is run.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunOptions {
    /// The shim's folder [env: `FLOW_SHIM_DIR`; default: ./ if it holds a shim, else /shim]
    #[arg(long, value_name = "DIR")]
    pub shim: Option<PathBuf>,

    /// What upstream speaks; found out by asking it where nothing says so [env: `FLOW_SHIM_PROTOCOL`]
    #[arg(long, value_enum)]
    pub protocol: Option<ProtocolName>,

    /// How Flow's messages are framed [env: `FLOW_RUNTIME_CODEC`; default: json]
    #[arg(long, value_enum)]
    pub codec: Option<Codec>,

    /// Wait for upstream without limit, as a debugger needs it
    #[arg(long)]
    pub no_timeouts: bool,

    /// airbyte-to-flow's spelling of the upstream command, split as a shell would
    #[arg(long, value_name = "COMMAND", hide = true)]
    pub connector_entrypoint: Option<String>,

    /// Older Flow runtimes append it; `LOG_LEVEL` counts
    #[arg(long = "log.level", value_name = "LEVEL", hide = true)]
    pub log_level: Option<String>,

    /// The upstream command, in place of the shim's; it never passes through a shell
    #[arg(last = true, value_name = "UPSTREAM ARGV")]
    pub upstream: Vec<String>,
}

impl RunOptions {
    /// The connector that these options, the environment and the shim describe.
    pub fn resolve(self, shutdown: Shutdown) -> Result<Connector, Failure> {
        let folder = self.shim.or_else(|| env::get(env::SHIM_DIR).map(PathBuf::from));
        let atf = self.connector_entrypoint.as_deref();
        let atf = atf.map(|line| split("--connector-entrypoint", line)).transpose()?;
        let mut airbyte = atf.is_some();
        let load = if airbyte { load::load_as_airbyte_to_flow } else { load::load };
        let shim = load(folder.as_deref())?;
        let mut definition = shim.definition;
        // Another upstream than the shim's has another specification.
        let baked = shim.baked.filter(|_| self.upstream.is_empty() && !airbyte);
        let own = std::mem::take(&mut definition.command);
        let mut argv =
            [self.upstream, atf.unwrap_or_default(), own].into_iter().find(|argv| !argv.is_empty());
        if argv.is_none()
            && let Some(line) = env::get(env::AIRBYTE_ENTRYPOINT)
        {
            argv = Some(split(env::AIRBYTE_ENTRYPOINT, &line)?);
            airbyte = true;
        }
        if let Some(url) = env::get(env::DOCS_URL) {
            definition.documentation_url = Some(url);
        }
        let named = env::get(env::PROTOCOL).map(|name| variable(env::PROTOCOL, &name)).transpose()?;
        definition.protocol =
            self.protocol.or(named).or(definition.protocol).or(airbyte.then_some(ProtocolName::Airbyte));
        let framed = env::get(env::CODEC).map(|name| variable(env::CODEC, &name)).transpose()?;
        Ok(Connector {
            definition,
            command: CommandLine { argv: argv.unwrap_or_default(), folder: shim.folder },
            baked,
            manifest: shim.manifest,
            limits: !self.no_timeouts,
            codec: self.codec.or(framed).unwrap_or(Codec::Json),
            shutdown,
            encrypt: encryption::service(),
        })
    }
}

/// Splits a command line as a shell would; `from` says where it is from.
fn split(from: &str, line: &str) -> Result<Vec<String>, Failure> {
    shlex::split(line).filter(|argv| !argv.is_empty()).ok_or_else(|| {
        Failure::new(
            Code::BAD_OPTION,
            format!("{from} is not a command: it is empty, or a quote is not closed"),
        )
    })
}

/// Reads a variable that takes one of a few words, as the flag of the same name does.
fn variable<T: clap::ValueEnum>(name: &str, value: &str) -> Result<T, Failure> {
    T::from_str(value, true).map_err(|_| {
        let words: Vec<String> = T::value_variants()
            .iter()
            .filter_map(clap::ValueEnum::to_possible_value)
            .map(|v| v.get_name().to_owned())
            .collect();
        Failure::new(Code::BAD_OPTION, format!("the variable {name} must be one of {}", words.join(", ")))
    })
}

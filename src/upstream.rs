//! The only file that knows both protocols: it picks one, by setting or by asking upstream.

use std::io::{Read, Write};
use std::sync::Arc;

use crate::airbyte::Airbyte;
use crate::airbyte::manifest::Wanted;
use crate::capture::config::rotation::{Encrypt, Rotation};
use crate::capture::discover;
use crate::capture::processes::claim;
use crate::capture::processes::supervisor::{Operation, Progress, Upstream};
use crate::capture::protocol::{DiscoveredStream, Invocation, UpstreamProtocol, UpstreamSpec};
use crate::capture::session::serve;
use crate::capture::shutdown::Shutdown;
use crate::failure::{Code, Failure};
use crate::flow::codec::Codec;
use crate::flow::message::DiscoveredBinding;
use crate::shim::arguments::Verb;
use crate::shim::baked::Baked;
use crate::shim::command::CommandLine;
use crate::shim::definition::{Definition, ProtocolName};
use crate::shim::manifest::Manifest;
use crate::shim::remembered::Remembered;
use crate::singer::Singer;

/// How much of a probe's output is looked at: more than any answer has. A tap that reads on whatever it is
/// asked is stopped there.
const PROBE_BYTES: usize = 4 * 1024 * 1024;

/// What a connector process is to be.
pub struct Connector {
    /// What the shim says.
    pub definition: Definition,
    /// Upstream's command.
    pub command: CommandLine,
    /// Upstream's specification, where it was baked.
    pub baked: Option<Baked>,
    /// The manifest of a low-code connector, where upstream is one.
    pub manifest: Option<Arc<Manifest>>,
    /// Whether time limits hold.
    pub limits: bool,
    /// How Flow speaks.
    pub codec: Codec,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// Has changed configs encrypted; `None` where there is no service for it.
    pub encrypt: Option<Encrypt>,
}

/// Serves Flow until it has no more requests, or the capture has ended.
pub async fn run(
    connector: Connector,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<(), Failure> {
    let _claim = claim::claim();
    let (baked_protocol, spec) = baked(&connector).unzip();
    let protocol = match connector.definition.protocol.or(baked_protocol) {
        Some(protocol) => protocol,
        None => detect(&connector).await?,
    };
    let codec = connector.codec;
    match protocol {
        ProtocolName::Airbyte => {
            let airbyte = airbyte(&connector);
            let upstream = upstream(&connector, &airbyte);
            serve(airbyte, connector.definition, upstream, spec, codec, input, output).await
        }
        ProtocolName::Singer => {
            let singer = singer(&connector);
            let upstream = upstream(&connector, &singer);
            serve(singer, connector.definition, upstream, spec, codec, input, output).await
        }
    }
}

/// What upstream speaks: what the shim says, else what upstream answers to.
pub async fn protocol(connector: &Connector) -> Result<ProtocolName, Failure> {
    match connector.definition.protocol {
        Some(protocol) => Ok(protocol),
        None => detect(connector).await,
    }
}

/// Asks upstream for its specification, and what it speaks where nothing says so.
pub async fn spec(connector: &Connector) -> Result<(ProtocolName, UpstreamSpec), Failure> {
    let protocol = protocol(connector).await?;
    let spec = match protocol {
        ProtocolName::Airbyte => {
            let airbyte = airbyte(connector);
            airbyte.spec(&upstream(connector, &airbyte)).await?
        }
        ProtocolName::Singer => {
            let singer = singer(connector);
            let upstream = upstream(connector, &singer);
            let spec = singer.spec(&upstream).await?;
            singer.learn(&upstream).await?;
            spec
        }
    };
    Ok((protocol, spec))
}

/// A stream, and the binding that Flow gets of it; `None` where the shim never shows it.
pub type Offered = (DiscoveredStream, Option<DiscoveredBinding>);

/// Asks upstream for its streams.
pub async fn discover(
    connector: &Connector,
    protocol: ProtocolName,
    config: &serde_json::Value,
) -> Result<Vec<Offered>, Failure> {
    match protocol {
        ProtocolName::Airbyte => {
            let airbyte = airbyte(connector);
            let streams = airbyte.discover(&upstream(connector, &airbyte), config).await?;
            Ok(offered(&airbyte, &connector.definition, streams))
        }
        ProtocolName::Singer => {
            let singer = singer(connector);
            let streams = singer.discover(&upstream(connector, &singer), config).await?;
            Ok(offered(&singer, &connector.definition, streams))
        }
    }
}

/// Streams with the bindings that Flow gets of them.
pub fn offered<P: UpstreamProtocol>(
    protocol: &P,
    definition: &Definition,
    streams: Vec<DiscoveredStream>,
) -> Vec<Offered> {
    let bindings = discover::bindings(protocol, definition, &streams);
    streams.into_iter().zip(bindings).collect()
}

/// The baked specification, as long as it is of the upstream that is installed.
fn baked(connector: &Connector) -> Option<(ProtocolName, UpstreamSpec)> {
    let baked = connector.baked.as_ref()?;
    let current = connector.command.find().is_ok_and(|program| baked.is_of(&program));
    match serde_json::from_value(baked.spec.clone()) {
        Ok(spec) if current => Some((baked.protocol, spec)),
        _ => {
            tracing::warn!(
                "the baked specification is of {}, which is not what is installed; upstream is asked instead, \
                 which is slower; run `flow-shim bake` again",
                baked.upstream
            );
            None
        }
    }
}

fn airbyte(connector: &Connector) -> Airbyte {
    let definition = &connector.definition;
    let wanted = Wanted::by(definition);
    Airbyte::new(&definition.read, definition.state.format).described_by(connector.manifest.clone(), wanted)
}

fn singer(connector: &Connector) -> Singer {
    let definition = &connector.definition;
    let remembered = Remembered::of(&connector.command, definition.args.of(Verb::Spec));
    Singer::new(definition.singer.clone()).remembering(remembered)
}

fn upstream<P: UpstreamProtocol>(connector: &Connector, protocol: &P) -> Upstream {
    let defaults =
        protocol.environment().into_iter().map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
    let own = connector.definition.env.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
    Upstream {
        command: connector.command.clone(),
        arguments: connector.definition.args.clone(),
        environment: defaults.chain(own).collect(),
        timeouts: connector.limits.then(|| connector.definition.timeouts.clone()),
        idle_timeout: connector.limits.then_some(connector.definition.read.idle_timeout),
        shutdown: connector.shutdown.clone(),
        level_of: P::stderr_line,
        rotation: Rotation::new(connector.encrypt.clone()).without(protocol.private_members()),
    }
}

/// Asks upstream what it is: an Airbyte source answers `spec`, an SDK tap `--about`.
async fn detect(connector: &Connector) -> Result<ProtocolName, Failure> {
    let airbyte = upstream(connector, &airbyte(connector));
    let (answered, said_spec) = probe(&airbyte, &["spec"], |line, _| Airbyte::answers(line)).await?;
    if answered {
        tracing::info!("upstream answers `spec`: it is an Airbyte source");
        return Ok(ProtocolName::Airbyte);
    }
    let singer = upstream(connector, &singer(connector));
    let (answered, said_about) = probe(&singer, &["--about", "--format=json"], |line, output| {
        Singer::may_end_about(line) && Singer::answers(output)
    })
    .await?;
    if answered {
        tracing::info!("upstream answers `--about`: it is a Singer tap");
        return Ok(ProtocolName::Singer);
    }
    Err(Failure::new(
        Code::WHICH_PROTOCOL,
        format!(
            "it cannot be told whether {:?} is an Airbyte source or a Singer tap; say so with `protocol` in shim.yaml \
             or --protocol (`spec` printed: {said_spec}; `--about --format=json` printed: {said_about})",
            connector.command.program()
        ),
    ))
}

/// Runs upstream with these arguments: whether it answered, else what it printed. `is_answer` gets each
/// line, and all that was printed so far.
async fn probe(
    upstream: &Upstream,
    arguments: &[&str],
    is_answer: impl Fn(&str, &str) -> bool,
) -> Result<(bool, String), Failure> {
    let invocation = Invocation {
        arguments: arguments.iter().map(|&text| text.into()).collect(),
        ..Invocation::default()
    };
    let mut output = String::new();
    let mut answered = false;
    let ended = upstream
        .run(Operation::Spec, &invocation, |line| {
            let line = String::from_utf8_lossy(line);
            output.push_str(&line);
            output.push('\n');
            answered = answered || is_answer(&line, &output);
            match answered {
                _ if output.len() > PROBE_BYTES => Progress::Enough,
                true => Progress::Answered,
                false => Progress::Unanswered,
            }
        })
        .await?;
    if answered {
        return Ok((true, String::new()));
    }
    let said = ended
        .stderr
        .cause()
        .or_else(|| output.lines().find(|line| !line.trim().is_empty()).map(str::to_owned));
    let said: String = said.unwrap_or_else(|| "nothing".to_owned()).chars().take(200).collect();
    Ok((false, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_recognised_among_log_lines() {
        assert!(Airbyte::answers("{\"type\":\"LOG\"}\n{\"type\":\"SPEC\",\"spec\":{}}\n"));
        assert!(Airbyte::answers("loading {\"type\":\"SPEC\",\"spec\":{}}\n"));
        assert!(!Airbyte::answers("usage: tap [-h]\n"));
        assert!(Singer::answers("warning\n{\n \"settings\": {}\n}\n"));
        assert!(!Singer::answers("usage: tap [-h] -c CONFIG\n"));
    }
}

//! The docker command line for a connector's image, with the limits of Flow's data planes.
//!
//! The image's own entry point is started, and its codec is found out from its label or variable
//! `FLOW_RUNTIME_CODEC` (flow-protocol.md, sections 1.1 and 1.3). A container outlives the command line that
//! started it, so its id is kept in a file, by which it is killed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::env;
use crate::failure::{Code, Failure};
use crate::flow::codec::Codec;

/// The label that names the protocol, without which Flow refuses an image.
pub(crate) const PROTOCOL_LABEL: &str = "FLOW_RUNTIME_PROTOCOL";
/// How long Docker may take to kill a container.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// A container that may run.
#[derive(Debug)]
pub(super) struct Container {
    docker: String,
    /// Holds the file that Docker writes the container's id to. Docker wants to make it itself.
    folder: TempDir,
}

impl Container {
    fn new(docker: &str) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::new(Code::SYSTEM, format!("no folder can be made for the id of a container: {error}"))
        })?;
        Ok(Self { docker: docker.to_owned(), folder })
    }

    fn id_file(&self) -> std::path::PathBuf {
        self.folder.path().join("id")
    }

    /// Kills it, where it was made and still runs. Waits for a while, since it is called where nobody
    /// can wait otherwise: as the last thing before an exit.
    pub(super) fn kill(&self) {
        let Ok(id) = std::fs::read_to_string(self.id_file()) else { return };
        let mut kill = std::process::Command::new(&self.docker);
        kill.args(["kill", id.trim()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut kill) = kill.spawn() else { return };
        let begun = Instant::now();
        while matches!(kill.try_wait(), Ok(None)) {
            if begun.elapsed() > KILLED_WITHIN {
                tracing::warn!(
                    "the container {} may still run: {} kill does not end",
                    id.trim(),
                    self.docker
                );
                let _ = kill.kill();
                let _ = kill.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The command that runs an image, the name to use in messages, the codec, and the container that it makes.
pub(super) async fn command(
    image: &str,
    network: &str,
    log_level: Option<&str>,
) -> Result<(Command, String, Codec, Container), Failure> {
    let docker = program();
    let inspection = pulled(&docker, image).await?;
    let config = &inspection["Config"];
    let codec = codec(config).unwrap_or_else(|| {
        tracing::warn!("{image} has no label FLOW_RUNTIME_CODEC; JSON is spoken here, protobuf by Flow");
        Codec::Json
    });
    for doubt in doubts(&inspection) {
        tracing::warn!("{image} {doubt}");
    }
    let container = Container::new(&docker)?;
    let mut command = Command::new(&docker);
    // `--init`: as process 1, a connector without a handler of its own would not notice a SIGTERM.
    command.args(["run", "--rm", "--init", "--interactive", "--log-driver=none", "--memory=1g", "--cpus=2"]);
    command.arg(format!("--network={network}")).arg("--env=LOG_FORMAT=json");
    command.arg(format!("--cidfile={}", container.id_file().display()));
    command.arg(format!("--env=LOG_LEVEL={}", log_level.unwrap_or("warn"))).arg(image);
    Ok((command, format!("{docker} run {image}"), codec, container))
}

/// The program that is Docker, or stands in for it.
pub(crate) fn program() -> String {
    env::get(env::DOCKER_CLI).unwrap_or_else(|| "docker".to_owned())
}

/// What Flow would not like about an image, by what `docker image inspect` says.
pub(crate) fn doubts(inspection: &Value) -> Vec<String> {
    let mut doubts = Vec::new();
    if inspection["Config"]["Labels"][PROTOCOL_LABEL] != "capture" {
        doubts.push(format!("has no label {PROTOCOL_LABEL}=capture, without which Flow refuses it"));
    }
    let platform = [&inspection["Os"], &inspection["Architecture"]].map(|part| part.as_str().unwrap_or("?"));
    if platform != ["linux", "amd64"] {
        doubts.push(format!("is built for {}, and Flow runs linux/amd64", platform.join("/")));
    }
    doubts
}

/// What is known of the image, which is pulled where it is not there.
async fn pulled(docker: &str, image: &str) -> Result<Value, Failure> {
    if let Some(inspection) = inspect(docker, image).await? {
        return Ok(inspection);
    }
    // A local tag is never pulled, as Flow has it.
    if !image.ends_with(":local") {
        let mut pull = Command::new(docker);
        let _ =
            pull.args(["pull", "--quiet", image]).stdin(Stdio::null()).stdout(Stdio::null()).status().await;
    }
    inspect(docker, image).await?.ok_or_else(|| {
        Failure::new(Code::ENDPOINT, format!("the image {image} is not here and cannot be pulled; see above"))
    })
}

/// What is known of an image; `None` where it is not here.
pub(crate) async fn inspect(docker: &str, image: &str) -> Result<Option<Value>, Failure> {
    let mut inspect = Command::new(docker);
    inspect.args(["image", "inspect", "--format", "{{json .}}", image]).stdin(Stdio::null());
    let output = inspect
        .output()
        .await
        .map_err(|error| Failure::new(Code::ENDPOINT, format!("{docker:?} cannot be started: {error}")))?;
    Ok(output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap_or_default()))
}

/// What the label says, else the variable; `None` where the image says nothing.
fn codec(config: &Value) -> Option<Codec> {
    let label = config.pointer("/Labels/FLOW_RUNTIME_CODEC").and_then(Value::as_str);
    let variables = config.get("Env").and_then(Value::as_array);
    let variable = || {
        let variables = variables?.iter().filter_map(Value::as_str);
        variables
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == env::CODEC)
            .map(|(_, value)| value)
    };
    label.or_else(variable).map(|name| if name == "json" { Codec::Json } else { Codec::Proto })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_codec_is_that_of_label_or_variable() {
        assert_eq!(codec(&json!({"Labels": {"FLOW_RUNTIME_CODEC": "json"}})), Some(Codec::Json));
        assert_eq!(
            codec(&json!({"Labels": null, "Env": ["A=b", "FLOW_RUNTIME_CODEC=json"]})),
            Some(Codec::Json)
        );
        assert_eq!(codec(&json!({"Labels": {"FLOW_RUNTIME_CODEC": "proto"}})), Some(Codec::Proto));
        assert_eq!(codec(&json!({"Env": ["PATH=/bin"]})), None);
    }

    #[test]
    fn an_image_is_for_flow() {
        let image = |architecture: &str, labels: Value| json!({"Os": "linux", "Architecture": architecture, "Config": {"Labels": labels}});
        assert_eq!(doubts(&image("amd64", json!({"FLOW_RUNTIME_PROTOCOL": "capture"}))), [""; 0]);
        assert_eq!(doubts(&image("arm64", json!(null))).len(), 2);
    }
}

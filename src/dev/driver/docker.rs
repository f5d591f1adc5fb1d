//! The docker command line for a connector's image, with the limits of Flow's data planes.
//!
//! The image's own entry point is started, and its codec is found out from its label or variable
//! `FLOW_RUNTIME_CODEC` (flow-protocol.md, sections 1.1 and 1.3).

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::env;
use crate::failure::{Code, Failure};
use crate::flow::codec::Codec;

/// The command that runs an image, the name to use in messages, and the codec.
pub(super) async fn command(
    image: &str,
    network: &str,
    log_level: Option<&str>,
) -> Result<(Command, String, Codec), Failure> {
    let docker = env::get(env::DOCKER_CLI).unwrap_or_else(|| "docker".to_owned());
    let codec = codec(&config(&docker, image).await?);
    let codec = codec.unwrap_or_else(|| {
        tracing::warn!("{image} has no label FLOW_RUNTIME_CODEC; JSON is spoken here, protobuf by Flow");
        Codec::Json
    });
    let mut command = Command::new(&docker);
    command.args(["run", "--rm", "--interactive", "--log-driver=none", "--memory=1g", "--cpus=2"]);
    command.arg(format!("--network={network}")).arg("--env=LOG_FORMAT=json");
    command.arg(format!("--env=LOG_LEVEL={}", log_level.unwrap_or("warn"))).arg(image);
    Ok((command, format!("{docker} run {image}"), codec))
}

/// The image's config; pulls the image where it is not there.
async fn config(docker: &str, image: &str) -> Result<Value, Failure> {
    if let Some(config) = inspect(docker, image).await? {
        return Ok(config);
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

async fn inspect(docker: &str, image: &str) -> Result<Option<Value>, Failure> {
    let mut inspect = Command::new(docker);
    inspect.args(["image", "inspect", "--format", "{{json .Config}}", image]).stdin(Stdio::null());
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
}

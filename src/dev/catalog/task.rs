//! One capture of a flow.yaml, resolved: its endpoint, its enabled bindings and their collections.
//!
//! Only the structure is checked here, as Flow's catalog sources are; whether config and resources
//! suit the connector is the connector's to say (flow-protocol.md, section 7.3).

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::endpoint::{Endpoint, Program};
use super::flow_yaml::Catalog;
use super::resource;
use super::sops;
use super::yaml::Located;
use crate::failure::{Code, Failure};
use crate::flow::message::{
    Binding, CaptureSpec, CollectionSpec, ConnectorType, Spec, ValidateBinding, ValidateRequest,
};
use crate::shim::units::parse_duration;

const CAPTURE_KEYS: [&str; 8] =
    ["autoDiscover", "endpoint", "bindings", "interval", "shards", "redactSalt", "expectPubId", "delete"];
const BINDING_KEYS: [&str; 4] = ["resource", "target", "backfill", "disable"];
const LOCAL_KEYS: [&str; 4] = ["command", "config", "env", "protobuf"];
const CONNECTOR_KEYS: [&str; 2] = ["image", "config"];
/// The version of a capture that is nowhere published.
pub(crate) const VERSION: &str = "00:00:00:00";
/// Flow's default.
const INTERVAL: Duration = Duration::from_secs(300);

/// A capture that can be run.
#[derive(Debug)]
pub(crate) struct Task {
    /// Its name.
    pub(crate) name: String,
    /// How its connector is started.
    pub(crate) endpoint: Endpoint,
    /// The endpoint config.
    pub(crate) config: Value,
    /// The file in which the config stands.
    pub(crate) config_file: PathBuf,
    /// The enabled bindings.
    pub(crate) bindings: Vec<TaskBinding>,
    /// Whether `shards.disable` is set.
    pub(crate) disabled: bool,
    interval: Duration,
}

/// An enabled binding.
#[derive(Debug)]
pub(crate) struct TaskBinding {
    /// Its resource config.
    pub(crate) resource: Value,
    backfill: u32,
    collection: CollectionSpec,
    /// Where it is defined, for messages.
    pub(crate) place: String,
}

impl Task {
    /// Reads a capture and what it refers to. `with_bindings` is off for what needs none, so that
    /// a capture can be discovered before its collections are written.
    pub(crate) fn load(catalog: &Catalog, name: &str, with_bindings: bool) -> Result<Self, Failure> {
        Self::read(catalog, name, with_bindings, true)
    }

    /// Reads a capture without its config, which may be encrypted for others.
    pub(crate) fn without_secrets(catalog: &Catalog, name: &str) -> Result<Self, Failure> {
        Self::read(catalog, name, true, false)
    }

    /// Reads a capture for what needs neither bindings nor config, so that it can be asked how to get
    /// a config.
    pub(crate) fn without_config(catalog: &Catalog, name: &str) -> Result<Self, Failure> {
        Self::read(catalog, name, false, false)
    }

    fn read(catalog: &Catalog, name: &str, with_bindings: bool, with_config: bool) -> Result<Self, Failure> {
        let capture = catalog.capture(name)?;
        capture.only(&CAPTURE_KEYS)?;
        let shards = capture.get("shards");
        let log_level = shards.as_ref().and_then(|shards| shards.get("logLevel"));
        let log_level = log_level.map(|level| level.text().map(str::to_owned)).transpose()?;
        let disabled = shards.map(|shards| shards.flag("disable")).transpose()?.unwrap_or(false);
        let (program, place) = endpoint(&capture.need("endpoint")?)?;
        let (config, config_file) =
            if with_config { config(&place)? } else { (Value::Null, place.file.to_owned()) };
        let mut bindings = Vec::new();
        let listed = capture.get("bindings").filter(|_| with_bindings);
        for binding in listed.map(|listed| listed.items()).transpose()?.unwrap_or_default() {
            bindings.extend(task_binding(catalog, &binding)?);
        }
        let interval = match capture.get("interval") {
            Some(text) => parse_duration(text.text()?).map_err(|error| text.wrong(&format!(": {error}")))?,
            None => INTERVAL,
        };
        let endpoint = Endpoint { program, log_level };
        Ok(Self { name: name.to_owned(), endpoint, config, config_file, bindings, disabled, interval })
    }

    /// What kind of endpoint the connector is told it runs in.
    pub(crate) fn connector_type(&self) -> i32 {
        match self.endpoint.program {
            Program::Local { .. } => ConnectorType::Local.into(),
            Program::Image { .. } => ConnectorType::Image.into(),
        }
    }

    /// The capture as it is applied and opened.
    pub(crate) fn capture_spec(&self, spec: &Spec) -> Result<CaptureSpec, Failure> {
        let mut bindings: Vec<Binding> = Vec::new();
        for binding in &self.bindings {
            let path = resource::path(&binding.resource, &spec.resource_path_pointers)
                .map_err(|what| wrong(&format!("{}.resource {what}", binding.place)))?;
            if bindings.iter().any(|other| other.resource_path == path) {
                return Err(wrong(&format!(
                    "{}: another binding has the resource path {path:?} too",
                    binding.place
                )));
            }
            bindings.push(Binding {
                resource_config_json: json(&resource::with_path(&binding.resource, &path)),
                state_key: resource::state_key(&path, binding.backfill),
                resource_path: path,
                collection: Some(binding.collection.clone()),
                backfill: binding.backfill,
                ..Default::default()
            });
        }
        Ok(CaptureSpec {
            name: self.name.clone(),
            connector_type: self.connector_type(),
            config_json: json(&self.config),
            bindings,
            interval_seconds: u32::try_from(self.interval.as_secs()).unwrap_or(u32::MAX),
            ..Default::default()
        })
    }

    /// The question whether this capture could run.
    pub(crate) fn validate_request(&self, capture: &CaptureSpec) -> ValidateRequest {
        let binding = |binding: &Binding| ValidateBinding {
            resource_config_json: binding.resource_config_json.clone(),
            collection: binding.collection.clone(),
            backfill: binding.backfill,
        };
        ValidateRequest {
            name: self.name.clone(),
            connector_type: self.connector_type(),
            config_json: json(&self.config),
            bindings: capture.bindings.iter().map(binding).collect(),
            ..Default::default()
        }
    }
}

/// Reads a flow.yaml and all captures in it, as far as that can be done without running one.
pub fn read_all(file: &std::path::Path) -> Result<(), Failure> {
    let catalog = Catalog::load(file)?;
    catalog.names().try_for_each(|name| Task::load(&catalog, name, true).map(drop))
}

/// A JSON value as it is sent.
pub(crate) fn json(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn wrong(what: &str) -> Failure {
    Failure::new(Code::FLOW_YAML, what)
}

/// What is started, and the place with its config.
fn endpoint<'a>(endpoint: &Located<'a>) -> Result<(Program, Located<'a>), Failure> {
    endpoint.only(&["local", "connector"])?;
    if let Some(local) = endpoint.get("local") {
        local.only(&LOCAL_KEYS)?;
        let command = local.need("command")?;
        let argv = command.texts()?;
        if argv.is_empty() {
            return Err(command.wrong("is empty"));
        }
        let mut env = Vec::new();
        if let Some(variables) = local.get("env") {
            for (name, value) in variables.object()? {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                env.push((name.clone(), value));
            }
        }
        let program = Program::Local { command: argv, env, protobuf: local.flag("protobuf")? };
        return Ok((program, local));
    }
    let connector =
        endpoint.get("connector").ok_or_else(|| endpoint.wrong("has neither local nor connector"))?;
    connector.only(&CONNECTOR_KEYS)?;
    let program = Program::Image { image: connector.need("image")?.text()?.to_owned() };
    Ok((program, connector))
}

/// The config, and the file in which it stands.
fn config(endpoint: &Located<'_>) -> Result<(Value, PathBuf), Failure> {
    let config = endpoint.need("config")?;
    let (value, file) = config.resolve()?;
    if !value.is_object() {
        return Err(config.wrong("must be a mapping, or the name of a file with one"));
    }
    Ok((sops::open(value, &file)?, file))
}

/// `None` for a binding that is disabled.
fn task_binding(catalog: &Catalog, binding: &Located<'_>) -> Result<Option<TaskBinding>, Failure> {
    binding.only(&BINDING_KEYS)?;
    let disabled = binding.flag("disable")?;
    let Some(target) = binding.get("target").filter(|_| !disabled) else { return Ok(None) };
    let target = target.text()?;
    let (resource, _) = binding.need("resource")?.resolve()?;
    if !resource.is_object() {
        return Err(binding.wrong("has a resource that is not a mapping"));
    }
    let backfill = match binding.get("backfill") {
        Some(count) => {
            let counter = count.value.as_u64().and_then(|counter| u32::try_from(counter).ok());
            counter.ok_or_else(|| count.wrong("must be a whole number"))?
        }
        None => 0,
    };
    let defined = catalog.collection(target);
    let defined = defined.ok_or_else(|| {
        binding.wrong(&format!(
            "writes to the collection {target:?}, which is not defined in this file or its imports"
        ))
    })?;
    let collection = collection(target, &defined)?;
    let place = format!("{}: {}", binding.file.display(), binding.place);
    Ok(Some(TaskBinding { resource, backfill, collection, place }))
}

fn collection(name: &str, collection: &Located<'_>) -> Result<CollectionSpec, Failure> {
    let schema = match (collection.get("schema"), collection.get("writeSchema"), collection.get("readSchema"))
    {
        (Some(schema), None, None) => schema,
        (None, Some(write), Some(_)) => write,
        _ => return Err(collection.wrong("must have either schema, or writeSchema and readSchema")),
    };
    let key = collection.need("key")?;
    let pointers = key.texts()?;
    if pointers.is_empty() || pointers.iter().any(|pointer| !pointer.starts_with('/')) {
        return Err(key.wrong("must list JSON pointers, such as /id"));
    }
    let (write_schema, _) = schema.resolve()?;
    Ok(CollectionSpec { name: name.to_owned(), key: pointers, write_schema_json: json(&write_schema) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTIONS: &str = "collections:\n  x/users: {schema: users.json, key: [/id]}\n  x/orders: {writeSchema: {type: object}, readSchema: {type: object}, key: [/id]}\n";

    fn load(captures: &str) -> Result<Task, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("flow.yaml");
        std::fs::write(&file, format!("{COLLECTIONS}{captures}")).expect("a file");
        std::fs::write(folder.path().join("users.json"), r#"{"type":"object"}"#).expect("a file");
        std::fs::write(folder.path().join("config.yaml"), "token: hunter2\n").expect("a file");
        let catalog = Catalog::load(&file)?;
        let name = catalog.names().next().expect("there is one").to_owned();
        Task::load(&catalog, &name, true)
    }

    fn spec() -> Spec {
        Spec {
            resource_path_pointers: vec!["/namespace".to_owned(), "/stream".to_owned()],
            ..Default::default()
        }
    }

    #[test]
    fn only_enabled_bindings_are_sent() {
        let task = load(
            "captures:\n  x/source:\n    endpoint: {local: {command: [tap], config: config.yaml, env: {A: b}}}\n    interval: 3m\n    shards: {logLevel: debug}\n    bindings:\n      - {resource: {stream: a}, target: null}\n      - {resource: {stream: b}, target: x/users, disable: true}\n      - {resource: {stream: users}, target: x/users, backfill: 2}\n      - {resource: {stream: orders, namespace: p}, target: x/orders}\n",
        )
        .expect("it loads");
        let capture = task.capture_spec(&spec()).expect("it is right");
        let keys: Vec<_> = capture.bindings.iter().map(|binding| binding.state_key.as_str()).collect();
        assert_eq!(keys, ["users.v2", "p%2Forders"]);
        assert_eq!(capture.interval_seconds, 180);
        assert_eq!(capture.config_json, br#"{"token":"hunter2"}"#);
        assert_eq!(
            capture.bindings[1].resource_config_json,
            br#"{"_meta":{"path":["p","orders"]},"stream":"orders","namespace":"p"}"#
        );
        assert_eq!(task.validate_request(&capture).bindings.len(), 2);
        assert_eq!(task.endpoint.log_level.as_deref(), Some("debug"));
    }

    #[test]
    fn mistakes_are_named() {
        let with = |rest: &str| {
            let text = format!(
                "captures:\n  x/source:\n    endpoint: {{local: {{command: [tap], config: {{}}}}}}\n    {rest}\n"
            );
            load(&text).expect_err("it is wrong").message
        };
        assert!(
            with("bindings: [{resource: {}, target: x/none}]").contains("\"x/none\", which is not defined")
        );
        assert!(
            with("bindings: [{resource: {}, targets: x/users}]")
                .contains("bindings[0] has an unknown key \"targets\"; did you mean \"target\"?")
        );
        assert!(with("interval: 5").contains("interval must be a string"));
        assert!(with("intervall: 5m").contains("did you mean \"interval\"?"));
    }

    #[test]
    fn two_bindings_may_not_read_the_same_resource() {
        let task = load("captures: {x/s: {endpoint: {connector: {image: i, config: {}}}, bindings: [{resource: {stream: a}, target: x/users}, {resource: {stream: a}, target: x/orders}]}}\n")
            .expect("it loads");
        assert!(task.capture_spec(&spec()).is_err());
    }
}

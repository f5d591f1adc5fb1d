//! What is known of a version beside what it offers: its number, its licence, and what it needs.
//!
//! From `upstream.lock`, from Airbyte's `metadata.yaml` in the folder, and from what describes an
//! installed Python distribution.

use std::path::Path;

use serde_json::Value;

use super::change::{Changes, Effect};
use super::side::Side;
use crate::dev::catalog::yaml;
use crate::dev::known::recording;
use crate::dev::pull_upstream::{LOCK, licence_of};
use crate::shim::baked::Identity;
use crate::shim::command::CommandLine;

/// The file in which Airbyte describes a connector.
const METADATA: &str = "metadata.yaml";

/// The facts; `None` for what is not known.
#[derive(Debug, Default)]
struct Facts {
    version: Option<String>,
    /// The version of the CDK that a manifest was written for.
    cdk: Option<String>,
    licence: Option<String>,
    /// As Kubernetes writes them, such as `2Gi`.
    memory: Option<String>,
    cpu: Option<String>,
}

/// Tells what changes in what both sides know.
pub(super) fn compare(old: &Side, new: &Side, changes: &mut Changes) {
    let (old, new) = (of(old), of(new));
    for (name, old, new) in [
        ("version", old.version, new.version),
        ("manifest version", old.cdk, new.cdk),
        ("licence", old.licence, new.licence),
        ("memory", old.memory, new.memory),
        ("cpu", old.cpu, new.cpu),
    ] {
        match (old, new) {
            (Some(old), Some(new)) if old != new => {
                changes.add(Effect::Note, name, format!("was {old}, is {new}"));
            }
            (None, Some(new)) => changes.add(Effect::Note, name, format!("was not known, is {new}")),
            _ => {}
        }
    }
}

fn of(side: &Side) -> Facts {
    let mut facts = Facts::default();
    let manifest = side.manifest.as_ref().and_then(|manifest| manifest.tree().ok());
    facts.cdk = manifest.and_then(|tree| tree["version"].as_str()).map(str::to_owned);
    let folders = [Some(side.folder.clone()), recording(&side.folder)];
    for folder in folders.into_iter().flatten() {
        if let Ok(metadata) = yaml::read(&folder.join(METADATA)) {
            facts.declared(&metadata["data"]);
        }
    }
    if let Ok(text) = std::fs::read_to_string(side.folder.join(LOCK)) {
        facts.licence = licence_of(&text).or(facts.licence);
    }
    facts.installed(side);
    facts
}

impl Facts {
    fn declared(&mut self, data: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.version = self.version.take().or_else(|| text(&data["dockerImageTag"]));
        self.licence = self.licence.take().or_else(|| text(&data["license"]));
        let needs = &data["resourceRequirements"];
        let jobs =
            needs["jobSpecific"].as_array().into_iter().flatten().map(|job| &job["resourceRequirements"]);
        for needs in jobs.chain([&needs["default"]]) {
            self.memory = self.memory.take().or_else(|| text(&needs["memory_limit"]));
            self.cpu = self.cpu.take().or_else(|| text(&needs["cpu_limit"]));
        }
    }

    /// What a virtual environment says of the distribution that the shim runs.
    fn installed(&mut self, side: &Side) {
        let command =
            CommandLine { argv: side.definition.command.clone(), folder: side.folder.canonicalize().ok() };
        let Ok(program) = command.find() else { return };
        let Identity::Distribution(folder) = Identity::of(&program) else { return };
        let Some(prefix) = program.parent().and_then(Path::parent) else { return };
        let text = std::fs::read_to_string(prefix.join(folder).join("METADATA")).unwrap_or_default();
        // The long description follows a blank line.
        let heading = text.split("\n\n").next().unwrap_or_default();
        let field = |name: &str| {
            let line = heading.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        self.version = self.version.take().or_else(|| field("Version"));
        self.licence =
            self.licence.take().or_else(|| field("License-Expression")).or_else(|| field("License"));
    }
}

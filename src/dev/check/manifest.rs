//! A manifest: references that lead somewhere, the version that is installed, code that runs, and what
//! its streams say of themselves.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::manifest_config as config;
use super::report::{Place, Report};
use super::subject::Subject;
use crate::airbyte::manifest::{self, Resolver};
use crate::json::schema::types;
use crate::shim::baked::Identity;
use crate::shim::command::{CommandLine, REQUIREMENTS};
use crate::shim::manifest::{Components, Manifest, PROGRAM};

/// The first airbyte-cdk that has the program.
const WITH_PROGRAM: (u32, u32) = (6, 7);
/// The first one that takes Python code beside a manifest.
const WITH_COMPONENTS: (u32, u32) = (6, 23);
/// The oldest version of the language that the CDK still reads.
const OLDEST: (u32, u32) = (0, 29);

/// Checks the manifest, where the shim has one.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Some(manifest) = subject.manifest else { return };
    let file = file_name(&manifest.file);
    let tree = match manifest.tree() {
        Ok(tree) => tree,
        Err(failure) => return report.refused(&failure.message, "correct it"),
    };
    if let Err(failure) = manifest::spec(manifest, manifest::Wanted::by(subject.definition)) {
        report.refused(&failure.message, "correct it");
    }
    versions(subject, manifest, tree, report);
    code(manifest, tree, report);
    let resolved = match Resolver::new(tree).resolve(&tree["streams"]) {
        Ok(streams) => streams,
        Err(why) => return report.error(Place::of(&file), &why, "correct the reference"),
    };
    let streams: Vec<&Value> = resolved.as_array().into_iter().flatten().collect();
    if streams.is_empty() && tree["dynamic_streams"].as_array().is_none_or(Vec::is_empty) {
        report.error(Place::of(&file).key("streams"), "it has no streams", "declare one");
    }
    for stream in streams {
        one(stream, &tree["$parameters"], &file, report);
    }
    requests(tree, &file, report);
    config::check(subject, tree, &file, report);
}

pub(super) fn file_name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The manifest's version against that of the CDK that is installed, or will be.
fn versions(subject: &Subject<'_>, manifest: &Manifest, tree: &Value, report: &mut Report) {
    let place = || Place::of(&file_name(&manifest.file)).key("version");
    let Some(written) = tree["version"].as_str().and_then(version) else {
        return report.error(place(), "it has no version", "say which airbyte-cdk it was written for");
    };
    if written < OLDEST {
        let what = "it is of a version of the language that no CDK reads any more";
        report.error(place(), what, "rewrite it for a current version");
    }
    let Some((number, from)) = installed(subject) else { return };
    let Some(cdk) = version(&number) else { return };
    let at = || Place::of(&from);
    if cdk < WITH_PROGRAM {
        let what = format!("airbyte-cdk {number} has no {PROGRAM}");
        return report.error(at(), &what, "install airbyte-cdk 6.7.0 or newer");
    }
    if manifest.components.is_some() && cdk < WITH_COMPONENTS {
        let what = format!("airbyte-cdk {number} takes no Python code beside a manifest");
        report.error(at(), &what, "install airbyte-cdk 6.23.0 or newer");
    }
    if cdk < written {
        let what = format!("it was written for a newer airbyte-cdk than {number}, which may refuse it");
        report.warning(place(), &what, "install a newer airbyte-cdk");
    }
}

/// Major and minor number.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// The version of airbyte-cdk beside the shim's program, else the pinned one; and the file that says so.
fn installed(subject: &Subject<'_>) -> Option<(String, String)> {
    let command =
        CommandLine { argv: subject.definition.command.clone(), folder: subject.folder.canonicalize().ok() };
    if let Some(Identity::Distribution(folder)) = command.find().ok().map(|program| Identity::of(&program)) {
        let name = folder.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(version) = name.strip_prefix("airbyte_cdk-") {
            return Some((version.to_owned(), REQUIREMENTS.to_owned()));
        }
    }
    let text = std::fs::read_to_string(subject.folder.join(REQUIREMENTS)).ok()?;
    let pinned = text.lines().find_map(|line| line.trim().strip_prefix("airbyte-cdk=="))?;
    let version = pinned.split([' ', ';', '#']).next().unwrap_or(pinned);
    Some((version.to_owned(), REQUIREMENTS.to_owned()))
}

/// Python code beside the manifest runs; the manifest must name it, and have it.
fn code(manifest: &Manifest, tree: &Value, report: &mut Report) {
    let mut classes = BTreeSet::new();
    config::walk(tree, &mut Vec::new(), &mut |path, value| {
        if path.last().is_some_and(|name| name == "class_name") && value.is_string() {
            classes.insert(value.as_str().unwrap_or_default().to_owned());
        }
    });
    match &manifest.components {
        Some(Components { file, .. }) => {
            let what = "its Python code runs within the connector, with all that a config holds";
            report.note(Place::of(&file_name(file)), what, "read it as you would read any program");
            if classes.is_empty() {
                let what = "the manifest uses none of its classes";
                report.warning(Place::of(&file_name(file)), what, "remove it");
            }
        }
        None => {
            if let Some(class) = classes.first() {
                let what = format!("it uses the class {class:?}, and no Python code is beside it");
                let advice = "put its components.py beside it, or name the file as `components` in shim.yaml";
                report.error(Place::of(&file_name(&manifest.file)).item(class), &what, advice);
            }
        }
    }
}

/// What a stream says of its key, its schema and its cursor.
fn one(stream: &Value, shared: &Value, file: &str, report: &mut Report) {
    let single = serde_json::json!({"streams": [stream], "$parameters": shared});
    let Ok(declared) = manifest::streams(&single) else { return };
    for (name, why) in &declared.unknown {
        let place = Place::of(file).key("streams").item(name);
        if stream["schema_loader"].is_null() && stream["type"] == "DeclarativeStream" {
            let what = format!("the stream {name:?} has no `schema_loader`");
            report.warning(place, &what, "describe its records with an InlineSchemaLoader");
        } else {
            let what = format!("the stream {name:?} is known only when the connector is asked: {why}");
            report.note(place, &what, "compare versions of it with `flow-shim diff --installed`");
        }
    }
    for stream in &declared.streams {
        let name = &stream.id.name;
        let place = || Place::of(file).key("streams").item(name);
        if stream.key.is_empty() {
            let what = format!("the stream {name:?} has no primary key, so its rows are only ever added");
            report.note(place(), &what, "give it a `primary_key`, if its records have one");
        }
        let schema = stream.schema.tree();
        for path in &stream.key {
            if schema["properties"].is_object() && types::at(&schema, path).is_none() {
                let what =
                    format!("the key {:?} of the stream {name:?} is not in its schema", path.join("."));
                report.warning(place(), &what, "add it to the schema, or correct the key");
            }
        }
        let cursor = &stream.resource_config["cursorField"];
        let path: Vec<String> = cursor
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|step| step.as_str().map(str::to_owned))
            .collect();
        if !path.is_empty() && schema["properties"].is_object() && types::at(&schema, &path).is_none() {
            let what = format!("the cursor {:?} of the stream {name:?} is not in its schema", path.join("."));
            report.warning(place(), &what, "add it to the schema, or correct the cursor");
        }
    }
}

/// Requests at once want a budget, or the API sets one.
fn requests(tree: &Value, file: &str, report: &mut Report) {
    let level = &tree["concurrency_level"];
    let at_once = level["default_concurrency"].as_u64().unwrap_or(0);
    if at_once > 1 && tree["api_budget"].is_null() {
        let what = format!("it sends {at_once} requests at once, and has no `api_budget`");
        let place = Place::of(file).key("concurrency_level");
        report.note(place, &what, "declare the API's limits as `api_budget`, if it has any");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_first_two_numbers() {
        assert_eq!(version("6.33.1"), Some((6, 33)));
        assert!(version("6.9.0") < version("6.33.0") && version("x").is_none());
    }
}

//! `test.flow.yaml` of a shim: it reads, runs this shim, and binds streams that there are.

use std::path::{Path, PathBuf};

use super::image;
use super::report::{Place, Report};
use super::secrets;
use super::subject::Subject;
use crate::dev::catalog::endpoint::Program;
use crate::dev::catalog::flow_yaml::Catalog;
use crate::dev::catalog::resource;
use crate::dev::catalog::task::{Task, TaskBinding};
use crate::failure::Failure;

/// The file.
const FILE: &str = "test.flow.yaml";

/// Checks the file, where it is there.
pub(super) async fn check(subject: &Subject<'_>, report: &mut Report) {
    let file = subject.folder.join(FILE);
    if !file.is_file() {
        return;
    }
    let catalog = match Catalog::load(&file) {
        Ok(catalog) => catalog,
        Err(failure) => return report.refused(&failure.message, "correct it"),
    };
    for name in catalog.names() {
        if let Err(failure) = capture(subject, &catalog, name, report).await {
            report.refused(&failure.message, "correct it");
        }
    }
}

async fn capture(
    subject: &Subject<'_>,
    catalog: &Catalog,
    name: &str,
    report: &mut Report,
) -> Result<(), Failure> {
    let task = Task::without_secrets(catalog, name)?;
    let at = || Place::of(FILE).key("captures").key(name);
    if let Program::Local { command, .. } = &task.endpoint.program
        && let Some((what, advice)) = runs_another(command, subject.folder)
    {
        report.error(at().key("endpoint").key("local").key("command"), &what, advice);
    }
    if let Program::Image { image } = &task.endpoint.program {
        image::inspected(image, &at().key("endpoint").key("connector").key("image"), report).await;
    }
    for binding in &task.bindings {
        bound(subject, name, binding, report);
    }
    let kind = match task.endpoint.program {
        Program::Local { .. } => "local",
        Program::Image { .. } => "connector",
    };
    let (config, file) = catalog.capture(name)?.need("endpoint")?.need(kind)?.need("config")?.resolve()?;
    let place = if file == subject.folder.join(FILE) {
        at().key("endpoint").key(kind).key("config")
    } else {
        Place::of(&file.strip_prefix(subject.folder).unwrap_or(&file).to_string_lossy())
    };
    secrets::check(&config, &place, subject, report);
    Ok(())
}

/// What is wrong with the command of an endpoint in this folder.
fn runs_another(command: &[String], folder: &Path) -> Option<(String, &'static str)> {
    const ADVICE: &str = "write [flow-shim, run, --shim, THIS-FOLDER], from where it will be run";
    if command.first().is_none_or(|program| program != "flow-shim") {
        return Some(("it does not run flow-shim".to_owned(), ADVICE));
    }
    let mut words = command.iter();
    let named = words.by_ref().find_map(|word| match word.strip_prefix("--shim") {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix('=').map(|value| Some(PathBuf::from(value))),
        None => None,
    });
    let Some(named) = named.map(|value| value.or_else(|| words.next().map(PathBuf::from))) else {
        return Some(("it names no shim".to_owned(), ADVICE));
    };
    let named = named.unwrap_or_default();
    let ours = folder.canonicalize().ok()?;
    // It may be meant from another folder than this one.
    let same = named.canonicalize().is_ok_and(|named| named == ours) || named.file_name() == ours.file_name();
    (!same).then(|| (format!("it runs the shim {}, which is another folder", named.display()), ADVICE))
}

/// A binding must be one of the streams that were recorded, read in a way that it can be.
fn bound(subject: &Subject<'_>, capture: &str, binding: &TaskBinding, report: &mut Report) {
    let Some(known) = subject.known else { return };
    let Some(streams) = &known.streams else { return };
    let index = binding.place.rsplit_once("bindings").map_or("", |(_, index)| index);
    let shown = format!("bindings{index}");
    let Ok(path) = resource::path(&binding.resource, &known.path_pointers()) else {
        let place = Place::of(FILE).key("captures").key(capture).key(&shown);
        let what = "its resource names no stream";
        return report.error(place, what, "take the resource config from `flow-shim raw discover`");
    };
    let name = path.join(".");
    let place = || {
        let stream = path.last().map_or("", String::as_str);
        Place::of(FILE).key("captures").key(capture).key("bindings").item(stream)
    };
    match streams.iter().find(|(stream, _)| stream.resource_path == path) {
        None => {
            // A database may have been another one when it was recorded.
            let what = format!("the stream {name:?} was not recorded");
            report.warning(place(), &what, "correct the resource, or record anew with `flow-shim record`");
        }
        Some((_, None)) => {
            let what = format!("the stream {name:?} is never shown");
            report.error(place(), &what, "take it out of `streams.omit`, or remove the binding");
        }
        Some(stream) => {
            if let Err(why) = known.supports(stream, &binding.resource) {
                let (what, advice) = why.rsplit_once("; ").unwrap_or((&why, "correct the resource"));
                report.error(place(), &format!("the stream {name:?}: {what}"), advice);
            }
        }
    }
}

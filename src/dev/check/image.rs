//! Images: what Flow wants of them, by what an image that is here says, and by the Dockerfile of a shim.

use super::report::{Place, Report};
use super::subject::Subject;
use crate::dev::driver::docker::{self, PROTOCOL_LABEL};

const FILE: &str = "Dockerfile";

/// Checks the Dockerfile of the folder, where it has one of its own.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Ok(text) = std::fs::read_to_string(subject.folder.join(FILE)) else { return };
    let plain = text.replace(['"', '\''], "");
    if !plain.contains(&format!("{PROTOCOL_LABEL}=capture")) {
        let what = format!("its image gets no label {PROTOCOL_LABEL}=capture, without which Flow refuses it");
        let advice = format!("add `LABEL {PROTOCOL_LABEL}=capture FLOW_RUNTIME_CODEC=json`");
        report.warning(Place::of(FILE), &what, &advice);
    }
    if let Some(platform) = other_platform(&plain) {
        let what = format!("it is built for {platform}, and Flow runs linux/amd64");
        report.warning(Place::of(FILE).item(&platform), &what, "build it for linux/amd64");
    }
}

/// A platform that the Dockerfile asks for and Flow does not have.
fn other_platform(text: &str) -> Option<String> {
    let asked = text.split_whitespace().filter_map(|word| word.strip_prefix("--platform="));
    asked.map(str::to_owned).find(|platform| platform != "linux/amd64" && !platform.starts_with('$'))
}

/// Checks an image of a flow.yaml, where it is here; nothing is pulled.
pub(super) async fn inspected(image: &str, place: &Place, report: &mut Report) {
    if let Ok(Some(inspection)) = docker::inspect(&docker::program(), image).await {
        for doubt in docker::doubts(&inspection) {
            let what = format!("the image {image} {doubt}");
            report.warning(place.clone(), &what, "build it with build-local.sh, on or for linux/amd64");
        }
    }
}

//! Whether upstream's program is there, or can be installed, and is the one that was baked.

use super::report::{Place, Report};
use super::subject::Subject;
use crate::shim::baked::{self, Baked};
use crate::shim::command::{CommandLine, REQUIREMENTS, VENV};
use crate::shim::load;

/// Checks `command` and `spec.baked.json`.
pub(super) fn check(subject: &Subject<'_>, baked: Option<&Baked>, report: &mut Report) {
    let argv = subject.definition.command.clone();
    if argv.is_empty() {
        // Images of airbyte-to-flow's name it elsewhere.
        if subject.folder.join(load::FILE).is_file() {
            let what = "there is no upstream command";
            let advice = "say `command`, or name it after `--` wherever the shim is run";
            report.warning(Place::of(load::FILE), what, advice);
        }
        return;
    }
    if let [program, verb, ..] = argv.as_slice()
        && program == "flow-shim"
        && verb == "record"
    {
        let what = "the command is still `flow-shim record`, so every run would be recorded, with its data";
        report.warning(Place::of(load::FILE).key("command"), what, "name the connector's own program");
    }
    let folder = subject.folder.canonicalize().ok();
    let command = CommandLine { argv, folder };
    match command.find() {
        Ok(program) => {
            if let Some(baked) = baked.filter(|baked| !baked.is_of(&program)) {
                let what = format!("it is of {}, which is not what is installed", baked.upstream);
                report.error(Place::of(baked::FILE), &what, "make it anew with `flow-shim bake`");
            }
        }
        Err(failure) => {
            let installed = subject.folder.join(VENV).join("bin").is_dir();
            let installable = subject.folder.join(REQUIREMENTS).is_file();
            if installed || !installable {
                let (what, advice) =
                    failure.message.rsplit_once("; ").unwrap_or((&failure.message, "install it"));
                report.error(Place::of(load::FILE).key("command"), what, advice);
            }
        }
    }
}

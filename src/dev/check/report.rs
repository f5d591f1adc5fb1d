//! What was found: kept, sorted and printed. Texts never hold a value of a config.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::lines;
use crate::dev::display::form::Form;
use crate::dev::display::output::Output;
use crate::dev::display::table::{Column, Table};
use crate::failure::Failure;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Error,
    Warning,
    Note,
}

/// A file in the shim's folder, and a place in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    file: String,
    keys: Vec<String>,
    /// The item below the keys that is meant; only its line is shown.
    item: Option<String>,
    line: Option<usize>,
}

impl Place {
    /// A whole file.
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    /// A key below this place.
    pub(super) fn key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    /// An item of the list at this place.
    pub(super) fn item(mut self, item: &str) -> Self {
        self.item = Some(item.to_owned());
        self
    }

    /// A line of the file, from 1.
    pub(super) fn line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    what: String,
    advice: String,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl Finding {
    /// `shims/x/shim.yaml:3:streams.omit`
    fn place(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = self.key.as_ref().map(|key| format!(":{key}")).unwrap_or_default();
        format!("{}{line}{key}", self.file)
    }
}

impl fmt::Display for Finding {
    /// `error shims/x/shim.yaml:3:streams.omit: what is wrong; what to do`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}; {}", self.severity.as_str(), self.place(), self.what, self.advice)
    }
}

/// All findings in a folder.
#[derive(Debug)]
pub(super) struct Report {
    folder: PathBuf,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), findings: Vec::new() }
    }

    /// Something that fails, or would.
    pub(super) fn error(&mut self, place: Place, what: &str, advice: &str) {
        self.add(Severity::Error, place, what, advice);
    }

    /// Something that is probably not meant.
    pub(super) fn warning(&mut self, place: Place, what: &str, advice: &str) {
        self.add(Severity::Warning, place, what, advice);
    }

    /// Something to know, which is never a failure.
    pub(super) fn note(&mut self, place: Place, what: &str, advice: &str) {
        self.add(Severity::Note, place, what, advice);
    }

    /// What a reader of ours said of a file: `FILE: line 3, column 7, `KEY`: what`, as far as it did.
    pub(super) fn refused(&mut self, message: &str, advice: &str) {
        let canonical = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let mut place = Place::default();
        let mut rest = message;
        for folder in [&canonical, &self.folder] {
            let prefix = format!("{}/", folder.display());
            if let Some((file, what)) = rest.strip_prefix(&prefix).and_then(|told| told.split_once(": ")) {
                (place.file, rest) = (file.to_owned(), what);
                break;
            }
        }
        if let Some((line, tail)) = rest.strip_prefix("line ").and_then(|tail| tail.split_once(", column ")) {
            place.line = line.parse().ok();
            rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            rest = rest.trim_start_matches([',', ':']).trim_start();
            if let Some((key, what)) = rest.strip_prefix('`').and_then(|tail| tail.split_once("`: ")) {
                place.keys = vec![key.to_owned()];
                rest = what;
            }
        }
        // What says itself what to do needs no more advice.
        match rest.rsplit_once("; ") {
            Some((what, own)) => self.error(place, what, own),
            None => self.error(place, rest, advice),
        }
    }

    fn add(&mut self, severity: Severity, place: Place, what: &str, advice: &str) {
        let file = self.folder.join(&place.file);
        let line = place.line.or_else(|| {
            let text = std::fs::read_to_string(&file).ok()?;
            let path = place.keys.iter().chain(&place.item).map(String::as_str);
            lines::line(&text, &path.collect::<Vec<_>>())
        });
        let shown = if place.file.is_empty() { &self.folder } else { &file };
        let finding = Finding {
            severity,
            file: shown.display().to_string(),
            line,
            key: (!place.keys.is_empty()).then(|| place.keys.join(".")),
            what: what.to_owned(),
            advice: advice.to_owned(),
        };
        self.findings.push(finding);
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether the exit code is to say so.
    pub(super) fn fails(&self, strict: bool) -> bool {
        self.count(Severity::Error) > 0 || (strict && self.count(Severity::Warning) > 0)
    }

    /// Prints all, errors first.
    pub(super) fn print(&mut self, form: Form) -> Result<(), Failure> {
        self.findings.sort_by_key(|finding| finding.severity);
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let mut output = Output::stdout();
        let all = json!({"findings": self.findings, "errors": errors, "warnings": warnings});
        match form {
            Form::Json => output.json(&all)?,
            Form::Yaml => output.yaml(&all)?,
            Form::Text => self.findings.iter().try_for_each(|finding| output.text(&finding.to_string()))?,
            Form::Table => output.table(&self.table())?,
        }
        if matches!(form, Form::Text | Form::Table) {
            let counts = match (errors, warnings) {
                (0, 0) => "nothing is wrong".to_owned(),
                (0, warnings) => counted(warnings, "warning"),
                (errors, 0) => counted(errors, "error"),
                (errors, warnings) => {
                    format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"))
                }
            };
            output.text(&format!("{}: {counts}", self.folder.display()))?;
        }
        output.flush()
    }

    fn table(&self) -> Table {
        let mut table = Table::new([("", Column::Name), ("WHERE", Column::Name), ("WHAT", Column::Prose)]);
        for finding in &self.findings {
            let what = format!("{}; {}", finding.what, finding.advice);
            table.row([finding.severity.as_str().to_owned(), finding.place(), what]);
        }
        table
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

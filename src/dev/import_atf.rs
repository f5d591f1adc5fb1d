//! `flow-shim import-atf`: writes the `shim.yaml` that says what a folder in airbyte-to-flow's layout
//! says.
//!
//! Both are read through the same tree, so they behave alike; this file only writes the tree down.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::failure::{Code, Failure};
use crate::shim::atf;

/// Where the keys of a written `shim.yaml` come from.
const ORIGINS: &[(&str, &str)] = &[
    ("documentationUrl", "documentation_url.patch.json"),
    ("oauth2", "oauth2.patch.json"),
    ("config.schemaPatch", "spec.patch.json"),
    ("config.map", "spec.map.json"),
    (
        "streams.conventions",
        "airbyte-to-flow's names of collections and cursors, for captures that run already",
    ),
    ("streams.select", "selected_streams.json"),
    ("streams.omit", "omitted_streams.json"),
    ("streams.overrides", "the files in streams/"),
    ("schema.mode", "airbyte-to-flow published the source's schemas, and sent no others"),
    ("schema.dateToDatetime", "schema_normalizations.json"),
    ("document.meta", "airbyte-to-flow left documents as they are"),
    ("read.discoverOnOpen", "airbyte-to-flow read with the collections' schemas"),
    ("read.minInterval", "run_interval_minutes.json"),
    ("state.format", "the variable AIRBYTE_TO_FLOW_STATE_FORMAT"),
];

/// What to import, and where to.
#[derive(Debug, Clone, clap::Args)]
pub struct ImportOptions {
    /// A connector's folder in airbyte-to-flow's layout
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// The folder that gets the shim.yaml [default: DIR]
    #[arg(value_name = "OUT")]
    out: Option<PathBuf>,

    /// The upstream command, for `command`
    #[arg(last = true, value_name = "UPSTREAM ARGV")]
    upstream: Vec<String>,
}

/// Writes the `shim.yaml`.
pub fn import(options: &ImportOptions) -> Result<(), Failure> {
    let folder = &options.folder;
    if !atf::is_atf(folder) {
        return Err(Failure::new(
            Code::NO_SHIM,
            format!("{} has no file of airbyte-to-flow's, such as spec.patch.json", folder.display()),
        ));
    }
    let mut tree = atf::tree(folder)?;
    if !options.upstream.is_empty() {
        tree["command"] = json!(options.upstream);
    }
    let text = written(&tree)?;
    let out = options.out.as_ref().unwrap_or(folder);
    let file = out.join("shim.yaml");
    if file.exists() {
        return Err(Failure::new(
            Code::ALREADY_THERE,
            format!("{} exists already; remove it, or name another folder", file.display()),
        ));
    }
    let failed =
        |error| Failure::new(Code::CANNOT_WRITE, format!("{} cannot be written: {error}", file.display()));
    std::fs::create_dir_all(out).map_err(failed)?;
    std::fs::write(&file, text).map_err(failed)?;
    tracing::info!("wrote {}", file.display());
    Ok(())
}

/// The tree as YAML, with a comment on where each part comes from. What it says is read back: a file
/// that says something else must not be written.
fn written(tree: &Value) -> Result<String, Failure> {
    let mut text = String::from(
        "# What the files in airbyte-to-flow's layout say; written by `flow-shim import-atf`.\n",
    );
    for key in ["protocol", "command"] {
        match tree.get(key) {
            Some(value) => text.push_str(&block(key, value)?),
            None => text.push_str("# command: upstream's program and first arguments, unless the entry point gives them after `--`\n"),
        }
    }
    let sections = tree.as_object().into_iter().flatten();
    for (key, section) in sections.filter(|(key, _)| !["protocol", "command"].contains(&key.as_str())) {
        if let Some(origin) = origin(key) {
            let _ = write!(text, "\n# {origin}\n{}", block(key, section)?);
        } else if let Value::Object(settings) = section {
            let _ = writeln!(text, "\n{key}:");
            for (name, value) in settings {
                if let Some(origin) = origin(&format!("{key}.{name}")) {
                    let _ = writeln!(text, "  # {origin}");
                }
                for line in block(name, value)?.lines() {
                    let _ = writeln!(text, "  {line}");
                }
            }
        }
    }
    let read: Result<Value, _> = serde_saphyr::from_str(&text);
    if read.is_ok_and(|read| read == *tree) {
        return Ok(text);
    }
    Err(Failure::new(Code::BUG, "the YAML that was to be written does not say what the files say"))
}

fn origin(key: &str) -> Option<&'static str> {
    ORIGINS.iter().find(|(known, _)| *known == key).map(|(_, origin)| *origin)
}

/// One key with its value.
fn block(key: &str, value: &Value) -> Result<String, Failure> {
    // Templates stay in one line.
    let mut options = serde_saphyr::SerializerOptions::default();
    options.prefer_block_scalars = false;
    serde_saphyr::to_string_with_options(&json!({ key: value }), options)
        .map_err(|error| Failure::new(Code::BUG, format!("`{key}` cannot be written as YAML: {error}")))
}

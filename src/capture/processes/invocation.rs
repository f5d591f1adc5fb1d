//! How upstream is called: what comes after its command, and the files and variables that it needs.

use serde::Serialize;
use serde_json::Value;

/// A file that upstream gets in the private folder.
#[derive(Debug, Clone)]
pub struct PrivateFile {
    /// Its name in the folder, such as `config.json`.
    pub name: &'static str,
    /// What is in it.
    pub content: Vec<u8>,
}

impl PrivateFile {
    /// The name of upstream's config. A file of this name is watched, since upstream may renew it.
    pub const CONFIG: &'static str = "config.json";

    /// Upstream's config.
    pub fn config(config: &Value) -> Self {
        Self::json(Self::CONFIG, config)
    }

    /// A file that holds this as JSON.
    pub fn json(name: &'static str, content: &impl Serialize) -> Self {
        // What is written has text for names, so that it can always be.
        Self { name, content: serde_json::to_vec(content).unwrap_or_default() }
    }
}

/// An argument of upstream's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// Plain text.
    Text(String),
    /// The absolute path of the file of this name in the private folder, such as a [`PrivateFile`].
    File(&'static str),
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Argument::Text(text.to_owned())
    }
}

/// One call of upstream: what comes after its command, and the files that it needs.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// The arguments after the shim's command.
    pub arguments: Vec<Argument>,
    /// Files named by the arguments.
    pub files: Vec<PrivateFile>,
    /// Variables of this call, each with the pieces of its value.
    pub variables: Vec<(&'static str, Vec<Argument>)>,
}

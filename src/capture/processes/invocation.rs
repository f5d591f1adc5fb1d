//! How upstream is called: what comes after its command, and the files and variables that it needs.

/// A file that upstream gets in the private folder.
#[derive(Debug, Clone)]
pub struct PrivateFile {
    /// Its name in the folder, such as `config.json`.
    pub name: &'static str,
    /// What is in it.
    pub content: Vec<u8>,
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

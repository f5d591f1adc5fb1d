//! The forms in which commands print what they found.

/// Of findings, which are for people first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A line each.
    #[default]
    Text,
    /// Columns that fit the terminal.
    Table,
    /// One JSON object with all of them.
    Json,
    /// The same in YAML.
    Yaml,
}

/// Of a connector's answers, which are flowctl's first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AnswerForm {
    /// Lines of JSON, as flowctl prints them.
    #[default]
    Json,
    /// YAML, to be read.
    Yaml,
    /// What matters most, in columns that fit the terminal.
    Table,
}

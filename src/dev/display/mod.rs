//! How developer commands print: lines of JSON, YAML and tables on stdout.

pub(super) mod answer_table;
pub mod form;
pub(super) mod output;
pub(super) mod table;

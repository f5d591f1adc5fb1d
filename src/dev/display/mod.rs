//! What developer commands show: lines of JSON on stdout, tables, live progress, summaries.

pub(super) mod answer_table;
pub mod form;
pub(super) mod live;
pub(super) mod output;
pub(super) mod summary;
pub(super) mod table;

//! What flow-shim does, seen through the built program.

mod environment;
mod flow_model;
mod harness;
mod junk;
mod layering;
mod left_behind;
mod recorded_tap;

mod baked;
mod catalog_flag;
mod codecs;
mod config_values;
mod dependencies;
mod documents;
mod endings;
mod gallery;
mod images;
mod kill_matrix;
mod out_of_memory;
mod pull_upstream;
mod quick_start;
mod real_connectors;
mod recordings_airbyte;
mod recordings_singer;
mod refreshes;
mod requests;
mod resume;
mod rotation;
mod schedule;
mod schemas;
mod secrets;
mod shutdown;
mod soak;
mod sourced;
mod stream_overrides;
mod watchdog;

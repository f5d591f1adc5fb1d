//! Options of `preview`.

use std::time::Duration;

use crate::dev::driver::Runtime;
use crate::dev::options::TaskOptions;
use crate::shim::units::parse_duration;

/// Options of `preview`.
#[derive(Debug, Clone, clap::Args)]
pub struct PreviewOptions {
    /// Which capture; all of the file, one after the other, where none is named
    #[command(flatten)]
    pub task: TaskOptions,
    /// How many transactions each session has, such as 2,1,-1; a negative number is unbounded
    ///
    /// A transaction is what comes until the connector is quiet for one second after a checkpoint,
    /// or has ended, or until 100,000 documents have come; it ends at a checkpoint. What holds no
    /// document and leaves the state as it was is not counted.
    #[arg(
        long,
        value_name = "COUNTS",
        value_delimiter = ',',
        allow_hyphen_values = true,
        default_value = "-1"
    )]
    pub sessions: Vec<i64>,
    /// Stop after this long without data, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Keep each transaction open at least this long, so that it takes in more checkpoints
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub delay: Duration,
    /// The state to start with
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub initial_state: String,
    /// Print the states of checkpoints, and the whole state at the end
    #[arg(long)]
    pub output_state: bool,
    /// Print what each Apply says it did
    #[arg(long)]
    pub output_apply: bool,
    /// Which of Flow's runtimes to behave as
    #[arg(long, value_enum, default_value = "next")]
    pub runtime: Runtime,
}

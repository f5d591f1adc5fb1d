//! Starts upstream, keeps watch over it, ends it, and reaps it. Nothing else starts processes for a
//! capture.
//!
//! Upstream runs in a process group of its own, its stdin is empty, its stdout is ours to read, and
//! both pipes are drained from the first moment, so it can never block on us. `start` spawns it,
//! `question` runs it for one answer, `running` is a process that goes on, `ended` what it left.
//! Which processes are upstream's is for `tree` to say, what happens when we are killed for `warden`.

mod ended;
mod question;
mod running;
mod start;

pub use self::ended::{Ended, describe_exit};
pub use self::question::{Operation, Progress};
pub use self::running::{Running, unreadable};
pub use self::start::{Upstream, die_with_us, process_id};

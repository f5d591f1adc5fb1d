//! The processes of upstream: how they are started, watched, stopped and reaped, what they print
//! beside their output, and the private folder in which they find their files.
//!
//! What a line of their output means is for `input`; whether a read hangs, for `read::watchdog`.

pub(super) mod children;
pub mod claim;
pub mod connections;
mod delayed;
pub mod invocation;
pub(super) mod mark;
pub mod memory;
pub mod opened;
pub mod process;
pub mod pulse;
pub mod stacks;
pub mod stderr;
pub mod supervisor;
pub mod tree;
pub mod warden;
pub mod workdir;

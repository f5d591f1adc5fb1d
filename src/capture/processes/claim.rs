//! Our place among processes, for as long as a session lasts: what upstream orphans becomes our child,
//! and what sessions left that were killed is cleared away.

use rustix::process::{getpid, set_child_subreaper};
use tokio::task::JoinHandle;

use super::{children, mark, warden, workdir};

/// The claim on all that descends from us. Dropping it ends the care for orphans, and the warden.
#[derive(Debug)]
pub struct Claim(Vec<JoinHandle<()>>);

/// Adopts what upstream orphans from here on.
pub fn claim() -> Claim {
    // Where the kernel refuses, the process group and the mark still find upstream.
    let _ = set_child_subreaper(Some(getpid()));
    workdir::remove_abandoned(mark::session());
    Claim(children::care())
}

impl Drop for Claim {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
        warden::dismiss();
    }
}

//! Threads of our own, for what blocks: stdin, stdout, sockets and files.

use tokio::sync::oneshot;

use crate::failure::{Code, Failure};

/// Starts a thread. Nobody joins it: it ends when its channel is closed, or with the process.
///
/// Fails with [`Code::SYSTEM`] where the system gives no thread; `std::thread::spawn` would panic.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| refused(&error))
}

/// The failure where the system gives no thread.
pub(crate) fn refused(error: &std::io::Error) -> Failure {
    Failure::new(
        Code::SYSTEM,
        format!(
            "no thread can be started: {error}; raise the container's limit of processes (pids) or its memory"
        ),
    )
}

/// Does `work`, which may block, on a thread of its own. Dropping the wait leaves the thread to itself.
///
/// Fails where the system gives no thread, or where the thread panics.
pub(crate) async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (sender, done) = oneshot::channel();
    // Nobody takes it where the wait was dropped.
    spawn(name, move || drop(sender.send(work())))?;
    done.await.map_err(|_| Failure::new(Code::BUG, format!("the thread {name:?} ended without a result")))
}

//! What Flow has made durable, told to upstream through its state file.
//!
//! Some taps free their source's log up to where the state file says, and read that file again while
//! they run. For them it must never hold more than Flow has acknowledged: what is freed cannot be
//! read a second time (singer-protocol.md, 4.4).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;

use crate::capture::processes::workdir;
use crate::failure::Failure;

/// How many states wait at most. Beyond it, every second one is forgotten: the file then follows in
/// larger steps, never too far.
const WAITING: usize = 256;

/// The state file of a running upstream.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    waiting: RefCell<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// How many checkpoints have left.
    sent: u64,
    /// How many of them are durable.
    acknowledged: u64,
    /// States, each with the number of the checkpoint that holds it.
    states: VecDeque<(u64, Vec<u8>)>,
}

impl StateFile {
    /// The file at this path, which holds what is durable now.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, waiting: RefCell::default() }
    }

    /// A checkpoint leaves, after which the file would have this content.
    pub(crate) fn checkpoint(&self, content: Vec<u8>) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.sent += 1;
        let checkpoint = waiting.sent;
        if waiting.states.len() >= WAITING {
            let mut odd = false;
            waiting.states.retain(|_| {
                odd = !odd;
                !odd
            });
        }
        waiting.states.push_back((checkpoint, content));
    }

    /// Flow has made this many more checkpoints durable.
    pub(crate) fn acknowledge(&self, checkpoints: u32) -> Result<(), Failure> {
        match self.waiting.borrow_mut().acknowledge(checkpoints) {
            Some(content) => workdir::replace(&self.path, &content),
            None => Ok(()),
        }
    }
}

impl Waiting {
    /// The newest state that is durable now, where there is a newer one.
    fn acknowledge(&mut self, checkpoints: u32) -> Option<Vec<u8>> {
        self.acknowledged = (self.acknowledged + u64::from(checkpoints)).min(self.sent);
        let mut durable = None;
        while self.states.front().is_some_and(|&(checkpoint, _)| checkpoint <= self.acknowledged) {
            durable = self.states.pop_front().map(|(_, content)| content);
        }
        durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_follows_what_is_durable_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        std::fs::write(&path, "0").expect("written");
        let file = StateFile::new(path.clone());
        let read = || std::fs::read_to_string(&path).expect("a file");
        for state in ["1", "2", "3"] {
            file.checkpoint(state.into());
        }
        assert_eq!(read(), "0");
        file.acknowledge(2).expect("written");
        assert_eq!(read(), "2");
        file.acknowledge(9).expect("written");
        assert_eq!(read(), "3");
        file.checkpoint("4".into());
        assert_eq!(read(), "3", "an acknowledgement too many says nothing of later checkpoints");
        file.acknowledge(1).expect("written");
        assert_eq!(read(), "4");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing lies beside it");
    }

    #[test]
    fn what_waits_is_bounded_and_never_ahead() {
        let mut waiting = Waiting::default();
        let file = StateFile::new(PathBuf::new());
        for n in 1..=10_000_u64 {
            file.checkpoint(n.to_string().into());
        }
        std::mem::swap(&mut waiting, &mut file.waiting.borrow_mut());
        assert!(waiting.states.len() <= WAITING);
        for n in 1..=10_000_u64 {
            if let Some(content) = waiting.acknowledge(1) {
                let state: u64 = String::from_utf8(content).expect("text").parse().expect("a number");
                assert!(state <= n);
            }
        }
        assert!(waiting.states.is_empty());
    }
}

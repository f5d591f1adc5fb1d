//! Looks for what a capture has left on the machine.

use std::time::{Duration, Instant};

/// Longer than clearing away may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asserts that nothing runs any more that has `KILL_MATRIX=mark` in its environment, nor the warden
/// of this shim, and that its private folders are gone.
pub(crate) fn nothing_is_left(mark: &str, shim: u32, context: &str) {
    let begun = Instant::now();
    loop {
        let left = [processes(mark, shim), private_folders(shim)].concat();
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{context} left {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn processes(mark: &str, shim: u32) -> Vec<String> {
    let variable = format!("KILL_MATRIX={mark}");
    let warden = format!("warden {shim}-");
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let read = |name: &str| std::fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
        // A zombie shows neither.
        let marked = read("environ").split(|&byte| byte == 0).any(|text| text == variable.as_bytes());
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        (marked || command.contains(&warden)).then(|| format!("{id}: {command}"))
    })
    .collect()
}

fn private_folders(shim: u32) -> Vec<String> {
    let prefix = format!("flow-shim-{shim}-");
    let places = [std::path::PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let entries = places.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(&prefix))
        .collect()
}

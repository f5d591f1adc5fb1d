//! The text of a test.flow.yaml, and what its captures mean.
#![no_main]

use flow_shim::dev::catalog::task::read_all;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("test.flow.yaml");
    std::fs::write(&file, text).expect("written");
    let _ = read_all(&file);
});

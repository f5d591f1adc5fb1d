//! A line of a tap's output, as it comes and after a repair.
#![no_main]

use flow_shim::singer::Singer;
use flow_shim::capture::protocol::UpstreamProtocol;
use flow_shim::json::repair::repair;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let mut tap = Singer::default().parser();
    if tap.parse(line).is_err()
        && let Some(repaired) = repair(line)
    {
        let _ = tap.parse(&repaired);
    }
});

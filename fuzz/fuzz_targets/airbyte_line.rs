//! A line of a source's output, as it comes and after a repair.
#![no_main]

use flow_shim::airbyte::Airbyte;
use flow_shim::capture::protocol::UpstreamProtocol;
use flow_shim::json::repair::repair;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let mut source = Airbyte::default().parser();
    if source.parse(line).is_err()
        && let Some(repaired) = repair(line)
    {
        let _ = source.parse(&repaired);
    }
});

//! Lines of a tap's output.
#![no_main]

mod lines;

use flow_shim::capture::protocol::UpstreamProtocol;
use flow_shim::singer::Singer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| lines::read(Singer::default().parser(), text));

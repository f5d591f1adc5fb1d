//! Lines of a source's output.
#![no_main]

mod lines;

use flow_shim::airbyte::Airbyte;
use flow_shim::capture::protocol::UpstreamProtocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| lines::read(Airbyte::default().parser(), text));

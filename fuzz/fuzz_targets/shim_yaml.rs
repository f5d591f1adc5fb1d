//! The text of a shim.yaml.
#![no_main]

use flow_shim::shim::load::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse(text);
});

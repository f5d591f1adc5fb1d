//! Lines of a tap's output, one after the other, since what one looked like is remembered; each as it
//! comes and after a repair. What is taken for a record must be JSON.
#![no_main]

use flow_shim::capture::event::Event;
use flow_shim::capture::protocol::UpstreamProtocol;
use flow_shim::json::repair::repair;
use flow_shim::singer::Singer;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|text: &[u8]| {
    let mut tap = Singer::default().parser();
    for line in text.split(|byte| *byte == b'\n') {
        match tap.parse(line) {
            Ok(Event::Record(record)) => {
                let whole = serde_json::from_slice::<&RawValue>(record.data).map(RawValue::get);
                assert_eq!(whole.expect("a record is JSON").as_bytes(), record.data);
            }
            Ok(_) => {}
            Err(_) => {
                if let Some(repaired) = repair(line) {
                    let _ = tap.parse(&repaired);
                }
            }
        }
    }
});

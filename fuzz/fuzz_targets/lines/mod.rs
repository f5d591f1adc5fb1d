//! Lines of an output, one after the other, since what one looked like is remembered; each as it comes
//! and after a repair. What is taken for a record must be JSON.

use flow_shim::capture::event::Event;
use flow_shim::capture::input::parser::LineParser;
use flow_shim::json::repair::repair;
use serde_json::value::RawValue;

/// Reads the lines of a text.
pub fn read(mut parser: LineParser, text: &[u8]) {
    for line in text.split(|byte| *byte == b'\n') {
        match parser.parse(line) {
            Ok(Event::Record(record)) => {
                let whole = serde_json::from_slice::<&RawValue>(record.data).map(RawValue::get);
                assert_eq!(whole.expect("a record is JSON").as_bytes(), record.data);
            }
            Ok(_) => {}
            Err(_) => {
                if let Some(repaired) = repair(line) {
                    let _ = parser.parse(&repaired);
                }
            }
        }
    }
}

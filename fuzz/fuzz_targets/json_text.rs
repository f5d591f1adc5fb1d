//! Repairing text and walking members of objects; a document made of any JSON object is JSON.
#![no_main]

use flow_shim::capture::documents::document::Documents;
use flow_shim::capture::event::Traits;
use flow_shim::json::members::Members;
use flow_shim::json::repair::repair;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    let _ = repair(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Members::new(text).count();
    if let Ok(raw) = serde_json::from_str::<&RawValue>(text)
        && raw.get().starts_with('{')
    {
        let mut documents = Documents::default();
        let document =
            documents.document(raw.get().as_bytes(), Traits::find(raw.get(), "_sdc_deleted_at"), 7);
        let document = [document.head, document.tail].concat();
        assert!(serde_json::from_slice::<&RawValue>(&document).is_ok());
    }
});

//! The state that Open brings.
#![no_main]

use flow_shim::capture::state::CaptureState;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut state) = CaptureState::open(bytes, &["a".to_owned(), "b".to_owned()]) {
        let _ = state.stored();
        assert!(serde_json::from_slice::<serde_json::Value>(&state.patch()).is_ok());
        assert_eq!(state.patch(), b"{}");
    }
});

//! Requests and responses in both codecs.
#![no_main]

use flow_shim::flow::codec::Codec;
use flow_shim::flow::message::{Request, Response};
use flow_shim::flow::reader::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for codec in [Codec::Json, Codec::Proto] {
        let mut requests = Reader::new(bytes, codec);
        while let Ok(Some(_)) = requests.message::<Request>() {}
        let mut responses = Reader::new(bytes, codec);
        while let Ok(Some(_)) = responses.message::<Response>() {}
    }
});

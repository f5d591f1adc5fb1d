//! How the cost grows with the number of records, their size, the number of streams, and of shards.
//!
//! `cargo bench --bench scaling > scaling.csv` prints one line for each point;
//! `python3 benches/plot.py scaling.csv docs/scaling.svg` draws them. `FLOW_SHIM_BENCH_MB` sets the load of
//! a point (default 512; CPU is counted in hundredths of a second).

mod common;

use std::path::Path;

use common::{Capture, Load, Reader, airbyte_line, airbyte_record, airbyte_state, best, data, say, setting};

/// Each point is the cheapest of so many runs.
const RUNS: u64 = 3;

fn main() {
    let bytes = setting("FLOW_SHIM_BENCH_MB", 512) * 1_000_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("load");
    say("of,x,cpu_seconds,bytes,records,peak_mib");
    for records in [30_000, 100_000, 300_000, 1_000_000, 3_000_000] {
        let load = Load::of_records(&place, records, airbyte_line);
        point("records", records, &load, &Capture::default());
    }
    for size in [100, 1_000, 10_000, 100_000, 1_000_000] {
        let text = "x".repeat(size);
        let line = |id| airbyte_record("customers", &format!(r#"{{"id":{id},"text":"{text}"}}"#));
        point("record bytes", size as u64, &Load::of_bytes(&place, bytes, line), &Capture::default());
    }
    for streams in [1, 10, 100, 1_000, 10_000] {
        let line = |id| airbyte_record(&format!("s{}", id % streams), &data(id));
        let capture = Capture { streams: names(streams), ..Capture::default() };
        point("streams", streams, &Load::of_bytes(&place, bytes, line), &capture);
    }
    shards(folder.path(), bytes);
}

fn names(streams: u64) -> Vec<String> {
    (0..streams).map(|number| format!("s{number}")).collect()
}

/// The streams of one capture, over so many shards: all of them together.
fn shards(folder: &Path, bytes: u64) {
    const STREAMS: u64 = 32;
    let folder = folder.join("streams");
    std::fs::create_dir(&folder).expect("a folder");
    let mut all = (0, 0);
    for name in names(STREAMS) {
        let of_stream =
            Load::of_bytes(&folder.join(&name), bytes / STREAMS, |id| airbyte_record(&name, &data(id)));
        let state = airbyte_state(&name, 1);
        let mut file = std::fs::OpenOptions::new().append(true).open(&of_stream.file).expect("a file");
        std::io::Write::write_all(&mut file, state.as_bytes()).expect("written");
        all = (all.0 + of_stream.bytes, all.1 + of_stream.records);
    }
    for shards in [1, 2, 4, 8] {
        let width = (1_u64 << 32) / shards;
        let mut costs = Vec::new();
        for shard in 0..shards {
            let (begin, end) = (shard * width, (shard + 1) * width - 1);
            let range = format!(
                r#","range":{{"keyBegin":{begin},"keyEnd":{end},"rClockBegin":0,"rClockEnd":4294967295}}"#
            );
            let capture = Capture { streams: names(STREAMS), range: &range, ..Capture::default() };
            costs.push(best(RUNS, || capture.run(&folder, Reader::Fast)));
        }
        let cpu: f64 = costs.iter().map(|cost| cost.cpu.as_secs_f64()).sum();
        let peak = costs.iter().map(|cost| cost.peak_kib).max().unwrap_or(0) / 1024;
        say(&format!("shards,{shards},{cpu:.3},{},{},{peak}", all.0, all.1));
    }
}

fn point(of: &str, x: u64, load: &Load, capture: &Capture<'_>) {
    let cost = best(RUNS, || capture.run(&load.file, Reader::Fast));
    let (cpu, peak) = (cost.cpu.as_secs_f64(), cost.peak_kib / 1024);
    say(&format!("{of},{x},{cpu:.3},{},{},{peak}", load.bytes, load.records));
}

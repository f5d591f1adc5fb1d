//! What a record costs in instructions and in allocations, counted by valgrind: the same numbers each
//! time, whatever else the machine does.
//!
//! `cargo bench --bench instructions` compares them with `benches/instructions.txt` and fails where a case
//! has grown by more than 5 %, or allocates for each record. `FLOW_SHIM_BENCH_ACCEPT=1` writes the file anew.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use common::{Capture, Load, Reader, TWO_DATES, airbyte_record, data, say, setting, which};

/// What was accepted: a case and its instructions for each record, a line each.
const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// The growth that is an error, in percent.
const GROWTH: u64 = 5;
/// The difference of these two runs is what the records between them cost: no start, no end.
const FEW: u64 = 5_000;
const MANY: u64 = 25_000;

fn main() -> ExitCode {
    let Some(valgrind) = which("valgrind") else {
        say("LEFT OUT: instructions are counted by valgrind, which is not installed");
        return ExitCode::from(u8::from(setting("FLOW_SHIM_REQUIRE_ALL", 0) == 1));
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let singer = |id| {
        let record = data(id);
        format!("{{\"type\": \"RECORD\", \"stream\": \"customers\", \"record\": {record}}}\n")
    };
    let airbyte = |id| airbyte_record("customers", &data(id));
    let cases = [
        ("airbyte", Capture::default(), loads(folder.path(), "airbyte", airbyte)),
        (
            "airbyte-dates",
            Capture { write_schema: TWO_DATES, ..Capture::default() },
            loads(folder.path(), "dates", airbyte),
        ),
        (
            "airbyte-proto",
            Capture { codec: "proto", ..Capture::default() },
            loads(folder.path(), "proto", airbyte),
        ),
        (
            "singer",
            Capture { protocol: "singer", ..Capture::default() },
            loads(folder.path(), "singer", singer),
        ),
    ];
    let accepted = accepted();
    let (mut counted, mut fine) = (String::new(), true);
    for (name, capture, loads) in &cases {
        let [few, many] = [&loads[0], &loads[1]].map(|load| run(&valgrind, folder.path(), capture, load));
        let instructions = (many.instructions - few.instructions) / (MANY - FEW);
        let allocations = many.allocations.saturating_sub(few.allocations);
        let before = accepted.get(*name).copied();
        let grown = before.is_some_and(|before| instructions * 100 > before * (100 + GROWTH));
        // Processes are looked at every second, however many records pass; a record itself has none.
        let allocates = allocations * 2 > MANY - FEW;
        fine &= !grown && !allocates;
        let verdict = if grown {
            "GROWN"
        } else if allocates {
            "ALLOCATES"
        } else {
            ""
        };
        say(&format!(
            "{name:<14} {instructions:>6} instructions a record (accepted: {}), {allocations} allocations for {} records {verdict}",
            before.map_or_else(|| "-".to_owned(), |before| before.to_string()),
            MANY - FEW
        ));
        writeln!(counted, "{name} {instructions}").expect("text");
    }
    if setting("FLOW_SHIM_BENCH_ACCEPT", 0) == 1 {
        std::fs::write(ACCEPTED, counted).expect("written");
        return ExitCode::SUCCESS;
    }
    ExitCode::from(u8::from(!fine))
}

fn loads(folder: &Path, name: &str, line: impl Fn(u64) -> String) -> [Load; 2] {
    // Numbers of one length, so that each record has the same bytes.
    [FEW, MANY].map(|records| {
        Load::of_records(&folder.join(format!("{name}-{records}")), records, |id| line(100_000 + id))
    })
}

fn accepted() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(ACCEPTED).unwrap_or_default();
    let read = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(read).collect()
}

struct Count {
    instructions: u64,
    allocations: u64,
}

fn run(valgrind: &Path, folder: &Path, capture: &Capture<'_>, load: &Load) -> Count {
    let output = folder.join("callgrind.out");
    let callgrind =
        under(valgrind, &["--tool=callgrind", &format!("--callgrind-out-file={}", output.display())]);
    capture.run_by(callgrind, &load.file, Reader::Fast);
    let text = std::fs::read_to_string(&output).expect("callgrind's output");
    let summary = text.lines().find_map(|line| line.strip_prefix("summary: ")).expect("a summary");
    let log = folder.join("memcheck.log");
    let memcheck = under(valgrind, &["--leak-check=no", &format!("--log-file={}", log.display())]);
    capture.run_by(memcheck, &load.file, Reader::Fast);
    let log = std::fs::read_to_string(log).expect("memcheck's log");
    let usage =
        log.lines().find_map(|line| line.split_once("total heap usage: ")).expect("a count of allocations");
    let allocations = usage.1.split(' ').next().expect("a number").replace(',', "");
    Count {
        instructions: summary.trim().parse().expect("a number"),
        allocations: allocations.parse().expect("a number"),
    }
}

fn under(valgrind: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(valgrind);
    command.args(options).arg(env!("CARGO_BIN_EXE_flow-shim")).stderr(Stdio::null());
    command
}

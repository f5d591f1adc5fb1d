//! What a person at a terminal sees: live progress, colours by the common rules, tables that fit, help
//! whose examples can be run, completions that the shells can read.

use std::process::{Command, Output, Stdio};

use clap::{CommandFactory, Parser};
use flow_shim::cli::Cli;
use serde_json::Value;

use crate::harness::{flow_shim, program, repository};

/// Runs flow-shim on the repository's own test.flow.yaml, with nobody at a terminal.
fn quiet(arguments: &[&str]) -> Output {
    flow_shim(arguments).current_dir(repository("")).env("LOG_LEVEL", "warn").output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Runs flow-shim in a terminal so many columns wide; what comes on its screen, and whether it went well.
fn on_screen(columns: u16, arguments: &str, variables: &[(&str, &str)]) -> (String, bool) {
    let line = format!("stty cols {columns} rows 24; exec {} {arguments} </dev/null", program().display());
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).current_dir(repository("")).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LOG_FORMAT"] {
        script.env_remove(name);
    }
    script.env("TERM", "xterm").env("LOG_LEVEL", "info").envs(variables.iter().copied());
    let output = script.output().expect("script of util-linux, which every Debian has");
    (String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"), output.status.success())
}

/// A screen's text without what moves the cursor or colours it.
fn plain(screen: &str) -> String {
    regex::Regex::new("\x1b\\[[0-9;]*[A-Za-z]").expect("a pattern").replace_all(screen, "").into_owned()
}

/// The demo tap, which waits a second before it reads, so that its progress is drawn.
fn slow_demo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = repository("shims/demo-singer");
    let transcript = folder.path().join("transcript");
    std::fs::create_dir(&transcript).expect("a folder");
    for file in std::fs::read_dir(demo.join("transcript")).expect("the demo") {
        let file = file.expect("a file").path();
        std::fs::copy(&file, transcript.join(file.file_name().expect("a name"))).expect("copied");
    }
    std::fs::copy(demo.join("shim.yaml"), folder.path().join("shim.yaml")).expect("copied");
    let read = transcript.join("read.jsonl");
    let text = std::fs::read_to_string(&read).expect("a transcript");
    std::fs::write(read, format!("#! sleep 1s\n{text}")).expect("written");
    let flow = std::fs::read_to_string(repository("test.flow.yaml")).expect("the demo's captures");
    let flow = flow.replace("shims/demo-singer", &folder.path().display().to_string());
    std::fs::write(folder.path().join("test.flow.yaml"), flow).expect("written");
    folder
}

#[test]
fn a_preview_on_a_terminal_tells_how_it_goes() {
    let demo = slow_demo();
    let source = demo.path().join("test.flow.yaml");
    let arguments = format!("preview --source {} --name demo/singer --timeout 3s", source.display());
    let (screen, well) = on_screen(60, &arguments, &[]);
    assert!(well, "{screen}");
    assert!(screen.contains("ROWS/S") && screen.contains("\x1b[1m"), "{screen}");
    let text = plain(&screen);
    assert!(text.contains(" info  ") && !text.contains("{\"ts\""), "the log is text: {text}");
    let narrow = text.lines().filter(|line| line.starts_with("demo/") || line.contains("ROWS/S"));
    assert!(narrow.clone().count() > 2 && narrow.clone().all(|line| line.chars().count() <= 60), "{text}");
    assert!(text.contains("invalid documents 0") && text.contains("slowest stream demo/"), "{text}");
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let coloured = |variables| on_screen(80, "preview --name demo/singer", variables).0.contains("\x1b[1m");
    assert!(!coloured(&[("NO_COLOR", "1")]));
    assert!(!coloured(&[("CLICOLOR", "0")]));
    assert!(coloured(&[("CLICOLOR", "0"), ("CLICOLOR_FORCE", "1")]));
    let (screen, _) = on_screen(80, "preview --name demo/singer", &[("LOG_FORMAT", "json")]);
    assert!(screen.contains("{\"ts\""), "machines may ask for JSON there too");
}

#[test]
fn where_nobody_looks_there_is_no_progress_and_no_colour() {
    let output = quiet(&["preview", "--name", "demo/singer"]);
    let said = String::from_utf8(output.stderr.clone()).expect("text");
    assert!(!stdout(&output).contains('\x1b') && !said.contains('\x1b'), "{said}");
    assert!(said.contains("demo/singer: ") && said.contains("invalid documents 0"), "{said}");
}

#[test]
fn answers_come_in_the_form_that_is_asked_for() {
    let raw = |verb: &str, form: &str| stdout(&quiet(&["raw", verb, "--name", "demo/singer", "-o", form]));
    let json: Value = serde_json::from_str(&raw("spec", "json")).expect("JSON");
    let yaml: Value = serde_saphyr::from_str(&raw("spec", "yaml")).expect("YAML");
    assert_eq!(json, yaml);
    let lines = raw("discover", "json");
    let streams = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let yaml: Vec<Value> = serde_saphyr::from_str(&raw("discover", "yaml")).expect("YAML");
    assert_eq!(yaml, streams.collect::<Vec<_>>());
    let table = raw("discover", "table");
    assert!(table.starts_with("NAME") && table.lines().count() == yaml.len() + 1, "{table}");
    assert!(raw("spec", "table").starts_with("SETTING"));
    assert!(raw("validate", "table").starts_with("BINDING"));

    let checked = |form: &str| stdout(&quiet(&["check", "-o", form, "shims/source-faker"]));
    let yaml: Value = serde_saphyr::from_str(&checked("yaml")).expect("YAML");
    assert_eq!(yaml, serde_json::from_str::<Value>(&checked("json")).expect("JSON"));
}

#[test]
fn a_table_fits_the_terminal() {
    for columns in [60, 160] {
        let (screen, well) = on_screen(
            columns,
            "raw discover --name demo/singer -o table 2>/dev/null",
            &[("LOG_LEVEL", "error")],
        );
        assert!(well && screen.contains("RESOURCE"), "{screen}");
        let widest = screen.lines().map(|line| line.chars().count()).max().expect("lines");
        assert!(widest <= usize::from(columns), "{widest}: {screen}");
    }
}

/// Each command, with the words that lead to it.
fn commands(of: &clap::Command, words: &str, found: &mut Vec<(String, String)>) {
    let help = of.get_after_help().map(ToString::to_string).unwrap_or_default();
    found.push((words.to_owned(), help));
    for command in of.get_subcommands().filter(|command| !command.is_hide_set()) {
        commands(command, &format!("{words} {}", command.get_name()), found);
    }
}

#[test]
fn every_commands_help_has_examples_that_its_command_line_takes() {
    let mut found = Vec::new();
    commands(&Cli::command(), "flow-shim", &mut found);
    assert!(found.len() > 15, "{found:?}");
    for (words, help) in found {
        let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  flow-shim ")).collect();
        assert!(!examples.is_empty(), "{words} has no example");
        for example in examples {
            let line = format!("flow-shim {example}");
            assert!(line.starts_with(&words), "{words} shows another command: {line}");
            if let Err(error) = Cli::try_parse_from(shlex::split(&line).expect("words")) {
                panic!("{line}: {error}");
            }
        }
    }
}

#[test]
fn completions_end_quietly_where_nobody_reads_them() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(program());
    let output = command.args(["completions", "bash"]).stdout(writer).output().expect("it runs");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn completions_are_read_by_their_shells() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = stdout(&quiet(&["completions", shell]));
        assert!(script.contains("pull-upstream"), "{shell}");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &script).expect("written");
        match Command::new(shell).arg(check).arg(file.path()).output() {
            Ok(checked) => {
                assert!(checked.status.success(), "{shell}: {}", String::from_utf8_lossy(&checked.stderr));
            }
            Err(error) => {
                crate::environment::leave_out(&format!("completions for {shell}"), &error.to_string());
            }
        }
    }
}

//! Programs that are run to their end, and what they say when they fail.

use std::borrow::Cow;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs it with this text on its stdin, and collects what it prints.
pub(super) fn run(command: &mut Command, input: &[u8]) -> std::io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    // In a thread: a program that prints before it has read all must not wait for us.
    std::thread::scope(|scope| {
        // A program that fails early does not read; its exit says why.
        scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output()
    })
}

/// What a program that failed said: on stderr, or on stdout where it said nothing there.
pub(super) fn said(output: &Output) -> Cow<'_, str> {
    String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr })
}

/// The last line that is not blank; `None` where nothing was said.
pub(super) fn last_line(said: &str) -> Option<&str> {
    said.lines().map(str::trim).rfind(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_print_before_it_has_read() {
        let input = vec![b'x'; 1 << 20];
        let output = run(&mut Command::new("cat"), &input).expect("it runs");
        assert_eq!(output.stdout, input);
    }

    #[test]
    fn a_program_that_does_not_read_tells_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no >&2; echo; exit 3"]);
        let output = run(&mut command, &vec![b'x'; 1 << 20]).expect("it runs");
        assert_eq!((output.status.code(), last_line(&said(&output))), (Some(3), Some("no")));
    }
}

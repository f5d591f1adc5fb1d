//! `flow-shim completions`: what a shell asks to complete our command lines.

use clap_complete::Shell;

use super::display::output::Output;
use crate::failure::{Code, Failure};

/// Prints the completions of a command for a shell.
pub fn print(command: &mut clap::Command, shell: Shell) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    // Into memory first: clap takes a writer that fails for a bug.
    clap_complete::generate(shell, command, name, &mut script);
    let script = String::from_utf8(script)
        .map_err(|_| Failure::new(Code::BUG, "completions were made that are no text"))?;
    let mut output = Output::stdout();
    script.lines().try_for_each(|line| output.text(line))?;
    output.flush()
}

//! stderr and stdout where a person looks at them: whether they do, how wide, in which colours, and a
//! live area that stays below all that is printed.
//!
//! Owns the one lock under which both are written, since they meet on one screen. What is said there
//! is the caller's. Where nobody looks, bytes go through as they are.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::env;

/// Rows and columns where the terminal does not say.
const USUAL: (usize, usize) = (24, 80);

static STDERR: LazyLock<bool> = LazyLock::new(|| stderr().is_terminal());
static STDOUT: LazyLock<bool> = LazyLock::new(|| stdout().is_terminal());
static COLOURS: LazyLock<bool> = LazyLock::new(|| {
    coloured(
        env::get(env::NO_COLOR).is_some(),
        env::get(env::CLICOLOR_FORCE).as_deref(),
        env::get(env::CLICOLOR).as_deref(),
        *STDERR && env::get(env::TERM).is_none_or(|term| term != "dumb"),
    )
});
static AREA: Mutex<Area> = Mutex::new(Area { text: String::new(), lines: 0 });

/// The lines at the bottom of the screen.
struct Area {
    text: String,
    lines: usize,
}

impl Area {
    fn erase(&self) {
        if self.lines > 0 {
            let _ = write!(stderr(), "\x1b[{}A\r\x1b[J", self.lines);
        }
    }

    fn show(&self) {
        let _ = stderr().write_all(self.text.as_bytes());
    }
}

/// Whether a person reads stderr.
pub fn watches_stderr() -> bool {
    *STDERR
}

/// Whether a person reads stdout.
pub fn watches_stdout() -> bool {
    *STDOUT
}

/// Columns of the terminal on stderr.
pub fn stderr_width() -> usize {
    size(stderr()).1
}

/// Columns of the terminal on stdout; `None` where it is none, and lines may have any length.
pub fn stdout_width() -> Option<usize> {
    watches_stdout().then(|| size(stdout()).1)
}

/// Rows of the terminal on stderr.
pub fn stderr_height() -> usize {
    size(stderr()).0
}

/// Rows and columns.
fn size(stream: impl AsFd) -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    size.map_or(USUAL, |size| (size.ws_row.into(), size.ws_col.into()))
}

/// A colour or a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For headings and names.
    Bold,
    /// For what is seldom read.
    Dim,
    /// For what failed.
    Red,
    /// For what a person should look at.
    Yellow,
    /// For what goes well.
    Green,
}

/// The text in a style, where stderr has colours.
pub fn styled(style: Style, text: &str) -> String {
    if !*COLOURS {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => 1,
        Style::Dim => 2,
        Style::Red => 31,
        Style::Yellow => 33,
        Style::Green => 32,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// The text with what would steer the terminal escaped: control characters, and those that turn the
/// direction of text around or break lines, so that it reads as something else. Newlines and tabs stay.
pub fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            harmless.extend(c.escape_default());
        } else {
            harmless.push(c);
        }
    }
    harmless
}

fn steers(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() && c != '\n' && c != '\t'
}

/// The common rules: <https://no-color.org>, then <https://bixense.com/clicolors>.
fn coloured(none: bool, force: Option<&str>, wanted: Option<&str>, terminal: bool) -> bool {
    let forced = force.is_some_and(|word| word != "0");
    !none && (forced || (terminal && wanted != Some("0")))
}

/// Writes above the live area, one writer at a time.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    let area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    area.erase();
    let written = write();
    area.show();
    written
}

/// Has the live area hold these lines, none of which may be wider than the terminal.
pub fn show_below(lines: &[String]) {
    let mut area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    area.erase();
    area.lines = lines.len();
    area.text = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    area.show();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_common_rules() {
        assert!(coloured(false, None, None, true) && !coloured(false, None, None, false));
        assert!(!coloured(true, Some("1"), Some("1"), true), "NO_COLOR comes first");
        assert!(coloured(false, Some("1"), Some("0"), false), "then CLICOLOR_FORCE");
        assert!(!coloured(false, Some("0"), Some("0"), true), "then CLICOLOR");
        assert!(!coloured(false, None, Some("1"), false), "which colours terminals alone");
    }
}

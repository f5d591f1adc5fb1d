//! All that the developer commands print on stdout, in flowctl's forms (flow-protocol.md, section
//! 7). A reader that has gone, as `head` does, is a quiet end and not an error.

use std::io::{BufWriter, ErrorKind, Write};

use serde::Serialize;

use super::table::Table;
use crate::failure::{Code, Failure};
use crate::flow::message::ConnectorState;
use crate::terminal;

/// Lines on their way to stdout.
pub(crate) struct Output {
    to: BufWriter<Box<dyn Write>>,
    closed: bool,
    people: bool,
}

/// stdout on a terminal.
struct Screen;

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        terminal::above(|| {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Output {
    /// To stdout.
    pub(crate) fn stdout() -> Self {
        // Lines come one by one where a person reads them, above what tells how it goes on.
        let people = terminal::watches_stdout();
        let to: Box<dyn Write> = if people { Box::new(Screen) } else { Box::new(std::io::stdout().lock()) };
        Self { people, ..Self::to(to) }
    }

    /// To somewhere else, for tests.
    pub(super) fn to(writer: Box<dyn Write>) -> Self {
        Self { to: BufWriter::with_capacity(256 * 1024, writer), closed: false, people: false }
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// `["collection",{…}]`, the document as it came. `collection` is quoted already.
    pub(crate) fn document(&mut self, collection: &str, document: &[u8]) -> Result<(), Failure> {
        self.put(&[b"[", collection.as_bytes(), b",", document, b"]"])
    }

    /// `["connectorState",{…}]`
    pub(crate) fn state(&mut self, state: &ConnectorState) -> Result<(), Failure> {
        let json = to_json(state)?;
        self.put(&[b"[\"connectorState\",", &json, b"]"])
    }

    /// `["applied.actionDescription", "…"]`
    pub(crate) fn applied(&mut self, description: &str) -> Result<(), Failure> {
        let json = to_json(&description)?;
        self.put(&[b"[\"applied.actionDescription\", ", &json, b"]"])
    }

    /// One line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let json = to_json(value)?;
        self.put(&[&json])
    }

    /// A document of YAML.
    pub(crate) fn yaml(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        // By way of JSON, since members that are raw JSON are known to its serializer alone.
        let value: serde_json::Value = serde_json::from_slice(&to_json(value)?).map_err(|_| {
            Failure::new(Code::CONNECTOR_PROTOCOL, "the connector's answer holds what YAML cannot")
        })?;
        let text = serde_saphyr::to_string(&value).map_err(|error| {
            Failure::new(Code::BUG, format!("the answer cannot be written as YAML: {error}"))
        })?;
        text.lines().try_for_each(|line| self.text(line))
    }

    /// A table that fits the terminal, where there is one.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        table.lines(terminal::stdout_width()).iter().try_for_each(|line| self.text(line))
    }

    /// One line of text for people.
    pub(crate) fn text(&mut self, line: &str) -> Result<(), Failure> {
        self.put(&[line.as_bytes()])
    }

    /// Hands over what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = if self.closed { Ok(()) } else { self.to.flush() };
        self.settle(flushed)
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<(), Failure> {
        let written = if self.closed { Ok(()) } else { self.write_line(parts) };
        self.settle(written)
    }

    fn write_line(&mut self, parts: &[&[u8]]) -> std::io::Result<()> {
        for part in parts {
            // Text that came through protobuf, or was indented, may hold newlines between tokens.
            let mut rest = *part;
            while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
                self.to.write_all(&rest[..at])?;
                self.to.write_all(b" ")?;
                rest = &rest[at + 1..];
            }
            self.to.write_all(rest)?;
        }
        self.to.write_all(b"\n")?;
        if self.people { self.to.flush() } else { Ok(()) }
    }

    fn settle(&mut self, result: std::io::Result<()>) -> Result<(), Failure> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(Failure::new(Code::PIPES, format!("stdout cannot be written: {error}"))),
            Ok(()) => Ok(()),
        }
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|_| {
        Failure::new(Code::CONNECTOR_PROTOCOL, "the connector's answer holds text that is not JSON")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics while it writes").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_those_of_flowctl() {
        let kept = Kept::default();
        let mut output = Output::to(Box::new(kept.clone()));
        output.document("\"x/users\"", b"{\"n\":1.10,\n\"m\":2}").expect("it is written");
        let updated_json = b"{\"a\":1}".to_vec();
        output.state(&ConnectorState { updated_json, merge_patch: true }).expect("it is written");
        output.applied("said \"so\"").expect("it is written");
        output.flush().expect("it is written");
        let text = String::from_utf8(kept.0.lock().expect("no test panics while it writes").clone())
            .expect("it is text");
        assert_eq!(
            text,
            "[\"x/users\",{\"n\":1.10, \"m\":2}]\n[\"connectorState\",{\"updated\":{\"a\":1},\"mergePatch\":true}]\n[\"applied.actionDescription\", \"said \\\"so\\\"\"]\n"
        );
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let mut output = Output::to(Box::new(Gone));
        output.json(&1).expect("it is buffered");
        output.flush().expect("it is quiet");
        assert!(output.is_closed());
    }
}

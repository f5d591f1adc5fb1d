//! Waits for the browser that a provider sends back: one GET on loopback, its query parameters, and
//! a page that says that all is done.
//!
//! Anything else that calls, such as a request for an icon, is sent away. What is read is bounded.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};

use crate::failure::{Code, Failure};

/// A request line is a URL with a code and a state; more is no browser.
const LONGEST: usize = 64 * 1024;
/// How long one caller has to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// The listener. Nobody outside of this machine reaches it.
#[derive(Debug)]
pub(super) struct Redirect(TcpListener);

impl Redirect {
    pub(super) fn listen(port: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
            Failure::new(
                Code::PORT_TAKEN,
                format!("port {port} on loopback cannot be listened on: {error}; choose another with --port"),
            )
        })?;
        Ok(Self(listener))
    }

    /// The port, where the system chose one.
    pub(super) fn port(&self) -> u16 {
        self.0.local_addr().map_or(0, |address| address.port())
    }

    /// The query parameters of the redirect. Blocks until it comes or the time is over.
    pub(super) fn wait(&self, within: Duration) -> Result<Map<String, Value>, Failure> {
        let deadline = Instant::now() + within;
        loop {
            if !self.readable(deadline)? {
                return Err(Failure::new(
                    Code::NO_CONSENT,
                    format!("nobody came back from the consent page within {} s", within.as_secs()),
                ));
            }
            let Ok((mut stream, _)) = self.0.accept() else { continue };
            let Some(target) = requested(&mut stream) else {
                answer(&mut stream, "400 Bad Request", "This is no redirect.");
                continue;
            };
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            if path == "/" && !query.is_empty() {
                answer(&mut stream, "200 OK", "flow-shim has the answer. You can close this page.");
                return Ok(parameters(query));
            }
            answer(&mut stream, "404 Not Found", "Nothing is here.");
        }
    }

    fn readable(&self, deadline: Instant) -> Result<bool, Failure> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    let what = format!("the redirect cannot be waited for: {error}");
                    return Err(Failure::new(Code::SYSTEM, what));
                }
            }
        }
    }
}

/// What a GET asks for; `None` for anything else.
fn requested(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&buffer[..count]);
        if head.len() > LONGEST {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    (method == "GET" && target.starts_with('/')).then(|| target.to_owned())
}

fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><title>flow-shim</title><p>{text}</p>\n");
    let length = page.len();
    // A browser that has hung up needs no page.
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}"
    );
}

/// Parameters as a form has them. Of one that stands twice, the last counts.
fn parameters(query: &str) -> Map<String, Value> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value).into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(port: u16, text: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        stream.write_all(text.as_bytes()).expect("it reads");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn only_the_redirect_ends_the_wait() {
        let redirect = Redirect::listen(0).expect("a port");
        let port = redirect.port();
        let callers = std::thread::spawn(move || {
            assert!(call(port, "GET /favicon.ico HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
            assert!(call(port, "POST /?code=x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
            assert!(
                call(port, "GET /?code=a%2Bb+c&state=s%3D&empty&code=last HTTP/1.1\r\nhost: x\r\n\r\n")
                    .starts_with("HTTP/1.1 200")
            );
        });
        let parameters = redirect.wait(Duration::from_secs(60)).expect("a redirect");
        assert_eq!(Value::Object(parameters), json!({"code": "last", "state": "s=", "empty": ""}));
        callers.join().expect("all were answered");
    }

    #[test]
    fn the_wait_has_an_end() {
        let redirect = Redirect::listen(0).expect("a port");
        let failure = redirect.wait(Duration::from_millis(10)).expect_err("nobody came");
        assert_eq!(failure.code, Code::NO_CONSENT);
    }

    #[test]
    fn a_parameters_signs_are_decoded() {
        assert_eq!(Value::Object(parameters("a=b%20c+d%2B&x")), json!({"a": "b c d+", "x": ""}));
    }
}

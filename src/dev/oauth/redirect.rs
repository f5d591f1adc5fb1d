//! Waits for the browser that a provider sends back: one GET on loopback, its query parameters, and
//! a page that says that all is done.
//!
//! All who call are listened to at once: browsers open connections in advance and say nothing on them.
//! Anything that is not the redirect of this attempt, such as a request for an icon or a stale tab, gets
//! a page that says so, and the wait goes on. What is read, and for how long, is bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};

use crate::failure::{Code, Failure};
use crate::oauth::consent::State;

/// A request line is a URL with a code and a state; more is no browser.
const LONGEST: usize = 64 * 1024;
/// Browsers send about twenty headers.
const MOST_HEADERS: usize = 128;
/// Of more callers than this, the oldest is hung up on.
const MOST_CALLERS: usize = 64;
/// How long one caller has to take its page.
const PATIENCE: Duration = Duration::from_secs(1);

/// The listener. Nobody outside of this machine reaches it.
#[derive(Debug)]
pub(super) struct Redirect(TcpListener);

/// A connection, and what came on it.
#[derive(Debug)]
struct Caller {
    stream: TcpStream,
    head: Vec<u8>,
}

/// What a caller wants.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// More has to come.
    Part,
    /// A page.
    Get(String),
    /// Something that is no GET of HTTP.
    Junk,
    /// It has hung up.
    Gone,
}

impl Redirect {
    pub(super) fn listen(port: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        let listener = listener.map_err(|error| {
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

    /// The query parameters of the redirect that brings this state back. Blocks until it comes or the
    /// time is over.
    pub(super) fn wait(&self, within: Duration, state: &State) -> Result<Map<String, Value>, Failure> {
        let deadline = Instant::now() + within;
        let mut callers: Vec<Caller> = Vec::new();
        let mut foreign = 0_usize;
        while self.readable(&callers, deadline)? {
            self.accept(&mut callers);
            let mut at = 0;
            while let Some(caller) = callers.get_mut(at) {
                let heard = caller.listen();
                if heard == Heard::Part {
                    at += 1;
                    continue;
                }
                let caller = callers.remove(at);
                if let Some(parameters) = caller.serve(&heard, state, &mut foreign) {
                    return Ok(parameters);
                }
            }
        }
        let refused = match foreign {
            0 => String::new(),
            _ => format!("; {foreign} redirects came without the state of this attempt and were not used"),
        };
        Err(Failure::new(
            Code::NO_CONSENT,
            format!("nobody came back from the consent page within {} s{refused}", within.as_secs()),
        ))
    }

    /// Takes all who call.
    fn accept(&self, callers: &mut Vec<Caller>) {
        while let Ok((stream, _)) = self.0.accept() {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if callers.len() == MOST_CALLERS {
                callers.remove(0);
            }
            callers.push(Caller { stream, head: Vec::new() });
        }
    }

    /// Waits until somebody says something; `false` where the time is over.
    fn readable(&self, callers: &[Caller], deadline: Instant) -> Result<bool, Failure> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let timeout = Timespec::try_from(left).ok();
            let streams = callers.iter().map(|caller| PollFd::new(&caller.stream, PollFlags::IN));
            let mut fds: Vec<PollFd<'_>> =
                std::iter::once(PollFd::new(&self.0, PollFlags::IN)).chain(streams).collect();
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

impl Caller {
    /// Reads what there is.
    fn listen(&mut self) -> Heard {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Heard::Gone,
                Ok(count) => self.head.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Part,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Heard::Gone,
            }
            let heard = requested(&self.head);
            if heard != Heard::Part {
                return heard;
            }
        }
    }

    /// Answers; the parameters of the redirect that is waited for.
    fn serve(mut self, heard: &Heard, state: &State, foreign: &mut usize) -> Option<Map<String, Value>> {
        let target = match heard {
            Heard::Get(target) => target,
            Heard::Junk => {
                self.answer("400 Bad Request", "This is no redirect.");
                return None;
            }
            Heard::Part | Heard::Gone => return None,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path != "/" || query.is_empty() {
            self.answer("404 Not Found", "Nothing is here.");
            return None;
        }
        let parameters = parameters(query);
        if parameters.get("state").and_then(Value::as_str).is_some_and(|text| state.owns(text)) {
            self.answer("200 OK", "flow-shim has the answer. You can close this page.");
            return Some(parameters);
        }
        *foreign += 1;
        tracing::warn!(
            "a redirect came without the state of this attempt and is not used, such as that of another tab; \
             still waiting for the consent"
        );
        self.answer(
            "400 Bad Request",
            "This answer does not belong to the consent that flow-shim waits for, so it is not used. Open the \
             address that flow-shim printed.",
        );
        None
    }

    fn answer(&mut self, status: &str, text: &str) {
        let page = format!("<!doctype html><title>flow-shim</title><p>{text}</p>\n");
        let length = page.len();
        // A browser that has hung up needs no page.
        let _ = self.stream.set_nonblocking(false);
        let _ = self.stream.set_write_timeout(Some(PATIENCE));
        let _ = write!(
            self.stream,
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}"
        );
    }
}

/// What a request asks for, as far as it has come.
fn requested(head: &[u8]) -> Heard {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match (request.parse(head), request.method, request.path) {
        (Ok(status), Some("GET"), Some(target)) if status.is_complete() && target.starts_with('/') => {
            Heard::Get(target.to_owned())
        }
        (Ok(status), ..) if status.is_partial() && head.len() <= LONGEST => Heard::Part,
        _ => Heard::Junk,
    }
}

/// Parameters as a form has them. Of one that stands twice, the last counts.
fn parameters(query: &str) -> Map<String, Value> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flow::message::OAuth2;
    use crate::oauth::consent::{Attempt, Client};

    /// The state of an attempt, and how it stands in a URL.
    fn state() -> (State, String) {
        let block = OAuth2 {
            auth_url_template: "{{#urlencode}}{{{state}}}{{/urlencode}}".to_owned(),
            ..OAuth2::default()
        };
        let client = Client {
            id: String::new(),
            secret: String::new(),
            config: json!({}),
            injected: Map::new(),
            redirect_uri: String::new(),
        };
        let attempt = Attempt::new(&block, client).expect("an attempt");
        (attempt.state().clone(), attempt.auth_url().expect("a URL"))
    }

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
        let (state, own) = state();
        let callers = std::thread::spawn(move || {
            assert!(call(port, "GET /favicon.ico HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
            assert!(call(port, "POST /?code=x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
            for foreign in ["code=x", "code=x&state=", "code=x&state=stale", "error=access_denied"] {
                let page = call(port, &format!("GET /?{foreign} HTTP/1.1\r\n\r\n"));
                assert!(page.starts_with("HTTP/1.1 400") && page.contains("does not belong"), "{page}");
            }
            let query = format!("code=a%2Bb+c&empty&code=last&state={own}");
            assert!(
                call(port, &format!("GET /?{query} HTTP/1.1\r\nhost: x\r\n\r\n")).starts_with("HTTP/1.1 200")
            );
        });
        let mut parameters = redirect.wait(Duration::from_secs(60), &state).expect("a redirect");
        assert!(parameters.remove("state").is_some());
        assert_eq!(Value::Object(parameters), json!({"code": "last", "empty": ""}));
        callers.join().expect("all were answered");
    }

    #[test]
    fn silent_connections_delay_nobody() {
        let redirect = Redirect::listen(0).expect("a port");
        let (state, own) = state();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, redirect.port())).expect("it listens");
        let mut silent: Vec<TcpStream> = (0..MOST_CALLERS / 2).map(|_| connect()).collect();
        write!(silent[0], "GET /half").expect("it reads");
        let port = redirect.port();
        let caller = std::thread::spawn(move || call(port, &format!("GET /?state={own} HTTP/1.1\r\n\r\n")));
        assert!(redirect.wait(Duration::from_secs(60), &state).is_ok());
        assert!(caller.join().expect("it was answered").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn the_wait_has_an_end() {
        let redirect = Redirect::listen(0).expect("a port");
        let failure = redirect.wait(Duration::from_millis(10), &state().0).expect_err("nobody came");
        assert_eq!(failure.code, Code::NO_CONSENT);
    }

    #[test]
    fn requests_are_read_in_parts() {
        assert_eq!(requested(b"GET /?a=b HTT"), Heard::Part);
        assert_eq!(requested(b"GET /?a=b HTTP/1.1\r\nhost: x\r\n\r\n"), Heard::Get("/?a=b".to_owned()));
        assert_eq!(requested(b"POST / HTTP/1.1\r\n\r\n"), Heard::Junk);
        assert_eq!(requested(b"\x16\x03\x01\x02\x00\x01"), Heard::Junk);
        assert_eq!(requested(format!("GET /{}", "x".repeat(LONGEST)).as_bytes()), Heard::Junk);
    }

    #[test]
    fn a_parameters_signs_are_decoded() {
        assert_eq!(Value::Object(parameters("a=b%20c+d%2B&x")), json!({"a": "b c d+", "x": ""}));
    }
}

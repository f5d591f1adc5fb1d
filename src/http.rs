//! One blocking HTTP request, over TLS where the URL says so: for consent flows, encryption services
//! and other calls that stand beside the record path.
//!
//! Answers are bounded in size and time, redirects are not followed (a body with secrets goes to the
//! host it was meant for, or nowhere), and errors name the host and the cause, never a path, a query,
//! a header or a body. Proxies are those of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. On an async
//! thread, call it through `spawn_blocking`.

use std::time::Duration;

use ureq::config::AutoHeaderValue;
use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::env;

/// How much of an answer is read, in bytes.
const LARGEST_BODY: u64 = 8 * 1024 * 1024;
/// For a name to be resolved and a connection to be made.
const CONNECT: Duration = Duration::from_secs(15);
/// For everything together.
const WHOLE: Duration = Duration::from_secs(60);

/// What a server answered, whatever the status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, and values that are text, in the order of the answer.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are no UTF-8 become U+FFFD.
    pub body: String,
}

impl Answer {
    /// Whether the status says that all went well.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer. Safe to show and to log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// The method, the URL or a header is none.
    #[error("the request is not one that can be sent: {0}")]
    BadRequest(&'static str),
    /// The file that `SSL_CERT_FILE` names.
    #[error("the certificates of {}={file} cannot be read: {why}", env::SSL_CERT_FILE)]
    Certificates {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no answer, or none that is whole.
    #[error("{host}: {why}")]
    Failed {
        /// The host that was called.
        host: String,
        /// What went wrong.
        why: String,
    },
}

/// Sends one request and reads the answer. No header is added but `host`, `user-agent` and those that
/// frame the body.
pub fn request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Option<&str>,
) -> Result<Answer, HttpError> {
    let parsed: http::Uri = url.parse().map_err(|_| HttpError::BadRequest("its URL is not valid"))?;
    let host = match (parsed.scheme_str(), parsed.host()) {
        (Some("http" | "https"), Some(host)) => host.to_owned(),
        _ => return Err(HttpError::BadRequest("its URL is not one of http or https with a host")),
    };
    let mut request = http::Request::builder().method(method).uri(parsed);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let failed = |error: ureq::Error| HttpError::Failed { host: host.clone(), why: cause(&error) };
    let agent = agent()?;
    let bad = |_| HttpError::BadRequest("its method or a header is not valid");
    // An empty body still says how long it is, as servers want it of a POST.
    let mut response = match body {
        Some(body) => agent.run(request.body(body).map_err(bad)?),
        None => agent.run(request.body(()).map_err(bad)?),
    }
    .map_err(failed)?;
    let headers = response.headers().iter();
    let headers = headers
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let status = response.status().as_u16();
    let bytes = response.body_mut().with_config().limit(LARGEST_BODY).read_to_vec().map_err(failed)?;
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() })
}

/// A client for one call: calls are rare, and an idle connection would be kept for none.
fn agent() -> Result<ureq::Agent, HttpError> {
    let tls = TlsConfig::builder().root_certs(roots()?).build();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("flow-shim/", env!("CARGO_PKG_VERSION")))
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(WHOLE))
        .tls_config(tls)
        .build();
    Ok(config.new_agent())
}

/// Who is believed: the web's authorities, or those of `SSL_CERT_FILE` in their place, as OpenSSL
/// and with it curl and Python have it.
fn roots() -> Result<RootCerts, HttpError> {
    let Some(file) = env::get(env::SSL_CERT_FILE) else { return Ok(RootCerts::WebPki) };
    let wrong = |why: String| HttpError::Certificates { file: file.clone(), why };
    let pem = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(wrong("it is not PEM".to_owned())),
        }
    }
    if certificates.is_empty() {
        return Err(wrong("there is none in it".to_owned()));
    }
    Ok(RootCerts::from(certificates))
}

/// The cause in words. Only kinds whose text is known to hold nothing of the request are quoted.
fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(which) => format!("no answer in time ({which})"),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::ConnectionFailed => "no connection can be made".to_owned(),
        ureq::Error::BodyExceedsLimit(limit) => format!("the answer has more than {limit} bytes"),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => {
            "the proxy of HTTPS_PROXY or HTTP_PROXY did not connect".to_owned()
        }
        ureq::Error::LargeResponseHeader(..) => "the answer's headers are too large".to_owned(),
        _ => "the answer is not HTTP, or the connection broke".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request, which ends in `until`, with these bytes; the address, and what was asked.
    fn server(until: &'static [u8], answer: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a call");
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.ends_with(until) {
                let count = stream.read(&mut buffer).expect("a request");
                asked.extend_from_slice(&buffer[..count]);
                if count == 0 {
                    break;
                }
            }
            // A client that has read enough may hang up.
            let _ = stream.write_all(&answer);
            String::from_utf8(asked).expect("text")
        });
        (address, asked)
    }

    #[test]
    fn a_request_goes_out_as_given_and_any_status_is_an_answer() {
        let (url, asked) =
            server(b"body", b"HTTP/1.1 403 No\r\nX-Thing: 1\r\ncontent-length: 2\r\n\r\nno".to_vec());
        let headers = [("content-type".to_owned(), "text/plain".to_owned())];
        let answer = request("POST", &format!("{url}/a?b=c"), &headers, Some("body")).expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (403, "no"));
        assert!(!answer.is_success());
        assert_eq!(answer.header("x-thing"), Some("1"));
        let asked = asked.join().expect("it ran");
        assert!(asked.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("content-type: text/plain\r\n") && asked.ends_with("body"), "{asked}");
        assert!(!asked.contains("accept"), "{asked}");
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let (url, _asked) = server(
            b"body",
            b"HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        );
        assert_eq!(request("POST", &url, &[], Some("body")).expect("an answer").status, 302);
    }

    #[test]
    fn an_answer_without_end_is_cut_off() {
        let size = usize::try_from(LARGEST_BODY).expect("it fits") + 1;
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(answer.len() + size, b'x');
        let (url, _asked) = server(b"\r\n\r\n", answer);
        let error = request("GET", &url, &[], None).expect_err("it is too large");
        assert_eq!(error.to_string(), format!("127.0.0.1: the answer has more than {LARGEST_BODY} bytes"));
    }

    #[test]
    fn errors_name_the_host_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let error = request("GET", &format!("http://127.0.0.1:{port}/s3cret?s3cret"), &[], None)
            .expect_err("nobody is there")
            .to_string();
        assert!(error.starts_with("127.0.0.1: ") && !error.contains("s3cret"), "{error}");
        for url in ["s3cret", "ftp://s3cret/", "http://a b/s3cret"] {
            let error = request("GET", url, &[], None).expect_err("no URL").to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        let headers = [("a\nb".to_owned(), "s3cret".to_owned())];
        let error = request("GET", "http://127.0.0.1/", &headers, None).expect_err("no header").to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}

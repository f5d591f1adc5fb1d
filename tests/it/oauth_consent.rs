//! `flow-shim oauth` against a provider on loopback: the test is the browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Run, flow_shim};

/// Reads one request with its body.
fn request(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a request") > 0 {
        text.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&text).to_lowercase();
    let length =
        head.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap_or("0"));
    let mut body = vec![0; length.parse().expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    text.extend(body);
    String::from_utf8(text).expect("UTF-8")
}

fn answer(stream: &mut impl Write, status: u16, body: &str) {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .expect("it reads");
    stream.flush().expect("it reads");
}

/// A provider that answers one token request, and gives what it was asked.
pub(crate) struct Provider {
    pub(crate) port: u16,
    asked: std::thread::JoinHandle<String>,
}

impl Provider {
    pub(crate) fn answering(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::serving(move |mut stream| {
            let asked = request(&mut stream);
            answer(&mut stream, status, &body);
            asked
        })
    }

    fn serving(serve: impl FnOnce(TcpStream) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self { port, asked: std::thread::spawn(move || serve(listener.accept().expect("a call").0)) }
    }
}

const SCHEMA: &str = r#"{"type":"object","required":["shop"],"properties":{"shop":{"type":"string"}}}"#;

/// A capture whose connector has the block.
pub(crate) struct Capture {
    pub(crate) folder: tempfile::TempDir,
    arguments: Vec<String>,
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Capture {
    pub(crate) fn new(block: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().to_str().expect("UTF-8").to_owned();
        let spec = format!(r#"{{"type":"SPEC","spec":{{"connectionSpecification":{SCHEMA}}}}}"#);
        std::fs::write(folder.path().join("spec.jsonl"), format!("{spec}\n")).expect("written");
        let shim = json!({"protocol": "airbyte", "command": ["flow-shim", "replay", at], "oauth2": block});
        std::fs::write(folder.path().join("shim.yaml"), shim.to_string()).expect("written");
        let local = json!({"command": ["flow-shim", "run", "--shim", at], "config": "none.yaml"});
        let flow = json!({"captures": {"acmeCo/s": {"endpoint": {"local": local}, "bindings": []}}});
        std::fs::write(folder.path().join("flow.yaml"), flow.to_string()).expect("written");
        let source = format!("{at}/flow.yaml");
        let arguments = [
            "oauth",
            "--source",
            &source,
            "--client-id",
            "me",
            "--client-secret",
            "s3cret",
            "--port",
            "0",
            "--injected-values",
            r#"{"developer":"d3v"}"#,
            "--endpoint-config",
            r#"{"shop":"acme"}"#,
        ];
        Self { folder, arguments: arguments.map(str::to_owned).to_vec(), variables: Vec::new() }
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = flow_shim(&[]);
        command.args(&self.arguments).env("NO_PROXY", "127.0.0.1,localhost");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self) -> Run {
        Run::of(self.command().output().expect("it runs"))
    }

    /// Starts it, and consents with these parameters; `STATE` in them stands for the state.
    pub(crate) fn consent(&self, parameters: &str) -> Run {
        let mut child = self.command().arg("--no-browser").spawn().expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).expect("UTF-8") > 0, "no URL: {said}");
            if line.starts_with("http") {
                break line;
            }
            said.push_str(&line);
        };
        let value = |name: &str| {
            let (_, rest) = url.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name}: {url}"));
            rest.split(['&', '\n']).next().expect("a value").to_owned()
        };
        let redirect = value("redirect_uri");
        let port = redirect.rsplit("%3A").next().expect("a port").trim_end_matches("%2F");
        let connect = || TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
        let page = |parameters: &str| {
            let mut browser = connect();
            write!(browser, "GET /?{parameters} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it reads");
            let mut page = String::new();
            browser.read_to_string(&mut page).expect("a page");
            page
        };
        // A browser opens connections in advance, and other pages may call: none of it is the redirect.
        let _silent: Vec<TcpStream> = (0..3).map(|_| connect()).collect();
        for foreign in ["code=f0reign&state=c3RhdGU%3D", "code=f0reign", "error=access_denied&state=x"] {
            let page = page(foreign);
            assert!(page.starts_with("HTTP/1.1 400") && page.contains("does not belong"), "{page}");
        }
        let page = page(&parameters.replace("STATE", &value("state")));
        assert!(page.contains("close this page"), "{page}");
        ended(child, stderr, said)
    }
}

fn ended(child: Child, mut stderr: impl Read, mut said: String) -> Run {
    stderr.read_to_string(&mut said).expect("UTF-8");
    let mut output = child.wait_with_output().expect("it ends");
    output.stderr = said.into_bytes();
    Run::of(output)
}

pub(crate) fn block(port: u16, changes: &Value) -> Value {
    let mut block = json!({
        "provider": "acme",
        "authUrlTemplate": "https://{{{config.shop}}}.example.com/authorize?client_id={{{client_id}}}&code_challenge={{{code_challenge}}}&state={{#urlencode}}{{{state}}}{{/urlencode}}&redirect_uri={{#urlencode}}{{{redirect_uri}}}{{/urlencode}}",
        "accessTokenUrlTemplate": format!("http://127.0.0.1:{port}/token?shop={{{{{{config.shop}}}}}}"),
        "accessTokenBody": r#"{"code":"{{{code}}}","secret":"{{{client_secret}}}","verifier":"{{{code_verifier}}}","developer":"{{{developer}}}"}"#,
        "accessTokenResponseMap": {"access_token": "/data/token", "expires_at": "{{#now_plus}}{{ expires_in }}{{/now_plus}}"},
    });
    for (name, value) in changes.as_object().expect("an object") {
        block[name] = value.clone();
    }
    block
}

pub(crate) const TOKEN: &str = r#"{"data":{"token":"t0ken"},"expires_in":3600}"#;

#[test]
fn consent_becomes_credentials() {
    let provider = Provider::answering(200, TOKEN);
    let capture = Capture::new(&block(provider.port, &json!({})));
    let run = capture.consent("code=c0%2Bde&state=STATE").succeeded();
    let credentials = &run.responses[0];
    assert_eq!(credentials["access_token"], "t0ken");
    assert_eq!((&credentials["client_id"], &credentials["client_secret"]), (&json!("me"), &json!("s3cret")));
    assert_eq!(credentials["expires_at"].as_str().map(str::len), Some(24));
    let asked = provider.asked.join().expect("it was asked");
    assert!(asked.starts_with("POST /token?shop=acme HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.contains("accept: application/json\r\n")
            && asked.contains("content-type: application/json\r\n"),
        "{asked}"
    );
    let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    assert_eq!(
        (&body["code"], &body["secret"], &body["developer"]),
        (&json!("c0+de"), &json!("s3cret"), &json!("d3v"))
    );
    assert_eq!(body["verifier"].as_str().map(str::len), Some(50));
    for log in &run.logs {
        let log = log.to_string();
        assert!(!log.contains("s3cret") && !log.contains("t0ken"), "{log}");
    }
}

#[test]
fn a_form_with_headers_is_sent_and_a_file_is_written() {
    let provider = Provider::answering(200, TOKEN);
    let changes = json!({
        "accessTokenBody": "grant_type=authorization_code&code={{#urlencode}}{{{code}}}{{/urlencode}}",
        "accessTokenHeaders": {"content-type": "application/x-www-form-urlencoded", "authorization": "Basic {{#basicauth}}{{{client_id}}}:{{{client_secret}}}{{/basicauth}}"},
    });
    let capture = Capture::new(&block(provider.port, &changes));
    let file = capture.folder.path().join("config.yaml");
    std::fs::write(&file, "shop: acme\ncredentials: {kind: oauth, access_token: old}\n").expect("written");
    let capture = capture.with(&["--write", file.to_str().expect("UTF-8")]);
    let run = capture.consent("code=a%26b&state=STATE").succeeded();
    assert_eq!(run.text, "");
    let asked = provider.asked.join().expect("it was asked");
    assert!(asked.ends_with("\r\n\r\ngrant_type=authorization_code&code=a%26b"), "{asked}");
    assert!(asked.contains("authorization: Basic bWU6czNjcmV0\r\n"), "{asked}");
    let written = std::fs::read_to_string(&file).expect("a file");
    for expected in ["shop: acme", "kind: oauth", "access_token: t0ken", "client_secret: s3cret"] {
        assert!(written.contains(expected), "{written}");
    }
}

#[test]
fn what_goes_wrong_is_said_and_tells_no_secret() {
    let long = "state=STATE&code=c0de";
    for (status, body, parameters, code, expected) in [
        (
            200,
            TOKEN,
            "error=access_denied&error_description=not+today&state=STATE",
            10,
            "gave no consent: access_denied: not today",
        ),
        (200, "<html>t0ken</html>", long, 10, "the answer is not JSON"),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"too late"}"#,
            long,
            10,
            "invalid_grant: too late (HTTP status 400)",
        ),
        (500, "t0ken", long, 10, "HTTP status 500"),
        (200, r#"{"data":{},"expires_in":1}"#, long, 10, "nothing at \"/data/token\""),
    ] {
        // It may never be asked, so nobody waits for it.
        let provider = Provider::answering(status, body);
        let run = Capture::new(&block(provider.port, &json!({}))).consent(parameters);
        assert!(run.last_words().contains(expected), "{}", run.last_words());
        assert_eq!(run.code, code, "{expected}");
        let all: String = run.logs.iter().map(Value::to_string).collect();
        assert!(!all.contains("s3cret") && !all.contains("t0ken") && !all.contains("c0de"), "{all}");
    }
}

#[test]
fn what_cannot_begin_is_said() {
    let capture = Capture::new(&block(1, &json!({}))).with(&["--no-browser", "--timeout", "10ms"]);
    let late = capture.run();
    assert_eq!(late.code, 13);
    assert!(late.last_words().contains("nobody came back"), "{}", late.last_words());

    let none = Capture::new(&json!({})).run();
    assert!(none.last_words().contains("has no oauth2"), "{}", none.last_words());

    let mut wrong = Capture::new(&block(1, &json!({})));
    wrong.arguments.pop();
    let wrong = wrong.with(&["{}"]).run();
    assert_eq!(wrong.code, 4);
    assert!(wrong.last_words().contains("shop"), "{}", wrong.last_words());
}

#[test]
fn a_dry_run_shows_all_but_the_secrets() {
    let run = Capture::new(&block(1, &json!({}))).with(&["--dry-run"]).run().succeeded();
    let url = run.responses[0]["authUrl"].as_str().expect("a URL");
    assert!(url.starts_with("https://acme.example.com/authorize?client_id=me&"), "{url}");
    let request = &run.responses[1]["tokenRequest"];
    assert_eq!(request["url"], "http://127.0.0.1:1/token?shop=acme");
    assert_eq!(request["body"], r#"{"code":"****","secret":"****","verifier":"****","developer":"****"}"#);
    assert!(!run.text.contains("s3cret") && !run.text.contains("d3v"), "{}", run.text);
}

#[test]
fn a_mistyped_variable_is_an_error_before_anything_is_sent() {
    for (changes, name) in [
        (json!({"authUrlTemplate": "https://a.example.com/?state={{{stat}}}"}), "stat"),
        (json!({"accessTokenBody": "{{{code_verifer}}}"}), "code_verifer"),
        (json!({"accessTokenBody": "{{{realm}}}"}), "--injected-values"),
    ] {
        let run = Capture::new(&block(1, &changes)).with(&["--dry-run"]).run();
        assert!(run.last_words().contains(name), "{}", run.last_words());
    }
}

#[test]
fn the_captures_own_config_counts_and_a_dry_run_needs_no_more_than_templates_use() {
    let block = block(1, &json!({"accessTokenBody": "{{{config.region}}}"}));
    let dry = |endpoint_config: &str, own: &str| {
        let mut capture = Capture::new(&block);
        std::fs::write(capture.folder.path().join("none.yaml"), own).expect("written");
        capture.arguments.pop();
        capture.with(&[endpoint_config, "--dry-run"]).run()
    };
    let run = dry("{}", "{shop: own, region: eu, credentials: {access_token: old}}").succeeded();
    assert_eq!(run.responses[1]["tokenRequest"]["body"], "eu");
    let url = run.responses[0]["authUrl"].as_str().expect("a URL");
    assert!(url.starts_with("https://own.example.com/"), "{url}");
    let run = dry(r#"{"region":"us","shop":"other"}"#, "{shop: own}").succeeded();
    assert_eq!(run.responses[1]["tokenRequest"]["body"], "us");
    let lacking = dry("{}", "{shop: own}");
    assert!(lacking.last_words().contains("config.region"), "{}", lacking.last_words());
}

#[test]
fn a_transcript_stands_in_for_upstream() {
    let capture = Capture::new(&block(1, &json!({})));
    let folder = capture.folder.path().to_owned();
    let shim = std::fs::read_to_string(folder.join("shim.yaml")).expect("a shim");
    let other = shim.replace("\"flow-shim\"", "\"no-such-program\"");
    assert_ne!(shim, other);
    std::fs::write(folder.join("shim.yaml"), other).expect("written");
    let capture = capture.with(&["--dry-run"]);
    let run = capture.with(&["--replay", folder.to_str().expect("UTF-8")]).run().succeeded();
    assert!(run.responses[0]["authUrl"].is_string());
}

/// A provider behind TLS, and the file with the authority that signed for it.
fn tls_provider(folder: &std::path::Path) -> (Provider, String) {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).expect("a certificate");
    let file = folder.join("authority.pem");
    std::fs::write(&file, certificate.pem()).expect("written");
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let own = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let own = own.signed_by(&key, &issuer).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .expect("a certificate with its key");
    let provider = Provider::serving(move |stream| {
        let connection = rustls::ServerConnection::new(Arc::new(config)).expect("a connection");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut first = [0];
        if stream.read_exact(&mut first).is_err() {
            return "not believed".to_owned();
        }
        let asked = request(&mut stream);
        answer(&mut stream, 200, TOKEN);
        asked
    });
    (provider, file.to_str().expect("UTF-8").to_owned())
}

#[test]
fn a_provider_behind_tls_is_believed_if_its_authority_is() {
    let folder = tempfile::tempdir().expect("a folder");
    for known in [true, false] {
        let (provider, authority) = tls_provider(folder.path());
        let url = format!("https://127.0.0.1:{}/token", provider.port);
        let mut capture = Capture::new(&block(provider.port, &json!({"accessTokenUrlTemplate": url})));
        if known {
            capture.variables.push(("SSL_CERT_FILE", authority));
        }
        let run = capture.consent("code=c0de&state=STATE");
        let asked = provider.asked.join().expect("it was called");
        if known {
            assert_eq!(run.succeeded().responses[0]["access_token"], "t0ken");
            assert!(asked.contains("c0de"), "{asked}");
        } else {
            assert!(
                run.last_words().contains("127.0.0.1: ") && run.last_words().contains("certificate"),
                "{}",
                run.last_words()
            );
            assert_eq!(asked, "not believed");
        }
    }
}

//! `flow-shim oauth`: the consent flow of a connector, with no Flow account (flow-protocol.md, 5.5).
//!
//! Asks the connector for its OAuth2 block, sends the user to the provider, receives the redirect on
//! loopback, and turns the code into the `credentials` of an endpoint config. Secrets go to stdout
//! or into the file that is asked for, and nowhere else.

mod config;
mod redirect;
mod target;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Map, Value, json};

use self::redirect::Redirect;
use self::target::Target;
use super::catalog::task::Task;
use super::display::output::Output;
use super::options::TaskOptions;
use crate::capture::config::secrets;
use crate::capture::shutdown::{Shutdown, stopped};
use crate::failure::{Code, Failure};
use crate::flow::message::OAuth2;
use crate::http;
use crate::oauth::consent::{Attempt, Client, TokenRequest};
use crate::shim::units::parse_duration;

/// What stands for a secret.
const MASK: &str = "****";

/// Options of `oauth`.
#[derive(Debug, Clone, clap::Args)]
pub struct OAuthOptions {
    /// Which capture
    #[command(flatten)]
    pub task: TaskOptions,
    /// The provider's name for the application
    #[arg(long, value_name = "ID")]
    pub client_id: String,
    /// What the application shows to the provider
    #[arg(long, value_name = "SECRET")]
    pub client_secret: String,
    /// Members of the endpoint config, in place of those of the capture's own
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    pub endpoint_config: Map<String, Value>,
    /// Variables of the token request that Flow's server would have
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    pub injected_values: Map<String, Value>,
    /// The port on loopback that the provider sends the user back to; 0 for any
    #[arg(long, default_value_t = 16963)]
    pub port: u16,
    /// How long to wait for that
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Print the URL on stderr instead of opening a browser
    #[arg(long)]
    pub no_browser: bool,
    /// Print what would be opened and sent, with secrets masked
    #[arg(long)]
    pub dry_run: bool,
    /// Put the credentials into this config file instead of printing them
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "not a JSON object".to_owned())
}

/// Gets consent.
pub async fn run(options: &OAuthOptions, shutdown: &Shutdown) -> Result<(), Failure> {
    let (block, schema, own) = ask(options, shutdown).await?;
    let given = config::given(own, &options.endpoint_config);
    secrets::hide(&schema, &json!({"credentials": {"client_secret": options.client_secret}}));
    secrets::hide(&schema, &Value::Object(given.clone()));
    // What is only shown needs no more of a config than the templates use.
    if !options.dry_run {
        config::check(&schema, &given)?;
    }
    // A file that cannot be changed is better known before than after.
    let target = options.write.as_deref().map(Target::open).transpose()?;
    let mut client = Client {
        id: options.client_id.clone(),
        secret: options.client_secret.clone(),
        config: given.into(),
        injected: options.injected_values.clone(),
        redirect_uri: format!("http://localhost:{}/", options.port),
    };
    if options.dry_run {
        config::mask(&schema, &mut client.config, MASK);
        return show(&Attempt::masked(&block, client, MASK).map_err(wrong)?);
    }
    let redirect = Redirect::listen(options.port)?;
    client.redirect_uri = format!("http://localhost:{}/", redirect.port());
    let attempt = Attempt::new(&block, client).map_err(wrong)?;
    send_user(&attempt.auth_url().map_err(wrong)?, options.no_browser);
    let (timeout, state) = (options.timeout, attempt.state().clone());
    let parameters = apart(shutdown, move || redirect.wait(timeout, &state)).await??;
    consented(&parameters)?;
    let request = attempt.token_request(&parameters).map_err(wrong)?;
    let answer = apart(shutdown, move || exchange(&request)).await??;
    let public = config::constants(&schema, &block.provider);
    let mut credentials = public.clone();
    credentials.extend(attempt.credentials(&answer).map_err(|why| Failure::new(Code::CONSENT_REFUSED, why))?);
    if let Some(target) = target {
        return target.write(credentials, &public);
    }
    let mut output = Output::stdout();
    output.json(&credentials)?;
    output.flush()
}

/// The connector's block and config schema, and the capture's config as far as it is there.
async fn ask(options: &OAuthOptions, shutdown: &Shutdown) -> Result<(OAuth2, Value, Value), Failure> {
    let catalog = options.task.catalog()?;
    let name = options.task.only(&catalog)?;
    let task = Task::without_config(&catalog, &name)?;
    let own = match Task::load(&catalog, &name, false) {
        Ok(task) => task.config,
        // Consent is often what makes the config, so it may not be there, or be encrypted for others.
        Err(failure) => {
            tracing::debug!("the capture's config is not used: {}", failure.message);
            Value::Null
        }
    };
    let task = options.task.with_upstream(task)?;
    let spec = options.task.driver(shutdown).bare_spec(&task).await?;
    let schema = serde_json::from_slice(&spec.config_schema_json).unwrap_or_default();
    let block = spec.oauth2.ok_or_else(|| {
        Failure::new(
            Code::NO_OAUTH2,
            "the connector's spec has no oauth2; say `oauth2` in its shim.yaml, with Flow's block or `auto`",
        )
    })?;
    Ok((block, schema, own))
}

/// A template that cannot be rendered.
fn wrong(why: String) -> Failure {
    Failure::new(Code::OAUTH2_BLOCK, format!("oauth2: {why}"))
}

/// Does something that blocks, in a thread that is left behind where a stop is asked for.
pub(super) async fn apart<T: Send + 'static>(
    shutdown: &Shutdown,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (sender, done) = tokio::sync::oneshot::channel();
    // Where nobody waits any more, nobody wants the result.
    std::thread::spawn(move || sender.send(work()).is_ok());
    tokio::select! {
        done = done => done.map_err(|_| Failure::new(Code::BUG, "a thread of the consent flow ended early")),
        why = shutdown.requested() => Err(stopped(why)),
    }
}

/// Opens a browser, or says where to go.
fn send_user(url: &str, no_browser: bool) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let sent = !no_browser && {
        let mut command = Command::new(opener);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if sent {
        tracing::info!("the browser was sent to the provider; waiting for the consent");
    } else {
        // Plain, so that it can be copied. Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "To consent, open this in a browser on this machine:\n{url}");
    }
}

/// Whether the redirect brings a consent.
fn consented(parameters: &Map<String, Value>) -> Result<(), Failure> {
    let text = |name: &str| parameters.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(error) = text("error") else { return Ok(()) };
    let description = text("error_description").map(|text| format!(": {text}")).unwrap_or_default();
    Err(Failure::new(Code::CONSENT_REFUSED, format!("the provider gave no consent: {error}{description}")))
}

/// Sends the token request; the answer must be JSON of a success.
fn exchange(request: &TokenRequest) -> Result<Value, Failure> {
    let failed =
        |why: String| Failure::new(Code::CONSENT_REFUSED, format!("the token request failed: {why}"));
    let answer = http::request(&request.method, &request.url, &request.headers, request.body.as_deref())
        .map_err(|error| failed(error.to_string()))?;
    let body: Option<Value> = serde_json::from_str(&answer.body).ok();
    // RFC 6749, 5.2. Some providers answer an error with status 200.
    let error = body.as_ref().and_then(|body| body["error"].as_str()).map(|error| {
        let description = body.as_ref().and_then(|body| body["error_description"].as_str());
        description.map_or_else(|| error.to_owned(), |description| format!("{error}: {description}"))
    });
    match (answer.is_success(), error, body) {
        (true, None, Some(body)) => Ok(body),
        (true, None, None) => {
            let kind = answer.header("content-type").unwrap_or("no content type");
            Err(failed(format!(
                "the answer is not JSON ({kind}); does the block send `accept: application/json`?"
            )))
        }
        (_, Some(error), _) => {
            Err(failed(format!("the provider says {error} (HTTP status {})", answer.status)))
        }
        (false, None, _) => Err(failed(format!("HTTP status {}", answer.status))),
    }
}

/// Prints what would be opened and sent.
fn show(attempt: &Attempt<'_>) -> Result<(), Failure> {
    let redirect = Map::from_iter([("code".to_owned(), MASK.into()), ("state".to_owned(), MASK.into())]);
    let request = attempt.token_request(&redirect).map_err(wrong)?;
    let headers: Map<String, Value> =
        request.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut output = Output::stdout();
    output.json(&json!({"authUrl": attempt.auth_url().map_err(wrong)?}))?;
    let token =
        json!({"method": request.method, "url": request.url, "headers": headers, "body": request.body});
    output.json(&json!({"tokenRequest": token}))?;
    output.flush()
}

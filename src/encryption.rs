//! Flow's service that encrypts endpoint configs (flow-protocol.md, 4.3), called over HTTP.

use std::sync::Arc;

use crate::capture::config::rotation::Encrypt;
use crate::env;
use crate::http;

/// The service that `ENCRYPTION_URL` names; `None` where it names none.
pub fn service() -> Option<Encrypt> {
    let url = env::get(env::ENCRYPTION_URL)?;
    Some(Arc::new(move |body| ask(&url, body)))
}

/// What is wrong is told without the answer's text, which may quote the config.
fn ask(url: &str, body: &str) -> Result<String, String> {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let answer = http::request("POST", url, &headers, Some(body))
        .map_err(|error| format!("the encryption service cannot be asked: {error}"))?;
    if answer.is_success() {
        Ok(answer.body)
    } else {
        Err(format!("the encryption service answered with status {}", answer.status))
    }
}

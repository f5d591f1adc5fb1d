//! The life of one process in front of Flow: requests come one after the other, each gets its
//! answer, and Open ends it.
//!
//! Flow sends a Spec request into every process before the real one (flow-protocol.md, 1.6), so
//! upstream's specification is asked for once and kept.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::apply::applied;
use super::collections::settings;
use super::config::flags::{self, FeatureFlags};
use super::config::rotation::Schemas;
use super::config::schema;
use super::config::secrets;
use super::config::shape::{Way, to_upstream};
use super::processes::supervisor::Upstream;
use super::protocol::{UpstreamProtocol, UpstreamSpec};
use super::requests::Requests;
use super::shutdown::{stopped, unwritten};
use super::threads;
use crate::failure::{Code, Failure};
use crate::flow::codec::Codec;
use crate::flow::message::{PROTOCOL_VERSION, Request, Response, Spec};
use crate::flow::writer::Writer;
use crate::oauth::spec::{self, Consent};
use crate::shim::definition::Definition;
use crate::shim::documentation;

/// How long a reader that stalls may take for our last bytes once a stop was asked for. It has had the
/// time that upstream took to stop besides.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// One session.
pub struct Session<P> {
    pub(super) protocol: P,
    pub(super) definition: Definition,
    pub(super) upstream: Upstream,
    pub(super) requests: Requests,
    pub(super) writer: Writer,
    /// Whether Flow was told that the capture is open.
    pub(super) is_open: bool,
    /// The feature flags of the endpoint config that was read last.
    pub(super) flags: FeatureFlags,
    spec: Option<UpstreamSpec>,
}

/// Answers requests from `input` on `output` until there are no more, Open has ended, or a stop is
/// asked for. Where upstream's specification is known, it is not asked for.
pub async fn serve<P: UpstreamProtocol>(
    protocol: P,
    definition: Definition,
    upstream: Upstream,
    spec: Option<UpstreamSpec>,
    codec: Codec,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<(), Failure> {
    let shutdown = upstream.shutdown.clone();
    let requests = Requests::start(input, codec)?;
    let writer = Writer::start(output, codec).map_err(|error| threads::refused(&error))?;
    let patience = upstream.grace();
    let mut session = Session {
        protocol,
        definition,
        upstream,
        requests,
        writer,
        is_open: false,
        flags: FeatureFlags::default(),
        spec,
    };
    let result = tokio::select! {
        // A large future, which would be moved around on the stack.
        result = Box::pin(session.run()) => result,
        // Dropping the session kills upstream.
        why = shutdown.overdue(patience) => {
            tracing::warn!("the session did not end in time after it was asked to stop; it is given up");
            Err(stopped(why))
        }
    };
    // Whatever the result: what was handed over before it must reach Flow.
    let written = tokio::select! {
        written = session.writer.finish() => written.map_err(unwritten),
        () = async { shutdown.requested().await; tokio::time::sleep(LAST_BYTES).await } => Ok(()),
    };
    result.and(written)
}

impl<P: UpstreamProtocol> Session<P> {
    async fn run(&mut self) -> Result<(), Failure> {
        loop {
            let request = tokio::select! {
                request = self.requests.next() => request?,
                why = self.upstream.shutdown.requested() => return Err(stopped(why)),
            };
            let Some(request) = request else { return Ok(()) };
            let response = match request {
                Request { open: Some(open), .. } => {
                    return self.open(open).await.map_err(|f| f.while_doing("capture"));
                }
                Request { spec: Some(_), .. } => {
                    self.answer_spec().await.map_err(|f| f.while_doing("spec"))?
                }
                Request { discover: Some(discover), .. } => {
                    self.discover(&discover).await.map_err(|f| f.while_doing("discover"))?
                }
                Request { validate: Some(validate), .. } => {
                    self.validate(&validate).await.map_err(|f| f.while_doing("validate"))?
                }
                Request { apply: Some(apply), .. } => applied(&apply)?,
                // An acknowledgement of nothing asks for nothing.
                Request { acknowledge: Some(_), .. } => continue,
                _ => {
                    return Err(Failure::new(
                        Code::REQUEST_UNEXPECTED,
                        "a request asks for nothing that is known",
                    ));
                }
            };
            let shutdown = &self.upstream.shutdown;
            shutdown.unless_stopped(self.writer.send(&response)).await?.map_err(unwritten)?;
        }
    }

    async fn answer_spec(&mut self) -> Result<Response, Failure> {
        let consent = self.consent().await?;
        for doubt in &consent.doubts {
            tracing::warn!("oauth2: {doubt}");
        }
        let mut resource = self.protocol.resource_spec();
        settings::offer(&mut resource.schema);
        let spec = Spec {
            protocol: PROTOCOL_VERSION,
            config_schema_json: self.schema_for_flow(&consent.config_schema).to_string().into_bytes(),
            resource_config_schema_json: resource.schema.to_string().into_bytes(),
            documentation_url: self.documentation_url(),
            oauth2: consent.message,
            resource_path_pointers: resource
                .path_pointers
                .iter()
                .map(|&pointer| pointer.to_owned())
                .collect(),
        };
        Ok(Response { spec: Some(spec), ..Response::default() })
    }

    /// Where the connector's documentation is: as the shim says, else as upstream does, else a guess. Flow
    /// refuses a connector without it.
    fn documentation_url(&self) -> String {
        let upstreams = self.spec.as_ref().and_then(|spec| spec.documentation_url.as_ref());
        let told = [self.definition.documentation_url.as_ref(), upstreams].into_iter().flatten();
        let told = told.map(|url| url.trim()).find(|url| !url.is_empty()).map(str::to_owned);
        told.unwrap_or_else(|| documentation::default_url(&self.upstream.command))
    }

    /// Upstream's specification, asked for once.
    async fn spec(&mut self) -> Result<&UpstreamSpec, Failure> {
        Ok(match &mut self.spec {
            Some(spec) => spec,
            none => none.insert(self.protocol.spec(&self.upstream).await?),
        })
    }

    /// The config schema that people see, with what consent adds to it. A source without a schema takes
    /// any object.
    async fn consent(&mut self) -> Result<Consent, Failure> {
        let mut upstreams = None;
        if self.definition.config.schema.is_none() {
            let schema = self.spec().await?.config_schema();
            upstreams = schema.or_else(|| Some(json!({"type": "object"})));
        }
        let schema = self.definition.config.seen(upstreams).unwrap_or_default();
        if self.definition.oauth2.as_ref().is_some_and(|oauth2| oauth2 == "auto") {
            self.spec().await?;
        }
        let described = self.spec.as_ref().and_then(|spec| spec.consent_flow.as_ref());
        spec::consent(self.definition.oauth2.as_ref(), described, schema)
    }

    /// The config schema as Flow gets it, with what belongs to flow-shim.
    fn schema_for_flow(&self, seen: &Value) -> Value {
        let mut schema = schema::for_flow(seen);
        flags::offer(&mut schema, &self.definition);
        schema
    }

    /// Reads an endpoint config, holds it against the schema, and gives it in upstream's shape.
    pub(super) async fn config(&mut self, text: &[u8]) -> Result<Value, Failure> {
        let config: Value = if text.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(text)
                .map_err(|_| Failure::new(Code::ENDPOINT_CONFIG, "the endpoint config is not JSON"))?
        };
        let consent = self.consent().await?;
        let seen = &consent.config_schema;
        secrets::hide(seen, &config);
        self.flags = FeatureFlags::of(&config)?;
        let upstream = self.spec.as_ref().and_then(UpstreamSpec::config_schema);
        let way = Way { consent: consent.moves.clone(), moves: self.definition.config.map.0.clone() };
        let mapped = to_upstream(config.clone(), seen, upstream.as_ref(), &way)?;
        secrets::hide(upstream.as_ref().unwrap_or(seen), &mapped);
        let schemas = Schemas { flow: self.schema_for_flow(seen), upstream: upstream.unwrap_or_default() };
        self.upstream.rotation.begin(&config, mapped, way, schemas);
        Ok(self.upstream.rotation.newest())
    }
}

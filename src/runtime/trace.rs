//! Traces by OTLP: one for each agent pod, over all processes that bring it on its way.
//!
//! Nothing is carried from process to process: the ids follow from the namespace and the name of
//! the pod's own account, which each of them knows, which is never used again, and from which
//! anybody finds the trace. The first span is the admission; all others are its children, also
//! where the admission itself was not recorded.
//!
//! Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set.
//! Spans wait in a bounded queue for a thread of their own: when the collector is slow or away
//! they are lost, and no decision waits.

use super::metrics::METRICS;
use anyhow::Context;
use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample, SpanData,
    SpanEvents, SpanLinks, SpanProcessor,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;

/// Longest wait for the collector, once: the standard's own default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an ending process waits for the collector.
const FLUSH: Duration = Duration::from_secs(3);
/// More than any collector says.
const MAX_ANSWER: usize = 1 << 20;

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    processor: BatchSpanProcessor,
    sampler: Sampler,
    scope: InstrumentationScope,
}

/// The agent pod that a trace is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance<'a> {
    /// Namespace.
    pub(crate) namespace: &'a str,
    /// Name of the identity.
    pub(crate) identity: &'a str,
    /// Name of the account that was minted for the pod.
    pub(crate) account: &'a str,
    /// Name of the pod, once it has one.
    pub(crate) pod: Option<&'a str>,
    /// UID of the pod, once it has one.
    pub(crate) pod_uid: Option<&'a str>,
}

impl Instance<'_> {
    /// The trace and its first span: the first 16 bytes of a SHA-256, and the 8 after them.
    fn ids(&self) -> (TraceId, SpanId) {
        let known = format!("{}/{}", self.namespace, self.account);
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, known.as_bytes());
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&hash.as_ref()[..16]);
        span.copy_from_slice(&hash.as_ref()[16..24]);
        (TraceId::from_bytes(trace), SpanId::from_bytes(span))
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let known = [
            ("k8s.namespace.name", Some(self.namespace)),
            ("k8s.pod.name", self.pod),
            ("k8s.pod.uid", self.pod_uid),
            ("perpro.identity", Some(self.identity)),
            ("perpro.account", Some(self.account)),
        ];
        known.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?.to_owned()))).collect()
    }
}

/// One step on a pod's way, while it is taken.
pub(crate) struct Step {
    name: &'static str,
    root: bool,
    began: SystemTime,
}

impl Step {
    /// The first: the decision on its creation.
    pub(crate) fn admission() -> Self {
        Self { name: "admission", root: true, began: SystemTime::now() }
    }

    /// A write to the API server.
    pub(crate) fn write(name: &'static str) -> Self {
        Self { name, root: false, began: SystemTime::now() }
    }

    /// It is taken, or has failed.
    pub(crate) fn end(self, instance: &Instance<'_>, error: Option<String>) {
        if let Some(traces) = TRACES.get() {
            traces.record(self, instance, error);
        }
    }
}

impl Traces {
    fn record(&self, step: Step, instance: &Instance<'_>, error: Option<String>) {
        let (trace, first) = instance.ids();
        let kind = if step.root { SpanKind::Server } else { SpanKind::Client };
        // Looks at the id of the trace alone, so all processes decide alike.
        let sampling = self.sampler.should_sample(None, trace, step.name, &kind, &[], &[]);
        if sampling.decision != SamplingDecision::RecordAndSample {
            return;
        }
        let (id, parent) = if step.root {
            (first, SpanId::INVALID)
        } else {
            (RandomIdGenerator::default().new_span_id(), first)
        };
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: parent,
            parent_span_is_remote: !step.root,
            span_kind: kind,
            name: step.name.into(),
            start_time: step.began,
            end_time: SystemTime::now(),
            attributes: instance.attributes(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: error.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// Begins to send traces if the environment says where to. What is wrong there is logged: an agent
/// pod does not wait for somebody to repair the telemetry.
pub(crate) fn start(service: &'static str) {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let (Some(endpoint), false) = (endpoint, off) else { return };
    let certificate =
        set("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE").or_else(|| set("OTEL_EXPORTER_OTLP_CERTIFICATE"));
    let sampler = sampler(set("OTEL_TRACES_SAMPLER").as_deref(), set("OTEL_TRACES_SAMPLER_ARG").as_deref());
    match traces(service, certificate.as_deref(), sampler) {
        Ok(traces) => {
            let _ = TRACES.set(traces);
            tracing::info!(endpoint, "sending traces");
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "can't send traces"),
    }
}

fn traces(service: &'static str, certificate: Option<&str>, sampler: Sampler) -> anyhow::Result<Traces> {
    let exporter =
        SpanExporter::builder().with_http().with_http_client(Collector::new(certificate)?).build()?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    processor.set_resource(&resource(service));
    let version = env!("CARGO_PKG_VERSION");
    Ok(Traces {
        processor,
        sampler,
        scope: InstrumentationScope::builder("perpro").with_version(version).build(),
    })
}

/// What the environment says of this process; where it gives no name, ours.
fn resource(service: &'static str) -> Resource {
    let ours =
        || Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let found = ours().build();
    let name = found.get(&Key::new("service.name")).map(|name| name.to_string());
    match name {
        Some(name) if !name.starts_with("unknown_service") => found,
        _ => ours().with_service_name(service).build(),
    }
}

/// `OTEL_TRACES_SAMPLER`. All spans of a trace have the same id, and the root is ours: what "parent
/// based" would ask the parent, the id answers.
fn sampler(name: Option<&str>, argument: Option<&str>) -> Sampler {
    match name.unwrap_or_default().trim_start_matches("parentbased_") {
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(argument.and_then(|a| a.parse().ok()).unwrap_or(1.0)),
        _ => Sampler::AlwaysOn,
    }
}

/// Sends what still waits; for the end of a process.
pub(crate) async fn flush() {
    if let Some(traces) = TRACES.get() {
        // It blocks its thread until the collector has answered.
        let _ = tokio::task::spawn_blocking(|| traces.processor.shutdown_with_timeout(FLUSH)).await;
    }
}

/// Where spans go. Called from a thread outside of the async runtime.
#[derive(Debug)]
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    away: AtomicBool,
}

impl Collector {
    /// With `certificate`, a file of CA certificates, it speaks TLS where the endpoint says https.
    /// The image holds no CA bundle, so without one nobody can be trusted.
    fn new(certificate: Option<&str>) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(file) = certificate {
            let read = || format!("can't read the CA certificates in {file}");
            for certificate in CertificateDer::pem_file_iter(file).with_context(read)? {
                roots.add(certificate.with_context(read)?).with_context(read)?;
            }
        }
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, runtime: Handle::current(), away: AtomicBool::new(false) })
    }

    /// Logs when the collector goes away and when it is back, not each batch.
    fn note(&self, error: Option<&HttpError>) {
        METRICS.trace_exports.inc([if error.is_some() { "failed" } else { "sent" }]);
        match (self.away.swap(error.is_some(), Ordering::Relaxed), error) {
            (false, Some(error)) => {
                tracing::warn!(error = describe(error.as_ref()), "traces can't be sent and are lost");
            }
            (true, None) => tracing::info!("traces are sent again"),
            _ => {}
        }
    }
}

/// An error and its causes.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::from));
        let send = async move {
            let (head, body) = answer.await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // This thread has no clock of tokio's: the limit begins over there, too.
        let sent = self.runtime.spawn(async { tokio::time::timeout(TIMEOUT, send).await }).await;
        let answer = sent.map_err(HttpError::from).and_then(|r| r.map_err(HttpError::from)).flatten();
        let refused = answer.as_ref().ok().filter(|a| !a.status().is_success());
        let refused = refused.map(|a| HttpError::from(format!("the collector answered {}", a.status())));
        self.note(answer.as_ref().err().or(refused.as_ref()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const INSTANCE: Instance<'_> = Instance {
        namespace: "support",
        identity: "feedback-reader",
        account: "aid-feedback-reader-k3x9q2m7fa",
        pod: None,
        pod_uid: None,
    };

    #[test]
    fn the_ids_are_what_sha256sum_says() {
        let (trace, span) = INSTANCE.ids();
        assert_eq!(format!("{trace:032x}{span:016x}"), "945431fdd159da59a1266651521c654a9e9c4aaa59fdc38c");
    }

    #[test]
    fn what_is_not_known_yet_is_left_out() {
        let keys =
            |i: &Instance<'_>| i.attributes().into_iter().map(|a| a.key.to_string()).collect::<Vec<_>>();
        assert_eq!(keys(&INSTANCE), ["k8s.namespace.name", "perpro.identity", "perpro.account"]);
        let named = Instance { pod: Some("a"), pod_uid: Some("b"), ..INSTANCE };
        assert_eq!(keys(&named)[1..3], ["k8s.pod.name", "k8s.pod.uid"]);
    }

    #[rstest]
    #[case(None, None, true)]
    #[case(Some("parentbased_always_on"), None, true)]
    #[case(Some("always_off"), None, false)]
    #[case(Some("parentbased_always_off"), None, false)]
    #[case(Some("traceidratio"), Some("0"), false)]
    #[case(Some("parentbased_traceidratio"), Some("1"), true)]
    fn the_sampler_is_the_one_that_the_environment_names(
        #[case] name: Option<&str>,
        #[case] argument: Option<&str>,
        #[case] sampled: bool,
    ) {
        let (trace, _) = INSTANCE.ids();
        let result = sampler(name, argument).should_sample(None, trace, "x", &SpanKind::Internal, &[], &[]);
        assert_eq!(result.decision == SamplingDecision::RecordAndSample, sampled);
    }

    #[test]
    fn without_an_endpoint_a_step_costs_nothing_and_goes_nowhere() {
        Step::admission().end(&INSTANCE, None);
        assert!(TRACES.get().is_none());
    }
}

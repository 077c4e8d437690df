//! Traces at a real receiver, and what a controller counts when it begins to lead. Here, since the
//! processes have to be started for it.

use super::free_the_lease;
use crate::common::{self, World, account_of, agent, uid, when};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use perpro_core::names;
use perpro_e2e::install::{HostProcess, HostProcesses};
use perpro_e2e::wait;
use prost::Message;
use serde_json::json;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// Longer than any test: a batch is sent only because the process ends.
const NEVER: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");

/// A receiver of OTLP over HTTP, and what it got: spans with the name of the service.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<(String, Span)>>>);

impl Receiver {
    /// Listens, and says at which endpoint.
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let routes = Router::new().route("/v1/traces", post(Self::receive)).with_state(receiver.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, endpoint)
    }

    async fn receive(State(receiver): State<Self>, body: Bytes) {
        for batch in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
            let service = attribute(&batch.resource.unwrap().attributes, "service.name").unwrap();
            let spans = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
            receiver.0.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
        }
    }

    /// The spans of a trace by the time at which they began.
    fn trace(&self, id: &str) -> Vec<(String, Span)> {
        let spans = self.0.lock().unwrap();
        let mut found: Vec<_> = spans.iter().filter(|(_, span)| hex(&span.trace_id) == id).cloned().collect();
        found.sort_by_key(|(_, span)| span.start_time_unix_nano);
        found
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|a| a.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id of a pod's trace, as docs/operations.md tells people to find it.
fn trace_id(namespace: &str, account: &str) -> String {
    let shell = format!("printf %s {namespace}/{account} | sha256sum | cut -c1-32");
    let output = Command::new("sh").args(["-c", &shell]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn restart(world: &World, env: &[(&str, &str)]) {
    let processes = HostProcesses::of(&world.cluster);
    processes.kill(HostProcess::Controller).await.unwrap();
    free_the_lease(world).await;
    processes.start(HostProcess::Controller, env).await.unwrap();
    processes.restart(HostProcess::Webhook, env).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn one_trace_tells_the_way_of_a_pod_over_both_processes() {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    let (receiver, endpoint) = Receiver::start().await;
    restart(&world, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), NEVER]).await;
    world.identity("bot", json!({})).await;
    world.accepts(&agent(json!({}))).await;
    let pod = world.released("pod").await;
    let account = account_of(&pod);
    let id = trace_id(&world.namespace, &account);
    assert!(receiver.trace(&id).is_empty(), "sent before anybody asked");

    // What waits is sent when the processes end.
    processes.stop(HostProcess::Webhook, common::SOON).await.unwrap();
    processes.stop(HostProcess::Controller, common::SOON).await.unwrap();
    let spans = receiver.trace(&id);
    restart(&world, &[]).await;

    let mut steps: Vec<_> =
        spans.iter().map(|(service, span)| (service.as_str(), span.name.as_str())).collect();
    // A pass that begins before the watch shows the last write makes it again: each is idempotent.
    assert_eq!(steps.iter().filter(|(_, step)| *step == "ungate").count(), 1, "{steps:?}");
    steps.dedup();
    let expected = [
        ("perpro-webhook", "admission"),
        ("perpro-webhook", "mint"),
        ("perpro-controller", "claim"),
        ("perpro-controller", "bind"),
        ("perpro-controller", "ungate"),
    ];
    assert_eq!(steps, expected);
    let admission = &spans[0].1;
    assert!(admission.parent_span_id.is_empty());
    assert_eq!(admission.kind(), SpanKind::Server);
    for (_, span) in &spans {
        let known = [
            ("k8s.namespace.name", &world.namespace),
            ("k8s.pod.name", &"pod".to_owned()),
            ("perpro.identity", &"bot".to_owned()),
            ("perpro.account", &account),
        ];
        // The name of the pod is not known where its account is minted.
        for (key, value) in known.iter().filter(|(key, _)| *key != "k8s.pod.name" || span.name != "mint") {
            assert_eq!(attribute(&span.attributes, key).as_ref(), Some(*value), "{key} of {}", span.name);
        }
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        assert!(span.status.as_ref().is_none_or(|status| status.message.is_empty()), "{span:?}");
    }
    for (_, child) in &spans[1..] {
        assert_eq!(child.parent_span_id, admission.span_id, "{}", child.name);
        assert_eq!(child.kind(), SpanKind::Client);
    }
    for (_, span) in &spans[2..] {
        assert_eq!(attribute(&span.attributes, "k8s.pod.uid"), Some(uid(&pod)));
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_collector_that_is_away_or_never_answers_holds_up_nobody() {
    let world = World::new("all").await;
    let processes = HostProcesses::of(&world.cluster);
    world.identity("bot", json!({})).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = (format!("http://{}", silent.local_addr().unwrap()), Some(silent));
    for (name, (endpoint, _listener)) in
        [("away", ("http://127.0.0.1:1".to_owned(), None)), ("silent", silent)]
    {
        restart(
            &world,
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "1")],
        )
        .await;
        world.accepts(&agent(json!({"metadata": {"name": name}}))).await;
        world.released(name).await;
        // API servers have 8 s to let go of the webhook; the collector gets 3 s, of its own 10.
        for (process, limit) in [(HostProcess::Webhook, 16), (HostProcess::Controller, 8)] {
            processes.stop(process, Duration::from_secs(limit)).await.unwrap();
        }
    }
    restart(&world, &[]).await;
    world
        .eventually("the lost traces should be told", async || {
            let log = std::fs::read_to_string(processes.log(HostProcess::Webhook)).unwrap();
            when(log.contains("traces can't be sent and are lost"), "the log does not say so")
        })
        .await;
}

/// How many pods without identity the controller counts when it begins to lead.
async fn older_pods(world: &World) -> f64 {
    restart(world, &[]).await;
    let processes = HostProcesses::of(&world.cluster);
    world
        .eventually("the controller should have counted", async || {
            let page = processes.metrics(HostProcess::Controller).await.unwrap();
            let found = page.lines().find_map(|line| line.strip_prefix("perpro_pods_without_identity{} "));
            found.map_or_else(|| wait::not_yet("it has not"), |value| wait::ready(value.parse().unwrap()))
        })
        .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_that_are_older_than_the_label_are_counted() {
    let world = World::new("").await;
    world.accepts(&common::pod(json!({"metadata": {"name": "older"}}))).await;
    let before = older_pods(&world).await;
    let namespaces = Api::<Namespace>::all(world.client.clone());
    let label = Patch::Merge(json!({"metadata": {"labels": {names::ENFORCE_LABEL: "all"}}}));
    namespaces.patch(&world.namespace, &PatchParams::default(), &label).await.unwrap();
    assert_eq!(older_pods(&world).await, before + 1.0);
}

//! The webhook as a server: whatever is sent to it, it answers with a 4xx and goes on.

use crate::common::{World, agent};
use futures::future::join_all;
use kube::Client;
use perpro_core::names;
use perpro_e2e::install::{HostProcess, HostProcesses};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

async fn webhook(world: &World) -> Client {
    HostProcesses::of(&world.cluster).client(HostProcess::Webhook).unwrap()
}

async fn status(client: &Client, path: &str, body: Vec<u8>) -> u16 {
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(kube::client::Body::from(body))
        .unwrap();
    // A server that refuses a large body early may close the connection while it is being sent.
    client.send(request).await.map_or(413, |response| response.status().as_u16())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn rubbish_is_refused_and_makes_no_account() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let client = webhook(&world).await;
    let forged = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Secret"}, "operation": "CREATE",
        "namespace": world.namespace, "object": agent(json!({}))}});
    for path in ["/mutate/pods", "/validate/pods"] {
        for (body, expected) in [
            (vec![], 400),
            (b"{\"apiVersion\": \"\xff\"}".to_vec(), 400),
            ("[".repeat(100_000).into_bytes(), 400),
            (serde_json::to_vec(&json!({"apiVersion": "v1", "kind": "Pod"})).unwrap(), 400),
            (serde_json::to_vec(&forged).unwrap(), 400),
            (vec![b' '; 20 << 20], 413),
        ] {
            assert_eq!(status(&client, path, body).await, expected, "{path}");
        }
    }
    // A few kilobytes that expand to more permissions than there is memory.
    let many: Vec<_> = (0..1000).map(|i| i.to_string()).collect();
    let rule = json!([{"apiGroups": many, "resources": many, "resourceNames": many, "verbs": many}]);
    for (path, kind, spec) in [
        (
            "/validate/identities",
            "AgentIdentity",
            json!({"owner": {"kind": "User", "name": "eve"},
            "expiresAt": "2036-01-01T00:00:00Z", "justification": "Answers questions", "permissions": rule}),
        ),
        ("/validate/policies", "AgentPolicy", json!({"namespaces": ["*"], "permissions": rule})),
    ] {
        let bomb = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": {"group": names::GROUP, "version": names::VERSION, "kind": kind},
            "operation": "CREATE", "namespace": world.namespace, "object": {"metadata": {"name": "x"}, "spec": spec}}});
        assert_eq!(status(&client, path, serde_json::to_vec(&bomb).unwrap()).await, 200, "{path}");
    }
    assert_eq!(status(&client, "/other", vec![]).await, 404);
    assert!(world.instance_accounts().await.is_empty());
    world.released_agent().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_body_that_never_ends_is_given_up_before_the_api_server_would_and_holds_up_nobody() {
    let world = World::new("all").await;
    world.identity("bot", json!({})).await;
    let endless = join_all((0..20).map(async |_| {
        let client = client(&world);
        tokio::task::spawn_blocking(|| begins_a_body(client)).await.unwrap()
    }));
    let others = async {
        world.released_agent().await;
    };
    let (given_up, ()) = futures::join!(endless, others);
    for answer in given_up {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
    assert_eq!(world.instance_accounts().await.len(), 1);
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn it_speaks_http_1_and_nothing_newer() {
    let world = World::new("all").await;
    let mut webhook = client(&world);
    webhook.sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    webhook.conn.complete_io(&mut webhook.sock).unwrap();
    assert_eq!(webhook.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    // Whoever speaks HTTP/2 all the same is answered as who sends nonsense.
    webhook.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let mut answer = [0; 100];
    let length = webhook.read(&mut answer).unwrap_or_default();
    assert!(length == 0 || answer.starts_with(b"HTTP/1.1 4"), "{:?}", &answer[..length]);
}

/// A connection to the webhook on which nothing was sent.
fn client(world: &World) -> StreamOwned<ClientConnection, TcpStream> {
    let processes = HostProcesses::of(&world.cluster);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(processes.tls().join("ca.crt")).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let port = processes.webhook().unwrap().port;
    StreamOwned::new(tls, TcpStream::connect(("127.0.0.1", port)).unwrap())
}

/// Sends the first byte of a body, and waits for as long as an API server does.
fn begins_a_body(mut webhook: StreamOwned<ClientConnection, TcpStream>) -> String {
    webhook.sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = "POST /mutate/pods HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{";
    webhook.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 100];
    let length = webhook.read(&mut answer).unwrap_or_default();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

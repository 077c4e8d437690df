//! The admission webhook: decides on agent pods as they are created, mints their accounts and
//! patches them. Replicas are equal; there is no leader.

mod advice;
mod answer;
mod excepted;
mod identities;
mod pods;
mod policies;
mod review;
mod sessions;

use crate::cluster::{Cluster, Probe};
use crate::runtime::health;
use crate::runtime::metrics::Admission;
use crate::runtime::tls;
use crate::runtime::trace::{Instance, Step};
use crate::snapshot::{Snapshot, Watches};
use advice::Asked;
use answer::Answer;
use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use perpro_core::decide::check::Governance;
use perpro_core::decide::refusal::{Reason, Refusal};
use perpro_core::names;
use review::{Review, Subject};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

// The paths, which are labels of metrics too.
const MUTATE_PODS: &str = "/mutate/pods";
const VALIDATE_PODS: &str = "/validate/pods";
const MUTATE_IDENTITIES: &str = "/mutate/identities";
const VALIDATE_IDENTITIES: &str = "/validate/identities";
const VALIDATE_POLICIES: &str = "/validate/policies";
const VALIDATE_SESSIONS: &str = "/validate/sessions";
// What is only told. The namespace's labels are not in a review, so the configuration chooses the path by them.
const ADVISE: [(&str, Asked); 4] = [
    ("/advise/enforced/all", Asked { enforced: true, about: Governance::All }),
    ("/advise/enforced/agents", Asked { enforced: true, about: Governance::Agents }),
    ("/advise/warned/all", Asked { enforced: false, about: Governance::All }),
    ("/advise/warned/agents", Asked { enforced: false, about: Governance::Agents }),
];
const WARN_PODS: &str = "/advise/warned/pods";
const AUDIT_PODS: &str = "/advise/audited/pods";

/// The API server sends objects of at most 3 MiB, old and new; beyond this nobody honest is.
const MAX_BODY: usize = 8 << 20;

/// What the handlers share.
struct Webhook {
    cluster: Cluster,
    snapshot: Snapshot,
    readiness: health::Readiness,
}

impl Webhook {
    /// What it still waits for at its start.
    fn not_ready(&self) -> Reason {
        let unread = self.snapshot.unread();
        let why = if unread.is_empty() {
            "the webhook waits until the policy perpro-own-writes is in force".to_owned()
        } else {
            format!("the webhook has not read every {} yet", unread.join(", "))
        };
        Reason::WebhookNotReady { why }
    }
}

/// Serves until `stop`.
///
/// # Errors
/// When the certificate can't be read, the address can't be bound, or a watch ends.
pub(crate) async fn serve(
    listen: SocketAddr,
    health_listen: SocketAddr,
    tls_dir: PathBuf,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect().await?;
    let mut watches = Watches::new(None);
    let snapshot = Snapshot::start(&cluster.client(), &mut watches);
    let readiness = health::Readiness::default();
    let seen = snapshot.clone();
    let health = health::serve(health_listen, readiness.clone(), move || seen.census());
    let webhook = Webhook { cluster: cluster.clone(), snapshot, readiness: readiness.clone() };

    let tls = tls::watched(tls_dir, stop.clone()).await?;
    let server = perpro_serve::https(listen, tls, routes(Arc::new(webhook)), stop.clone());
    let server = async { server.await.with_context(|| format!("can't serve on {listen}")) };
    tokio::pin!(server, health);

    let synced = watches.synced();
    tracing::info!(%listen, "serving; reading identities, policies and accounts");
    tokio::select! {
        result = &mut server => return result,
        result = &mut health => return result,
        error = watches.ended() => return Err(error),
        () = async { tokio::join!(synced, cluster.guarded(Probe::Account)); } => {}
        () = stop.cancelled() => return Ok(()),
    }
    readiness.set();
    tracing::info!("ready");
    tokio::select! {
        result = server => result,
        result = health => result,
        error = watches.ended() => Err(error),
    }
}

fn routes(webhook: Arc<Webhook>) -> Router {
    let router = ADVISE.into_iter().fold(Router::new(), |router, (path, asked)| {
        router.route(path, post(async move |state, body| advise(path, asked, state, body).await))
    });
    router
        .route(MUTATE_PODS, post(mutate_pod))
        .route(VALIDATE_PODS, post(validate_pod))
        .route(MUTATE_IDENTITIES, post(mutate_identity))
        .route(VALIDATE_IDENTITIES, post(validate_identity))
        .route(VALIDATE_POLICIES, post(validate_policy))
        .route(VALIDATE_SESSIONS, post(validate_session))
        .route(WARN_PODS, post(warn_pod))
        .route(AUDIT_PODS, post(audit_pod))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(webhook.clone())
        .merge(health::routes(webhook.readiness.clone()))
}

async fn mutate_pod(State(webhook): State<Arc<Webhook>>, body: Bytes) -> Response {
    let step = Step::admission();
    answer(MUTATE_PODS, &body, &pods::SUBJECT, async |review| {
        let answer = webhook.mutate(review).await;
        trace(step, review, &answer);
        answer
    })
    .await
}

async fn validate_pod(State(webhook): State<Arc<Webhook>>, body: Bytes) -> Response {
    let admission = Admission::begin(VALIDATE_PODS);
    match Review::of_pod(&body, &pods::SUBJECT) {
        Ok((review, pod)) => said(admission, &review, webhook.validate(&review, pod).await),
        Err(error) => not_said(admission, error),
    }
}

async fn mutate_identity(State(webhook): State<Arc<Webhook>>, body: Bytes) -> Response {
    answer(MUTATE_IDENTITIES, &body, &identities::SUBJECT, async |review| webhook.stamp(review)).await
}

async fn validate_identity(State(webhook): State<Arc<Webhook>>, body: Bytes) -> Response {
    let decide = async |review: &Review<'_>| webhook.judge_identity(review).await;
    answer(VALIDATE_IDENTITIES, &body, &identities::SUBJECT, decide).await
}

async fn validate_policy(State(webhook): State<Arc<Webhook>>, body: Bytes) -> Response {
    answer(VALIDATE_POLICIES, &body, &policies::SUBJECT, async |review| webhook.judge_policy(review)).await
}

async fn validate_session(State(webhook): State<Arc<Webhook>>, body: Bytes) -> Response {
    let decide = async |review: &Review<'_>| webhook.judge_session(review).await;
    answer(VALIDATE_SESSIONS, &body, &sessions::SUBJECT, decide).await
}

async fn advise(
    path: &'static str,
    asked: Asked,
    State(webhook): State<Arc<Webhook>>,
    body: Bytes,
) -> Response {
    let advise = async |review: &Review<'_>| webhook.advise(review, asked).await;
    answer(path, &body, &advice::TEMPLATES, advise).await
}

async fn warn_pod(body: Bytes) -> Response {
    answer(WARN_PODS, &body, &pods::SUBJECT, async |review| advice::of_pod(review, true)).await
}

async fn audit_pod(body: Bytes) -> Response {
    answer(AUDIT_PODS, &body, &pods::SUBJECT, async |review| advice::of_pod(review, false)).await
}

/// Reads the review, has it decided, and counts what came of it.
async fn answer(
    path: &'static str,
    body: &[u8],
    subject: &Subject,
    decide: impl AsyncFnOnce(&Review<'_>) -> Answer,
) -> Response {
    let admission = Admission::begin(path);
    match Review::parse(body, subject) {
        Ok(review) => said(admission, &review, decide(&review).await),
        Err(error) => not_said(admission, error),
    }
}

fn said(admission: Admission, review: &Review<'_>, answer: Answer) -> Response {
    match answer.would_refuse {
        Some(code) => admission.would_refuse(code),
        None => admission.decided(answer.refusals.first().map(Refusal::code)),
    }
    answer.respond(review).into_response()
}

fn not_said(admission: Admission, error: String) -> Response {
    admission.malformed();
    (StatusCode::BAD_REQUEST, error).into_response()
}

/// The admission of a pod that has an account now, as the first step of its trace.
fn trace(step: Step, review: &Review<'_>, answer: &Answer) {
    let Some(account) = answer.account() else { return };
    let pod = review.request.object["metadata"]["name"].as_str();
    let identity = names::identity_of(account).unwrap_or_default();
    let namespace = &review.request.namespace;
    step.end(&Instance { namespace, identity, account, pod, pod_uid: None }, None);
}

#[cfg(test)]
mod behind;
#[cfg(test)]
mod corpus;

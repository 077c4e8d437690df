//! The proof that the policies of the chart are in force: a write that RBAC allows and they refuse.
//!
//! Our powers are as wide as RBAC spells them, and only a policy narrows them to what we do. So a
//! process asks for something that it never does, as a dry run, and starts when that is refused
//! in our own words. It is said of one API server at one moment, hence again every five minutes.

use super::{Cluster, Write, describe};
use crate::runtime::metrics::METRICS;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use perpro_core::names;
use std::time::{Duration, Instant};

/// First and longest wait until an unproven policy is asked again: the API server takes up to a
/// second to see a new one.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// How long an API server may take to see the policies of a fresh installation.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a proof is made again.
const AGAIN: Duration = Duration::from_secs(300);
/// The policy that holds our processes to their own writes, and how its refusals begin.
const POLICY: &str = "ValidatingAdmissionPolicy 'perpro-own-writes'";
const REFUSAL: &str = "denied request: AID086 ";

/// What a process could do by RBAC and never does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    /// Create a service account that says nothing of an identity. Webhook.
    Account,
    /// Create a RoleBinding that binds nobody. Controller.
    Binding,
}

/// Why a proof failed.
#[derive(Debug, PartialEq, Eq)]
enum Unproven {
    /// The API server would have done it.
    Unguarded,
    /// It said no, or nothing, for another reason.
    Unclear(String),
}

impl Cluster {
    /// Waits until the policies hold this process to its own writes, and keeps looking.
    pub(crate) async fn guarded(&self, probe: Probe) {
        let (started, mut wait) = (Instant::now(), RETRY[0]);
        while !self.prove(probe, started.elapsed()).await {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY[1]);
        }
        tracing::info!("the policies hold this process to its own writes");
        let cluster = self.clone();
        // Agents that run must not pay for it when somebody takes a policy away: it is only told.
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(AGAIN).await;
                cluster.prove(probe, AGAIN).await;
            }
        });
    }

    /// Whether the policies are in force, asked this long after the first time.
    async fn prove(&self, probe: Probe, since: Duration) -> bool {
        let verdict = verdict(self.probe(probe).await);
        METRICS.policy_proven.set([], f64::from(u8::from(verdict.is_ok())));
        let error = match verdict {
            Ok(()) => return true,
            Err(Unproven::Unguarded) => None,
            Err(Unproven::Unclear(error)) => Some(error),
        };
        match error {
            _ if !is_grave(since) => {
                tracing::warn!("waiting until the API server refuses by the policies of the chart");
            }
            None => tracing::error!(
                "no policy refuses what this process never does: perpro-own-writes or its binding is missing or was \
                 changed; \"perpro status\" says what, and how to restore it"
            ),
            Some(error) => {
                tracing::error!(error, "can't prove that the policies of the chart are in force");
            }
        }
        false
    }

    /// Asks for what must be refused, in the namespace where this process runs.
    async fn probe(&self, probe: Probe) -> kube::Result<()> {
        let metadata =
            ObjectMeta { name: Some(format!("{}probe", names::ACCOUNT_PREFIX)), ..ObjectMeta::default() };
        let params = PostParams { dry_run: true, ..PostParams::default() };
        match probe {
            Probe::Account => {
                let accounts = Api::<ServiceAccount>::default_namespaced(self.client());
                let object = ServiceAccount { metadata, ..ServiceAccount::default() };
                self.write(Write::Prove, accounts.create(&params, &object)).await.map(drop)
            }
            Probe::Binding => {
                let bindings = Api::<RoleBinding>::default_namespaced(self.client());
                let role_ref = RoleRef {
                    api_group: Some("rbac.authorization.k8s.io".to_owned()),
                    kind: "Role".to_owned(),
                    name: format!("{}probe", names::ACCOUNT_PREFIX),
                };
                let object = RoleBinding { metadata, role_ref, subjects: None };
                self.write(Write::Prove, bindings.create(&params, &object)).await.map(drop)
            }
        }
    }
}

/// Whether a proof that fails is a defect by now. API servers compile a new policy within some seconds.
fn is_grave(since: Duration) -> bool {
    since >= PATIENCE
}

/// Whether the answer is our policy's no. Another's no proves nothing, nor does a policy of ours
/// that is broken: it refuses everything, in other words.
fn verdict(answer: kube::Result<()>) -> Result<(), Unproven> {
    let error = match answer {
        Ok(()) => return Err(Unproven::Unguarded),
        Err(error) => error,
    };
    let causes = match &error {
        kube::Error::Api(status) => status.details.iter().flat_map(|d| &d.causes),
        _ => return Err(Unproven::Unclear(describe(&error))),
    };
    let ours = |message: &str| message.starts_with(POLICY) && message.contains(REFUSAL);
    if causes.map(|c| c.message.as_str()).any(ours) {
        return Ok(());
    }
    Err(Unproven::Unclear(describe(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use serde_json::json;

    fn refused(code: u16, message: &str, cause: Option<&str>) -> kube::Result<()> {
        let causes: Vec<_> = cause.iter().map(|c| json!({ "message": c })).collect();
        let status = json!({
            "status": "Failure", "code": code, "message": message, "reason": "Forbidden",
            "details": { "causes": causes }
        });
        Err(kube::Error::Api(serde_json::from_value::<Status>(status).unwrap().boxed()))
    }

    #[test]
    fn only_our_own_words_are_a_proof() {
        let policy =
            "ValidatingAdmissionPolicy 'perpro-own-writes' with binding 'perpro-own-writes' denied request: ";
        let said = |what: &str| format!("{policy}{what}");
        let proof = said("AID086 CREATE serviceaccounts: make this write as yourself");
        assert_eq!(verdict(refused(403, &proof, Some(&proof))), Ok(()));

        let rbac = "serviceaccounts is forbidden: User \"x\" cannot create resource";
        let webhook = "admission webhook \"x\" denied the request: AID086 no";
        let broken = said("expression 'variables.agent' resulted in error: no such key: agent");
        let other = "ValidatingAdmissionPolicy 'theirs' with binding 'theirs' denied request: AID086 no";
        for (message, cause) in
            [(rbac, None), (webhook, None), (&*broken, Some(&*broken)), (other, Some(other)), (&*proof, None)]
        {
            let unclear = Err(Unproven::Unclear(message.to_owned()));
            assert_eq!(verdict(refused(403, message, cause)), unclear);
        }
    }

    #[test]
    fn a_policy_that_is_new_has_time_and_one_that_went_away_has_none() {
        assert!(!is_grave(Duration::ZERO) && !is_grave(RETRY[0] + RETRY[0] * 2 + RETRY[0] * 4));
        assert!(is_grave(RETRY[1]) && is_grave(AGAIN));
    }

    #[test]
    fn an_answer_without_a_no_says_that_nothing_guards_us() {
        assert_eq!(verdict(Ok(())), Err(Unproven::Unguarded));
    }
}

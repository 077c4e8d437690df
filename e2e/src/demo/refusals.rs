//! Steps 3 and 4: what the API server says to pods that no identity covers.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::{Api, Error, ResourceExt};

use super::agents::READER;
use super::story::Story;
use super::{Stage, examples};

/// Tells steps 3 and 4.
pub(crate) async fn come_with_a_reason(stage: &Stage<'_>, story: &mut Story) -> Result<()> {
    let accounts = accounts(stage).await?;
    let told = refusal(stage, "no-identity.yaml", "AID001").await?;
    story.step("A pod without an identity", &told);
    let told = refusal(stage, "unlisted-secret.yaml", "AID021").await?;
    story.step("A pod takes an unlisted Secret", &told);
    let new: Vec<_> = self::accounts(stage).await?.difference(&accounts).cloned().collect();
    ensure!(new.is_empty(), "refused pods left accounts behind: {new:?}");
    story.and("and leaves nothing behind", "no pod, no account");
    Ok(())
}

/// Creates a pod that must be refused with `code`, and returns the message.
async fn refusal(stage: &Stage<'_>, file: &str, code: &str) -> Result<String> {
    let pod = examples::refused(file)?;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), READER.namespace);
    let status = match pods.create(&PostParams::default(), &pod).await {
        Err(Error::Api(status)) => status,
        Err(error) => return Err(error).context(format!("no answer to {file}")),
        Ok(_) => bail!("{file} was admitted, not refused with {code}"),
    };
    let reason = reason(&status.message, code);
    let reason = reason.filter(|_| status.code == 403);
    let told = reason.with_context(|| {
        format!("{file} was refused with {} {:?}, not with 403 {code}", status.code, status.message)
    })?;
    ensure!(pods.get_opt(&pod.name_any()).await?.is_none(), "{file} was refused, and the pod is there");
    Ok(format!("refused {code}  {told}"))
}

/// What follows the code, without the path of the field: "... AID001 spec.x: say this" gives "say this".
fn reason<'a>(message: &'a str, code: &str) -> Option<&'a str> {
    let (_, refusal) = message.split_once(&format!("{code} "))?;
    Some(refusal.split_once(": ").map_or(refusal, |(_, reason)| reason))
}

async fn accounts(stage: &Stage<'_>) -> Result<BTreeSet<String>> {
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), READER.namespace);
    Ok(accounts.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_follows_the_code_and_the_path() {
        let message =
            "admission webhook \"x\" denied the request: AID021 spec.containers[0].env[0]: Secret \"a\": b";
        assert_eq!(reason(message, "AID021"), Some("Secret \"a\": b"));
        assert_eq!(reason(message, "AID001"), None);
    }
}

//! What to know before the changed workload is applied.

use super::target::Target;
use crate::manifest::Object;

/// Marks by which tools know what they keep as it is somewhere else; of Flux first, whose charts are Helm's too.
const KEEPERS: [(&str, &str, &str); 5] = [
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "argocd.argoproj.io/instance", "Argo CD"),
    ("annotations", "meta.helm.sh/release-name", "Helm"),
];

/// What to do where an apply alone is not enough.
pub(super) fn told(target: &Target, object: &Object, namespace: &str) -> Vec<String> {
    let by_kind = match target.kind.kind {
        "Pod" | "Job" => Some(format!(
            "a {} can't be changed in place: end the old one first (kubectl delete {target} -n {namespace})",
            target.kind.one
        )),
        "ReplicaSet" => Some(format!("{target} makes new pods only when old ones are deleted")),
        "CronJob" => Some(format!("{target} runs under its identity from its next run on")),
        _ => None,
    };
    let is_kept = |(map, mark, _): &&(&str, &str, &str)| object.node.at(&["metadata", *map, *mark]).is_some();
    let kept = KEEPERS.iter().find(is_kept).map(|(_, _, tool)| {
        format!("{target} is kept by {tool}: make the same change where that reads it, or it is undone")
    });
    by_kind.into_iter().chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::read;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::nobody("Deployment", json!({}), &[])]
    #[case::helm("Deployment", json!({"annotations": {"meta.helm.sh/release-name": "r"}}), &["is kept by Helm"])]
    #[case::flux("Deployment", json!({"labels": {"helm.toolkit.fluxcd.io/name": "r"}, "annotations": {"meta.helm.sh/release-name": "r"}}), &["is kept by Flux"])]
    #[case::argo("DaemonSet", json!({"annotations": {"argocd.argoproj.io/tracking-id": "r"}}), &["is kept by Argo CD"])]
    #[case::replica_set("ReplicaSet", json!({}), &["makes new pods only when old ones are deleted"])]
    fn who_would_undo_it_is_told(#[case] kind: &str, #[case] metadata: Value, #[case] expected: &[&str]) {
        let mut object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata});
        object["metadata"]["name"] = json!("x");
        let object = read(object.to_string().as_bytes()).objects.remove(0);
        let told = told(&Target::of(&object).unwrap(), &object, "ns");
        assert_eq!(told.len(), expected.len(), "{told:?}");
        assert!(told.iter().zip(expected).all(|(told, expected)| told.contains(expected)), "{told:?}");
    }
}

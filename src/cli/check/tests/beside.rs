//! What is no agent, and concerns agents all the same.

use super::*;

#[test]
fn a_pod_without_identity_that_names_an_agents_secret_is_warned_of() {
    let owner = format!("{IDENTITY}  secrets:\n  - {{name: llm-keys, rotateBy: \"2027-01-01T00:00:00Z\"}}\n");
    let plain = DEPLOYMENT.replace("perpro.dev/identity: feedback-reader", "app: a");
    let of = |namespace: &str, plain: &str| found(&[("id.yaml", &owner), ("d.yaml", plain)], namespace, None);
    assert_eq!(of("default", &plain), [vec![], vec![("AID096".to_owned(), 16)]]);
    let elsewhere = plain.replace("metadata:\n  name", "metadata:\n  namespace: other\n  name");
    assert_eq!(of("default", &elsewhere), [vec![], vec![]]);
    assert_eq!(of("kube-system", &plain), [vec![], vec![]]);
    let own = plain.replace("llm-keys", "other");
    assert_eq!(of("default", &own), [vec![], vec![]]);
    let told = told(&[("id.yaml", &owner), ("d.yaml", &plain)]);
    assert!(
        told.contains("d.yaml:16  AID096  warning: use another Secret than \"llm-keys\", or run this pod under AgentIdentity \"feedback-reader\""),
        "{told}"
    );
}

#[test]
fn a_secret_for_a_token_is_told_where_its_namespace_is_governed_and_never_shown() {
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: t, annotations: {kubernetes.io/service-account.name: ACCOUNT}}, \
        type: kubernetes.io/service-account-token, data: {token: aHVzaA==}}\n";
    let of = |account: &str, enforce| {
        found(&[("s.yaml", &secret.replace("ACCOUNT", account))], "default", enforce)
    };
    let told_of = vec![("AID088".to_owned(), 1)];
    assert_eq!(of("build", Some(Governance::Agents)), [told_of.clone(), vec![]]);
    // Nobody says that it is governed.
    assert_eq!(of("build", None), [vec![], told_of.clone()]);
    assert_eq!(of("aid-bot-k3x9q2m7fa", None), [told_of, vec![]]);
    let told = told(&[("s.yaml", secret)]);
    assert!(told.contains("AID088") && !told.contains("aHVzaA"), "{told}");
    let other = secret.replace("kubernetes.io/service-account-token", "Opaque");
    assert_eq!(found(&[("s.yaml", &other)], "default", None), [vec![], vec![]]);
}

//! What is no agent, and concerns agents all the same.

use super::*;

/// What [`IDENTITY`] owns.
const SECRETS: &str = "  secrets:\n  - {name: llm-keys, rotateBy: \"2027-01-01T00:00:00Z\"}\n";

#[test]
fn a_pod_without_identity_that_names_an_agents_secret_is_warned_of() {
    let owner = format!("{IDENTITY}{SECRETS}");
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

#[test]
fn a_key_that_a_secret_among_the_files_does_not_have_is_warned_of() {
    let keys =
        "  containers:\n  - name: agent\n    secretKeys:\n    - {secret: llm-keys, key: apikey, env: KEY}\n";
    let identity = format!("{IDENTITY}{SECRETS}{keys}");
    let secret = |namespace: &str, data: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: llm-keys, namespace: {namespace}}}\n{data}\n"
        )
    };
    let of = |secret: &str| found(&[("id.yaml", &identity), ("s.yaml", secret)], "default", None);
    let warned = [vec![], vec![("AID067".to_owned(), 13)]];
    let wrong = secret("default", "data: {api-key: aHVzaA==}\nstringData: {other: hush}");
    assert_eq!(of(&wrong), warned);
    assert_eq!(of(&secret("default", "stringData: {apikey: hush}")), [vec![], vec![]]);
    assert_eq!(of(&secret("elsewhere", "data: {api-key: aHVzaA==}")), [vec![], vec![]]);
    // Somebody else fills it.
    assert_eq!(of(&secret("default", "data: {}")), [vec![], vec![]]);
    let patched = secret("default", "data: {api-key: aHVzaA==}")
        + "---\n"
        + &secret("default", "data: {apikey: aHVzaA==}");
    assert_eq!(of(&patched), [vec![], vec![]]);
    let told = told(&[("id.yaml", &identity), ("s.yaml", &wrong)]);
    let words = "warning: name a key that Secret \"llm-keys\" has, or add \"apikey\" to it: it has \"api-key\", \"other\"";
    assert!(told.contains(words) && !told.contains("hush") && !told.contains("aHVzaA"), "{told}");
}

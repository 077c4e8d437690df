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

#[rstest]
#[case::identity("perpro.dev/identity: feedback-reader", vec![("AID068".to_owned(), 6)])]
#[case::agent("perpro.dev/agent: \"true\"", vec![("AID068".to_owned(), 6)])]
#[case::none("perpro.dev/agent: \"false\"", vec![])]
#[case::other("app: a", vec![])]
fn a_label_on_the_workload_alone_is_warned_of(#[case] label: &str, #[case] expected: Vec<(String, u32)>) {
    let plain =
        DEPLOYMENT.replace("perpro.dev/identity: feedback-reader", "app: a").replace("hostPID: true", "");
    let labelled = |text: &str| {
        text.replace("  name: feedback-reader\n", &format!("  name: x\n  labels: {{{label}}}\n"))
    };
    let of = |text: &str, enforce| found(&[("id.yaml", IDENTITY), ("d.yaml", text)], "default", enforce);
    assert_eq!(of(&labelled(&plain), None), [vec![], expected.clone()]);
    let [refused, warned] = of(&labelled(&plain), Some(Governance::All));
    assert_eq!((refused[0].0.as_str(), warned), ("AID001", expected));
    // The kinds of others may give it to their pods.
    let sandbox =
        labelled(&plain).replace("apps/v1", "agents.x-k8s.io/v1alpha1").replace("Deployment", "Sandbox");
    assert_eq!(of(&sandbox, None), [vec![], vec![]]);
    // Both say it, as charts have it.
    let good = DEPLOYMENT.replace("hostPID: true", "").replace("envFrom:", "x-envFrom:");
    assert!(of(&labelled(&good), None)[1].iter().all(|w| w.0 != "AID068"));
}

#[test]
fn a_cronjob_has_two_places_that_are_not_its_pods() {
    let cron = |at: &str| {
        let labels = "metadata: {labels: {perpro.dev/identity: bot}}, ";
        let on = |here: &str| if at == here { labels } else { "" };
        format!(
            "apiVersion: batch/v1\nkind: CronJob\n{}spec: {{schedule: x, jobTemplate: {{{}spec: {{template: \
             {{spec: {{containers: [{{name: agent, image: i}}]}}}}}}}}}}\n",
            on("cron").replace(", ", "\n"),
            on("job")
        )
    };
    for (at, path) in [("cron", "metadata.labels"), ("job", "spec.jobTemplate.metadata.labels")] {
        let input = input(&[("c.yaml", &cron(at))]);
        let report = judge(&input, &Facts::default(), "default", None, now());
        let found: Vec<_> =
            report.findings.iter().map(|f| (f.refusal.code(), f.refusal.path.as_str())).collect();
        let path = format!("{path}[perpro.dev/identity]");
        assert_eq!(found, [("AID068", path.as_str())], "{}", cron(at));
    }
    assert_eq!(found(&[("c.yaml", &cron("nowhere"))], "default", None), [vec![], vec![]]);
}

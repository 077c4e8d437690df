//! Objects that others carry: to another cluster, or to be made of parameters.

use super::*;

const WORK: &str = "\
apiVersion: work.open-cluster-management.io/v1
kind: ManifestWork
metadata: {name: w, namespace: cluster1}
spec:
  workload:
    manifests:
    - apiVersion: perpro.dev/v1alpha1
      kind: AgentIdentity
      metadata: {name: bot, namespace: support}
      spec: {owner: {kind: User, name: jane@example.com}, expiresAt: \"2027-06-30T00:00:00Z\", justification: Reads feedback.}
    - apiVersion: v1
      kind: Pod
      metadata: {name: p, namespace: support, labels: {perpro.dev/identity: bot}}
      spec: {hostPID: true, containers: [{name: a, image: i}]}
    - apiVersion: other.example.com/v1
      kind: Bundle
      metadata: {name: b}
      spec:
        objects:
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: d}
          spec:
            template:
              metadata: {labels: {perpro.dev/identity: bot}}
              spec: {containers: [{name: a, image: i}]}
";

#[test]
fn an_object_in_another_is_one_of_its_own_namespace() {
    let input = input(&[("w.yaml", WORK)]);
    let report = judge(&input, &Facts::default(), "default", None, now());
    let told: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.refusal.code(), f.lines.first, f.refusal.path.as_str(), f.object.namespace.as_str()))
        .collect();
    let below =
        "spec.workload.manifests[2].spec.objects[0].spec.template.metadata.labels[perpro.dev/identity]";
    assert_eq!(
        told,
        [
            ("AID004", 14, "spec.workload.manifests[1].spec.hostPID", "support"),
            // It has no namespace of its own, so it goes to that of what carries it.
            ("AID002", 25, below, "cluster1"),
        ]
    );
    assert_eq!((report.pods, report.agents), (2, 2));
}

const PARAMETERS: &str = "\
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: g}
spec:
  resources:
  - id: d
    template:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: \"${schema.spec.name}\"}
      spec:
        replicas: ${schema.spec.replicas}
        template:
          metadata: {labels: {perpro.dev/identity: bot}}
          spec:
            containers:
            - name: a
              image: ${schema.spec.image}
              ports: [{containerPort: \"${schema.spec.port}\"}]
              envFrom: [{secretRef: {name: s}}]
            hostPID: ${schema.spec.debug}
";

#[test]
fn a_parameter_where_a_number_goes_hides_nothing_else() {
    let expected = [vec![("AID012", 20)], vec![("AID028", 19), ("AID028", 21)]]
        .map(|of| of.into_iter().map(|(code, line)| (code.to_owned(), line)).collect::<Vec<_>>());
    assert_eq!(found(&[("g.yaml", PARAMETERS)], "default", None), expected);
    let named = PARAMETERS.replace("identity: bot", "identity: \"${schema.spec.identity}\"");
    let [refused, warned] = found(&[("g.yaml", &named)], "default", None);
    assert_eq!((refused, &warned[0]), (expected[0].clone(), &("AID002".to_owned(), 14)));
    // What is wrong otherwise is wrong.
    let wrong = PARAMETERS.replace("${schema.spec.port}", "http");
    assert_eq!(found(&[("g.yaml", &wrong)], "default", None)[0], [("AID028".to_owned(), 19)]);
}

#[test]
fn a_parameter_in_a_manifest_of_its_own_is_only_warned_of_too() {
    let identity = format!("{IDENTITY}  containers: [{{name: agent, images: [ghcr.io/acme/]}}]\n");
    let filled = DEPLOYMENT
        .replace("image: agent:1", "image: ${REGISTRY}/agent:1\n        ports: [{containerPort: $PORT}]")
        .replace("hostPID: true", "hostPID: ${DEBUG}");
    let of = |deployment: &str| found(&[("id.yaml", &identity), ("d.yaml", deployment)], "default", None);
    let told = |codes: &[(&str, u32)]| codes.iter().map(|(c, l)| ((*c).to_owned(), *l)).collect::<Vec<_>>();
    let expected = [told(&[("AID012", 17)]), told(&[("AID020", 14), ("AID028", 15), ("AID028", 18)])];
    assert_eq!(of(&filled), expected);
    let elsewhere = filled.replace("metadata:\n  name", "metadata:\n  namespace: ${NAMESPACE}\n  name");
    assert_eq!(of(&elsewhere)[0], told(&[("AID012", 18)]));
    // What Kubernetes fills in itself is what will stand there, and no value makes a field right that nobody knows.
    let kept =
        filled.replace("${REGISTRY}/", "$(REGISTRY)/").replace("image:", "vault: ${ROLE}\n        image:");
    let [refused, _] = of(&kept);
    assert_eq!(refused, told(&[("AID014", 14), ("AID020", 15), ("AID012", 18)]));
}

#[rstest]
#[case::of_openshift("v1", "Template", "objects")]
#[case::of_another("kustomize.toolkit.fluxcd.io/v1", "Bundle", "spec")]
fn a_carrier_need_not_have_a_group_of_its_own(#[case] version: &str, #[case] kind: &str, #[case] list: &str) {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {perpro.dev/identity: bot}}, spec: {hostPID: true, containers: [{name: a, image: i}]}}";
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: s, annotations: {kubernetes.io/service-account.name: aid-x}}, type: kubernetes.io/service-account-token}";
    let text =
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: t}}\n{list}:\n- {pod}\n- {secret}\n");
    let expected = [("AID004".to_owned(), 5), ("AID088".to_owned(), 6)];
    assert_eq!(found(&[("t.yaml", &text)], "default", None)[0], expected);
}

#[test]
fn a_container_of_knative_without_a_name_has_the_one_that_knative_gives_it() {
    let service = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: s}\nspec:\n  template:\n    metadata: {labels: {perpro.dev/identity: feedback-reader}}\n    \
        spec:\n      containers:\n      - image: agent:1\n        envFrom: [{secretRef: {name: llm-keys}}]\n";
    let told = told(&[("id.yaml", IDENTITY), ("s.yaml", service)]);
    assert!(
        told.starts_with("s.yaml:10  AID012  container \"user-container\" takes all of Secret \"llm-keys\""),
        "{told}"
    );
}

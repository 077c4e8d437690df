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

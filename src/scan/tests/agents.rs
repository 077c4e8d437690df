use super::*;
use crate::scan::agents::Certainty;
use rstest::rstest;

fn known(pod: Value) -> Option<(Certainty, String)> {
    let report = Scene::default().pod(pod).report();
    report.agents.first().map(|a| (a.certainty, a.why.clone()))
}

#[rstest]
#[case::ours(json!({"labels": {"perpro.dev/agent": "true"}}), Certainty::Declared)]
#[case::our_identity(json!({"labels": {"perpro.dev/identity": "bot"}}), Certainty::Declared)]
#[case::sandbox(json!({"labels": {"agents.x-k8s.io/sandbox-name-hash": "1"}}), Certainty::Marked)]
#[case::rossoctl(json!({"labels": {"rossoctl.io/type": "agent"}}), Certainty::Marked)]
#[case::kagenti(json!({"labels": {"kagenti.io/type": "tool"}}), Certainty::Marked)]
#[case::a2a(json!({"labels": {"protocol.rossoctl.io/a2a": ""}}), Certainty::Marked)]
#[case::openshell(json!({"annotations": {"openshell.io/sandbox-id": "1"}}), Certainty::Marked)]
#[case::toolhive(json!({"labels": {"toolhive": "true"}}), Certainty::Marked)]
#[case::kagent(json!({"labels": {"app.kubernetes.io/managed-by": "kagent"}}), Certainty::Marked)]
#[case::kruise(json!({"annotations": {"security.agents.kruise.io/agent-name": "x"}}), Certainty::Marked)]
#[case::component(json!({"labels": {"app.kubernetes.io/component": "agent", "app.kubernetes.io/name": "feedback"}}), Certainty::Named)]
#[case::a_sandbox_made_it(json!({"ownerReferences": [{"apiVersion": "agents.x-k8s.io/v1alpha1", "kind": "Sandbox", "name": "s", "controller": true, "uid": "u"}]}), Certainty::Marked)]
fn an_agent_is_known_by_what_its_platform_marks(#[case] metadata: Value, #[case] expected: Certainty) {
    let mut metadata = metadata;
    metadata["name"] = json!("web");
    assert_eq!(known(json!({"metadata": metadata, "spec": {}})).map(|(c, _)| c), Some(expected));
}

#[rstest]
#[case(json!({"labels": {"perpro.dev/agent": "false"}}))]
#[case(json!({"labels": {"rossoctl.io/type": "gateway"}}))]
#[case(json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}))]
#[case(json!({"labels": {"app.kubernetes.io/component": "agent", "app.kubernetes.io/name": "datadog"}}))]
#[case(json!({"labels": {"app.kubernetes.io/component": "agent"}, "namespace": "velero", "name": "node"}))]
#[case(json!({"name": "node-agent"}))]
#[case(json!({"name": "mcp", "namespace": "kube-system"}))]
fn others_are_not_accused(#[case] metadata: Value) {
    let mut metadata = metadata;
    if metadata["name"].is_null() {
        metadata["name"] = json!("web");
    }
    assert_eq!(known(json!({"metadata": metadata, "spec": {}})), None);
}

#[rstest]
#[case(container(&json!({"env": [{"name": "OPENAI_API_KEY"}]})), Some("variable OPENAI_API_KEY"))]
#[case(container(&json!({"env": [{"name": "HF_TOKEN"}]})), Some("variable HF_TOKEN"))]
#[case(container(&json!({"env": [{"name": "HF_TOKEN"}], "resources": {"limits": {"nvidia.com/gpu": "1"}}})), None)]
#[case(container(&json!({"env": [{"name": "HF_TOKEN"}], "resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}})), None)]
#[case(container(&json!({"env": [{"name": "HF_TOKEN"}], "resources": {"limits": {"google.com/tpu": "4"}}})), None)]
#[case(container(&json!({"env": [{"name": "HF_TOKEN"}], "image": "ghcr.io/huggingface/text-embeddings-inference:cpu-1.8"})), None)]
#[case(container(&json!({"env": [{"name": "HF_TOKEN"}, {"name": "LLM_URL"}]})), Some("variable LLM_URL"))]
#[case(container(&json!({"env": [{"name": "LANGSMITH_API_KEY"}]})), Some("variable LANGSMITH_API_KEY"))]
#[case(container(&json!({"env": [{"name": "LANGGRAPH_CLOUD_LICENSE_KEY"}]})), Some("variable LANGGRAPH_CLOUD_LICENSE_KEY"))]
#[case(container(&json!({"env": [{"name": "CLAUDE_CODE_OAUTH_TOKEN"}]})), Some("variable CLAUDE_CODE_OAUTH_TOKEN"))]
#[case(container(&json!({"env": [{"name": "OLLAMA_BASE_URL"}]})), Some("variable OLLAMA_BASE_URL"))]
#[case(container(&json!({"env": [{"name": "OLLAMA_HOST"}], "image": "ollama/ollama:latest"})), None)]
#[case(container(&json!({"image": "ghcr.io/openclaw/openclaw:latest"})), Some("image ghcr.io/openclaw/openclaw:latest"))]
#[case(container(&json!({"image": "ghcr.io/k8sgpt-ai/k8sgpt@sha256:0"})), Some("image ghcr.io/k8sgpt-ai/k8sgpt@sha256:0"))]
#[case(container(&json!({"image": "ghcr.io/k8sgpt-ai/k8sgpt-operator:v1"})), None)]
#[case(container(&json!({"image": "langflowai/langflow-backend:1.5.0"})), Some("image langflowai/langflow-backend:1.5.0"))]
#[case(container(&json!({"image": "langflowai/langflow-frontend:1.5.0"})), None)]
#[case(container(&json!({"env": [{"name": "HF_HOME"}]})), None)]
#[case(container(&json!({"env": [{"name": "MY_LLM_KEY"}]})), None)]
#[case(container(&json!({"image": "ghcr.io/acme/agent:1"})), Some("image ghcr.io/acme/agent:1"))]
#[case(container(&json!({"image": "datadog/agent:7"})), None)]
#[case(json!({"containers": [{"name": "web"}, {"name": "github-mcp"}]}), Some("container github-mcp"))]
#[case(json!({"containers": [{"name": "web"}, {"name": "vault-agent"}]}), None)]
fn an_agent_is_known_by_the_model_that_it_calls_or_the_protocol_that_it_speaks(
    #[case] spec: Value,
    #[case] expected: Option<&str>,
) {
    let found = known(json!({"metadata": {"name": "web"}, "spec": spec})).map(|(_, why)| why);
    assert_eq!(found.as_deref(), expected);
}

#[test]
fn a_store_beside_an_agent_is_none_though_it_is_called_after_it() {
    let called = |image: &str| json!({"metadata": {"name": "x-mcp-stack"}, "spec": container(&json!({"image": image}))});
    assert_eq!(known(called("postgres:17")), None);
    assert_eq!(known(called("dpage/pgadmin4")), None);
    assert!(known(called("mcp/grafana")).is_some() && known(called("ghcr.io/acme/web")).is_some());
}

#[test]
fn what_runs_on_every_node_is_no_agent_by_its_name() {
    let metadata = json!({"name": "acme-agent-x", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "acme-agent", "controller": true, "uid": "u"}]});
    assert_eq!(known(json!({"metadata": metadata, "spec": {}})), None);
    assert!(known(json!({"metadata": {"name": "acme-agent"}, "spec": {}})).is_some());
}

#[test]
fn what_is_over_is_not_counted_and_what_cannot_be_read_is_told() {
    let over = json!({"metadata": {"name": "agent"}, "spec": {}, "status": {"phase": "Succeeded"}});
    let report = Scene::default().pod(over).report();
    assert_eq!((report.pods, report.agents.len()), (0, 0));
    let mut scene = Scene::default();
    scene.0.pod(r#"{"metadata": {"namespace": "ns", "name": "odd"}, "spec": {"containers": 7}}"#);
    let gaps = scene.report().gaps;
    assert!(gaps.len() == 1 && gaps[0].starts_with("pod ns/odd could not be read: "), "{gaps:?}");
}

#[test]
fn a_cron_job_is_judged_between_its_runs_too() {
    let job = |suspend: bool| {
        json!({"metadata": {"namespace": "ns", "name": "nightly-agent", "annotations": {"a8r.io/owner": "x"}},
        "spec": {"suspend": suspend, "jobTemplate": {"spec": {"template": {"spec": {"serviceAccountName": "n", "containers": [{"name": "a"}]}}}}}})
    };
    let take: fn(&mut Listing, &Value) = |l, o| l.workload("CronJob", o);
    let report = Scene::default().with(take, job(false)).report();
    assert_eq!((report.agents.len(), report.pods, report.unowned), (1, 0, 0));
    assert_eq!(report.rows[2].agents, 1, "its pods will get the usual token");
    let account =
        json!({"metadata": {"namespace": "ns", "name": "n"}, "automountServiceAccountToken": false});
    let report = Scene::default().with(Listing::account, account).with(take, job(false)).report();
    assert_eq!((report.rows[2].agents, report.unused.len()), (0, 0));
    assert_eq!(Scene::default().with(take, job(true)).report().agents.len(), 0);
}

//! What a name says: is that an AI agent, or one of the many other programs that are called agents?

/// Protocols that only agents and their tools speak.
const PROTOCOLS: &str = "mcp a2a";

/// What makes agents, routes to them or lets them in, and is none itself.
const MACHINERY: &str = "operator controller manager injector webhook exporter collector installer updater migration \
    migrations crds";

/// Whose agents look after nodes, networks, logs, builds: the word right before "agent". Vendors and tasks.
const INFRASTRUCTURE: &str = "agones alloy amazon ama ansible antrea apm appdynamics aqua arc argo argocd automation aws azp azure \
    backup bamboo beyla bgp bmc build builder buildkite calico cassandra castai cattle cd ceph cf checkmk \
    chef ci cilium circleci clearml cloudability cloudbees cloudwatch cluster clusterconnect clusternet \
    cni codefresh collector config connect connector consul container controlplane coralogix crowdstrike \
    csi dagster datadog datadoghq dbt dcgm dd deploy deployment determined device devops dhcp discovery \
    disk dns docker drone dynatrace eks elastic env0 eni falcon firewall fivetran fleet flink fluent \
    fluentbit fluentd flux gitlab gitops gke glpi gocd gpg gpu grafana groundcover guardduty guest \
    hardware harness health host icinga identity inbound infra infrastructure ingress instana inventory \
    ip ipam ipmi istio jaeger jenkins jnlp k3s k8s karmada kas klusterlet komodor konnectivity kube \
    kubecost kubernetes kubescape l3 lacework launch lighthouse linkerd log logdna logging logs loki \
    longhorn machine mail masq mesh metadata metric metrics mezmo mongodb monitor monitoring mongot \
    netbird netdata network neutron newrelic ngrok node nomad observability octopus oneagent \
    opentelemetry ossec otel ovn ovs parca patch perf pingcap pipelines pmm polyaxon portworx prefect \
    probe process profiler profiling prometheus proxy puppet pyroscope qemu qualys rancher registration \
    replication rke2 robusta runner salt scalr scalyr scanner security semaphore sensor sentinel \
    sentinelone signalfx snmp snyk spacelift spiffe spire splunk spot sriov ssh ssm storage stormforge \
    sumologic sync sysdig system tailscale teamcity telemetry teleport terraform tetragon tfc trace \
    tracing transfer trivy tunnel turbonomic update upgrade user vault vc velero victoria vm volcano volume vpc \
    vsts wazuh woodpecker work xray zabbix";

/// What stands beside agents and is none, whatever release it is called after: stores, proxies, dashboards. The first word
/// of an image's last part.
const COMPANIONS: &str = "busybox caddy chroma clickhouse cloudflared coredns elasticsearch envoy etcd grafana haproxy jaeger \
    kafka keycloak loki mariadb memcached milvus minio mongo mongodb mysql nats neo4j nginx oauth2 \
    openfga opensearch otel pgadmin pgadmin4 pgbouncer pgvector phpmyadmin postgres postgresql \
    prometheus qdrant rabbitmq redis traefik valkey weaviate zookeeper";

/// Programs that are agents, or what people build agents with, by the last part of an image.
const PROGRAMS: &str = "autogenstudio claude-code dify-api flowise holmes holmesgpt k8sgpt \
    langflow langflow-backend langgraph-api librechat moltbot obot open-webui openclaw opencode openhands";

/// Those that run a model themselves.
const MODEL_SERVERS: &str = "llama.cpp ollama sglang text-embeddings-inference text-generation-inference tgi tritonserver vllm \
    vllm-openai";

/// Whether an image is of something that stands beside agents.
pub(super) fn is_companion(image: &str) -> bool {
    words(last_part(image)).next().is_some_and(|w| is_in(w, COMPANIONS))
}

/// Whether an image is of a program that is known as an agent.
pub(super) fn is_program(image: &str) -> bool {
    is_in(last_part(image), PROGRAMS)
}

/// Whether an image is of a program that runs a model.
pub(super) fn is_model_server(image: &str) -> bool {
    is_in(last_part(image), MODEL_SERVERS)
}

/// What it is called in its registry, without tag and digest.
fn last_part(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// The word of a workload's name by which it is an agent.
///
/// `before`: what the name stands in, a namespace or the folder of an image; where the name begins with "agent", it says
/// whose.
pub(super) fn agent_in_name<'a>(name: &'a str, before: &str) -> Option<&'a str> {
    let words: Vec<_> = words(name).collect();
    if words.iter().any(|w| is_in(w, MACHINERY)) {
        return None;
    }
    if let Some(protocol) = words.iter().find(|w| is_in(w, PROTOCOLS)) {
        return Some(protocol);
    }
    let (at, agent) = words.iter().enumerate().find(|(_, w)| is_in(w, "agent agents"))?;
    let others = match at.checked_sub(1) {
        Some(before) => is_in(words[before], INFRASTRUCTURE),
        None => self::words(before).any(|w| is_in(w, INFRASTRUCTURE)),
    };
    (!others).then_some(agent)
}

/// The same of an image: its last part, and the folder that this is in.
pub(super) fn agent_in_image(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or_default();
    let (folders, last) = image.rsplit_once('/').unwrap_or(("", image));
    let last = last.split(':').next().unwrap_or_default();
    let folder = folders.rsplit('/').next().unwrap_or_default();
    // Without a dot or a port it is a folder, not a registry.
    let folder = if folder.contains(['.', ':']) { "" } else { folder };
    let in_folder = || words(folder).find(|w| is_in(w, PROTOCOLS));
    agent_in_name(last, folder).or_else(in_folder)
}

/// Whether a container's name says that it speaks such a protocol. "agent" alone says nothing there: injected sidecars
/// are called so.
pub(super) fn protocol_in(name: &str) -> Option<&str> {
    words(name).find(|w| is_in(w, PROTOCOLS))
}

/// `list`: words apart by spaces, in small letters.
fn is_in(word: &str, list: &str) -> bool {
    list.split_ascii_whitespace().any(|l| word.eq_ignore_ascii_case(l))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("feedback-agent", "support")]
    #[case("agent", "support")]
    #[case("agent-runtime", "ai")]
    #[case("elastic-search-agent", "ai")]
    #[case("datadog-incident-agent", "ai")]
    #[case("github-mcp-server", "tools")]
    #[case("mcp-grafana", "monitoring")]
    #[case("a2a-bridge", "x")]
    #[case("Research_Agents", "x")]
    fn an_agent_is_known_by_a_whole_word_of_its_name(#[case] name: &str, #[case] namespace: &str) {
        assert!(agent_in_name(name, namespace).is_some());
    }

    #[rstest]
    #[case("node-agent", "velero")]
    #[case("datadog-agent", "x")]
    #[case("datadog-cluster-agent", "x")]
    #[case("vault-agent", "x")]
    #[case("vault-agent-injector", "x")]
    #[case("konnectivity-agent", "x")]
    #[case("user-agent", "x")]
    #[case("argo-cd-agent-principal", "argocd")]
    #[case("user-agent-parser", "x")]
    #[case("agent", "datadog")]
    #[case("agent-operator", "x")]
    #[case("toolhive-mcp-operator", "x")]
    #[case("eks-pod-identity-agent", "x")]
    #[case("azure-ip-masq-agent", "x")]
    #[case("volcano-agent-scheduler", "x")]
    #[case("vc-agent", "x")]
    #[case("magenta", "x")]
    #[case("reagent-store", "x")]
    #[case("agentic", "x")]
    #[case("tcmcp", "x")]
    #[case("", "")]
    fn other_programs_that_are_called_agents_are_none(#[case] name: &str, #[case] namespace: &str) {
        assert_eq!(agent_in_name(name, namespace), None);
    }

    #[rstest]
    #[case("docker.io/library/postgres:17", true)]
    #[case("rediscommander/redis-commander", true)]
    #[case("dpage/pgadmin4:latest@sha256:0", true)]
    #[case("grafana/mcp-grafana", false)]
    #[case("acme/postgresmith", false)]
    fn a_store_is_known_by_its_image(#[case] image: &str, #[case] expected: bool) {
        assert_eq!(is_companion(image), expected);
    }

    #[rstest]
    #[case("ghcr.io/acme/agent:1.2", Some("agent"))]
    #[case("localhost:5000/agent", Some("agent"))]
    #[case("mcp/github@sha256:0", Some("mcp"))]
    #[case("ghcr.io/acme/mcp-server:v1", Some("mcp"))]
    #[case("gcr.io/datadoghq/agent:7", None)]
    #[case("datadog/agent", None)]
    #[case("grafana/agent:v0.40", None)]
    #[case("jenkins/inbound-agent:alpine", None)]
    #[case("hashicorp/vault:1.20", None)]
    #[case("registry.agent.example.com/web:1", None)]
    #[case("agent.example.com/web", None)]
    #[case("docker.elastic.co/beats/elastic-agent:9", None)]
    fn an_image_is_read_by_its_last_part(#[case] image: &str, #[case] expected: Option<&str>) {
        assert_eq!(agent_in_image(image), expected);
    }
}

//! What the probes and hooks of a container run in it, and what the kubelet sends for them.

use super::super::container::ContainerView;
use k8s_openapi::api::core::v1::{ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe};

/// A text of a probe or hook.
#[derive(Debug)]
pub(super) struct Said<'a> {
    /// Its path in the pod.
    pub(super) path: String,
    /// The header that it is the value of; empty for other text.
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// Whether the kubelet sends it as it stands, to whoever answers.
    pub(super) is_sent: bool,
}

/// All text of the container's probes and hooks in which a credential can stand.
pub(super) fn texts<'a>(container: &ContainerView<'a>) -> Vec<Said<'a>> {
    let mut said = Vec::new();
    let mut add = |place: &str, exec: Option<&'a ExecAction>, http: Option<&'a HTTPGetAction>| {
        let path = format!("{}.{place}", container.path);
        for (i, text) in exec.and_then(|e| e.command.as_ref()).into_iter().flatten().enumerate() {
            said.push(Said { path: format!("{path}.exec.command[{i}]"), name: "", text, is_sent: false });
        }
        let Some(HTTPGetAction { path: url, http_headers, host: _, port: _, protocol: _, scheme: _ }) = http
        else {
            return;
        };
        if let Some(text) = url {
            said.push(Said { path: format!("{path}.httpGet.path"), name: "", text, is_sent: true });
        }
        for (i, header) in http_headers.iter().flatten().enumerate() {
            let path = format!("{path}.httpGet.httpHeaders[{i}].value");
            said.push(Said { path, name: &header.name, text: &header.value, is_sent: true });
        }
    };
    for (place, probe) in container.probes {
        // Named in full: a new way to ask stops the build until it is classified.
        let Some(Probe {
            exec,
            http_get,
            grpc: _,
            tcp_socket: _,
            failure_threshold: _,
            initial_delay_seconds: _,
            period_seconds: _,
            success_threshold: _,
            termination_grace_period_seconds: _,
            timeout_seconds: _,
        }) = probe
        else {
            continue;
        };
        add(place, exec.as_ref(), http_get.as_ref());
    }
    if let Some(Lifecycle { post_start, pre_stop, stop_signal: _ }) = container.lifecycle {
        for (place, hook) in [("lifecycle.postStart", post_start), ("lifecycle.preStop", pre_stop)] {
            let Some(LifecycleHandler { exec, http_get, sleep: _, tcp_socket: _ }) = hook else { continue };
            add(place, exec.as_ref(), http_get.as_ref());
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::super::literals;
    use super::super::tests::{HEX, an, random, uuid};
    use crate::decide::pod::AgentPod;
    use rstest::rstest;
    use serde_json::{Value, json};

    /// Paths of what is told of a pod, below its only container.
    fn told(container: Value) -> Vec<String> {
        let mut container = container;
        container["name"] = json!("agent");
        let pod = AgentPod::parse(&json!({"spec": {"containers": [container]}}).to_string()).unwrap();
        let below = |path: String| path.trim_start_matches("spec.containers[0].").to_owned();
        literals(&pod).into_iter().map(|r| below(r.path)).collect()
    }

    fn header(name: &str, value: &str) -> Value {
        json!({"httpGet": {"port": 80, "path": "/health", "httpHeaders": [{"name": "Accept", "value": "*/*"}, {"name": name, "value": value}]}})
    }

    #[test]
    fn probes_and_hooks_are_searched_wherever_they_send_or_run_something() {
        let token = format!("ghp_{}", an(36));
        let sends = header("Authorization", &format!("token {token}"));
        let runs =
            json!({"exec": {"command": ["sh", "-c", format!("curl -H 'PRIVATE-TOKEN: {token}' localhost")]}});
        let asks = json!({"httpGet": {"port": 80, "path": format!("/health?token={token}")}});
        let container = json!({"livenessProbe": sends, "readinessProbe": runs, "startupProbe": asks,
            "lifecycle": {"postStart": runs, "preStop": sends}});
        let expected = [
            "livenessProbe.httpGet.httpHeaders[1].value",
            "readinessProbe.exec.command[2]",
            "startupProbe.httpGet.path",
            "lifecycle.postStart.exec.command[2]",
            "lifecycle.preStop.httpGet.httpHeaders[1].value",
        ];
        assert_eq!(told(container), expected);
    }

    #[rstest]
    #[case::bearer("Authorization", format!("Bearer {}", an(32)))]
    #[case::basic("authorization", "Basic cHJvYmU6S3Q3dnEybQ==".to_owned())]
    #[case::of_another_scheme("Authorization", format!("Token {}", random(40, HEX)))]
    #[case::without_a_scheme("Proxy-Authorization", an(32))]
    #[case::by_the_name_of_the_header("X-Api-Key", an(32))]
    #[case::by_another_name("X-Vault-Token", uuid())]
    fn a_header_with_a_credential_is_told(#[case] name: &str, #[case] value: String) {
        let path = "livenessProbe.httpGet.httpHeaders[1].value";
        assert_eq!(told(json!({"livenessProbe": header(name, &value)})), [path], "{name}: {value}");
    }

    #[rstest]
    #[case::host("Host", "agents.example.com".to_owned())]
    #[case::of_a_trace("X-Request-Id", uuid())]
    #[case::an_agent("User-Agent", format!("kube-probe/{}", an(32)))]
    #[case::of_an_example("Authorization", "Bearer my-key".to_owned())]
    #[case::of_an_example_in_base64("Authorization", "Basic dXNlcjpwYXNzd29yZA==".to_owned())]
    #[case::to_replace("Authorization", "Basic ${PROBE_AUTH}".to_owned())]
    #[case::of_words("Authorization", "Bearer health-check".to_owned())]
    #[case::word("X-Api-Key", "healthcheck".to_owned())]
    fn a_header_without_one_is_not(#[case] name: &str, #[case] value: String) {
        assert_eq!(told(json!({"livenessProbe": header(name, &value)})), Vec::<String>::new());
    }

    #[test]
    fn what_the_kubelet_sends_can_be_moved_to_no_secret_and_is_told_so() {
        let text = |container: Value| {
            let pod = json!({"spec": {"containers": [container]}});
            literals(&AgentPod::parse(&pod.to_string()).unwrap())[0].reason.to_string()
        };
        let bearer = format!("Bearer {}", an(32));
        let sent = text(json!({"name": "agent", "livenessProbe": header("Authorization", &bearer)}));
        assert!(sent.starts_with("let this probe or hook of container \"agent\" "), "{sent}");
        let command = ["curl", "-H", &bearer];
        let run = text(json!({"name": "agent", "livenessProbe": {"exec": {"command": command}}}));
        assert!(run.starts_with("move this value of container \"agent\" to a Secret"), "{run}");
        assert!(!(sent + &run).contains(&bearer[12..]));
    }
}

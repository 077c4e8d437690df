//! helm as the tests of the charts use it, and sets of values that between them reach every template.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test binary uses a part")]

use perpro_e2e::cache::Cache;
use perpro_e2e::cluster::Cluster;
use perpro_e2e::programs::Program;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A namespace that is not the one in the docs: a name of ours that is written down somewhere shows.
pub const NAMESPACE: &str = "some-namespace";

/// The charts' folder.
pub fn charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts")
}

/// The default values of a chart.
pub fn defaults(chart: &str) -> Value {
    let text = std::fs::read_to_string(charts().join(chart).join("values.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// Runs helm with these values; what it prints, or says is wrong.
pub fn helm(verb: &str, chart: &str, values: &Value, more: &[&str]) -> Result<String, String> {
    let cache = Cache::from_env().unwrap();
    let program = std::env::var_os("HELM").map_or_else(|| Program::helm().path(&cache), PathBuf::from);
    let mut helm = Command::new(&program);
    helm.current_dir(charts()).args([verb]);
    helm.args((verb == "template").then_some(chart)).args([chart, "--values", "-"]).args(more);
    helm.env_remove("KUBECONFIG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = helm.spawn().unwrap_or_else(|e| panic!("can't run {}: {e}", program.display()));
    child.stdin.take().unwrap().write_all(values.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// What a chart renders with these values for that namespace.
pub fn rendered_for(namespace: &str, chart: &str, values: &Value) -> Vec<Value> {
    let rendered = helm("template", chart, values, &["--namespace", namespace]);
    objects(&rendered.unwrap_or_else(|e| panic!("{values}: {e}")))
}

/// What a chart renders with these values, as text.
pub fn rendered(chart: &str, values: &Value) -> String {
    helm("template", chart, values, &["--namespace", NAMESPACE]).unwrap_or_else(|e| panic!("{values}: {e}"))
}

/// The objects in it.
pub fn objects(rendered: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(rendered);
    documents.map(|d| Value::deserialize(d).unwrap()).filter(Value::is_object).collect()
}

/// Sets of values, by name, that together render every template and every branch of one.
pub fn sets() -> Vec<(&'static str, Value)> {
    let component = json!({
        "resources": {"limits": {"memory": "1Gi"}},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}]}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "podLabels": {"tier": "security", "app.kubernetes.io/component": "not-ours"},
        "extraArgs": ["--log-format=text"],
        "extraEnv": [{"name": "EXTRA", "value": "1"}],
        "extraVolumes": [{"name": "extra", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
        "serviceAccount": {"annotations": {"team": "platform"}},
    });
    let with = |more: Value| {
        let mut all = component.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let everything = json!({
        "global": {"imageRegistry": "registry.test", "imagePullSecrets": [{"name": "pull"}]},
        "image": {"repository": "acme/perpro", "tag": "1.2.3", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull-too"}],
        "commonLabels": {"team": "platform", "app.kubernetes.io/part-of": "not-ours"},
        "logFormat": "text",
        "networkPolicy": {"enabled": true,
            "webhookFrom": [{"ipBlock": {"cidr": "10.0.0.0/24"}}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"port": 6443, "protocol": "TCP"}]}]},
        "metrics": {"service": true},
        "serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"},
            "metricRelabelings": [{"action": "labeldrop", "regex": "pod"}]},
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "webhook": with(json!({"replicaCount": 3})),
        "controller": with(json!({"replicaCount": 3})),
        "certs": with(json!({"schedule": "@weekly"})),
    });
    let mut cert_manager = everything.clone();
    cert_manager["certs"]["certManager"] = json!({"enabled": true, "issuerRef": {"name": "platform"}});
    let renamed =
        json!({"nameOverride": "pp", "fullnameOverride": "acme-perpro", "namespaceOverride": "elsewhere"});
    let cleared =
        json!({"resources": null, "extraArgs": null, "tolerations": null, "topologySpreadConstraints": null});
    let nothing = json!({
        "imagePullSecrets": null, "global": null,
        "podDisruptionBudget": {"enabled": false}, "flowSchema": {"enabled": false}, "uninstall": {"enabled": false},
        "rbac": {"people": false}, "webhook": cleared, "controller": cleared, "certs": cleared,
    });
    vec![
        ("default", json!({})),
        ("everything", everything),
        ("cert-manager", cert_manager),
        ("renamed", renamed),
        ("nothing", nothing),
    ]
}

/// kubectl with the administrator's rights on a list of objects; what it printed, or says is wrong.
pub fn kubectl(cluster: &Cluster, args: &[&str], objects: &[Value]) -> Result<(String, String), String> {
    let mut kubectl = Command::new(cluster.kubectl());
    kubectl.arg("--kubeconfig").arg(cluster.kubeconfig()).args(args).args(["--filename", "-"]);
    let mut child =
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    child.stdin.take().unwrap().write_all(list.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        Ok((text(output.stdout), text(output.stderr)))
    } else {
        Err(text(output.stderr))
    }
}

/// Pod templates, with the kind and name of what makes them.
pub fn pod_templates(objects: &[Value]) -> Vec<(String, &Value)> {
    let template = |object: &Value| match object["kind"].as_str().unwrap() {
        "Deployment" | "Job" => Some("/spec/template"),
        "CronJob" => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    };
    let found = objects.iter().filter_map(|o| Some((called(o), o.pointer(template(o)?).unwrap())));
    found.collect()
}

/// Kind and name of an object.
pub fn called(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|o| o["kind"] == kind).collect()
}

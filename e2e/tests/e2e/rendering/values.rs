//! Values: each has an effect, and what is none is refused.

use crate::helm::{defaults, helm, rendered};
use serde_json::{Map, Value, json};

/// Maps of the user's, whatever their defaults.
const FREE: [&str; 3] = ["resources", "podSecurityContext", "securityContext"];

/// The paths of all values that a chart has.
pub fn leaves(value: &Value, path: &str) -> Vec<String> {
    match value.as_object().filter(|map| !map.is_empty() && !is_free(path)) {
        Some(map) => map.iter().flat_map(|(key, value)| leaves(value, &join(path, key))).collect(),
        None => vec![path.to_owned()],
    }
}

/// The paths of all maps that hold our keys only.
fn closed(value: &Value, path: &str) -> Vec<String> {
    let Some(map) = value.as_object().filter(|map| !map.is_empty() && !is_free(path)) else { return vec![] };
    let deeper = map.iter().flat_map(|(key, value)| closed(value, &join(path, key)));
    deeper.chain([path.to_owned()]).filter(|path| path != "global").collect()
}

fn is_free(path: &str) -> bool {
    FREE.contains(&path.rsplit('.').next().unwrap())
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `{a: {b: value}}` for `a.b`, over `base`.
fn set(base: &Value, path: &str, value: Value) -> Value {
    let mut values = base.clone();
    let mut at = &mut values;
    for key in path.split('.').filter(|key| !key.is_empty()) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[key];
    }
    *at = value;
    values
}

/// Another value than the default, and values without which it has no effect.
fn another(path: &str) -> (Value, Value) {
    let none = json!({});
    let named = json!([{"name": "x"}]);
    let (component, value) = path.split_once('.').unwrap_or(("", path));
    if ["webhook", "controller", "certs"].contains(&component) {
        let mounted = json!({component: {"extraVolumes": [{"name": "x", "emptyDir": {}}]}});
        let issuer = json!({"certs": {"certManager": {"enabled": true, "issuerRef": {"name": "x"}}}});
        return match value {
            "replicaCount" => (json!(7), none),
            "serviceAccount.create" => {
                (json!(false), json!({component: {"serviceAccount": {"name": "theirs"}}}))
            }
            "serviceAccount.name" => (json!("other"), none),
            "serviceAccount.annotations" | "podAnnotations" | "podLabels" | "nodeSelector" => {
                (json!({"a": "b"}), none)
            }
            "resources" => (json!({"limits": {"memory": "1Gi"}}), none),
            "tolerations" => (json!([{"operator": "Exists"}]), none),
            "affinity" => (json!({"nodeAffinity": {}}), none),
            "topologySpreadConstraints" => {
                (json!([{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]), none)
            }
            "priorityClassName" => (json!("high"), none),
            "podSecurityContext" | "securityContext" => (json!({"runAsUser": 1000}), none),
            "extraArgs" => (json!(["--more"]), none),
            "extraEnv" => (named, none),
            "extraVolumes" => (json!([{"name": "x", "emptyDir": {}}]), none),
            "extraVolumeMounts" => (json!([{"name": "x", "mountPath": "/x"}]), mounted),
            "schedule" => (json!("@daily"), none),
            "certManager.enabled" => {
                (json!(true), json!({"certs": {"certManager": {"issuerRef": {"name": "x"}}}}))
            }
            "certManager.issuerRef.group" | "certManager.issuerRef.kind" | "certManager.issuerRef.name" => {
                (json!("other"), issuer)
            }
            "certManager.duration" | "certManager.renewBefore" => (json!("100h"), issuer),
            _ => panic!("{path}: say here which value is to have an effect"),
        };
    }
    let guarded = json!({"networkPolicy": {"enabled": true}});
    let monitored = json!({"serviceMonitor": {"enabled": true}});
    match path {
        "global.imageRegistry" | "image.registry" => (json!("registry.test"), none),
        "global.imagePullSecrets" | "imagePullSecrets" => (named, none),
        "image.repository" | "image.tag" | "nameOverride" | "fullnameOverride" | "namespaceOverride" => {
            (json!("other"), none)
        }
        "image.digest" => (json!(format!("sha256:{}", "a".repeat(64))), none),
        "image.pullPolicy" => (json!("Always"), none),
        "commonLabels" => (json!({"a": "b"}), none),
        "logFormat" => (json!("text"), none),
        "rbac.create"
        | "rbac.people"
        | "podDisruptionBudget.enabled"
        | "flowSchema.enabled"
        | "uninstall.enabled" => (json!(false), none),
        "podDisruptionBudget.maxUnavailable" => (json!("30%"), none),
        "flowSchema.priorityLevel" => (json!("exempt"), none),
        "flowSchema.matchingPrecedence" => (json!(800), none),
        "networkPolicy.enabled" | "metrics.service" | "serviceMonitor.enabled" => (json!(true), none),
        "networkPolicy.webhookFrom" | "networkPolicy.metricsFrom" => {
            (json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]), guarded)
        }
        "networkPolicy.egress" => (json!([]), guarded),
        "serviceMonitor.labels" => (json!({"a": "b"}), monitored),
        "serviceMonitor.interval" | "serviceMonitor.scrapeTimeout" => (json!("7s"), monitored),
        "serviceMonitor.metricRelabelings" => (json!([{"action": "labeldrop", "regex": "a"}]), monitored),
        "elevated" => (json!(["secrets"]), none),
        "accountGroupRoles" | "breakGlassGroups" => (json!(["other"]), none),
        "uninstall.timeoutSeconds" => (json!(99), none),
        _ => panic!("{path}: say here which value is to have an effect"),
    }
}

#[test]
#[ignore = "needs helm"]
fn every_value_has_an_effect() {
    let paths = leaves(&defaults("perpro"), "");
    assert!(paths.len() > 80, "the values were not read: {paths:?}");
    for path in paths {
        let (value, base) = another(&path);
        assert_ne!(
            rendered("perpro", &set(&base, &path, value)),
            rendered("perpro", &base),
            "{path} has no effect"
        );
    }
}

#[test]
#[ignore = "needs helm"]
fn a_misspelt_value_is_refused_by_name() {
    for chart in ["perpro", "perpro-crds"] {
        let paths = closed(&defaults(chart), "");
        assert!(paths.contains(&String::new()), "the values were not read");
        for path in paths {
            let values = set(&json!({}), &join(&path, "misspelt"), json!(1));
            let refused = helm("template", chart, &values, &[]).expect_err(&format!("{path}: it was taken"));
            assert!(refused.contains("misspelt"), "{path}: {refused}");
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn a_value_of_the_wrong_kind_is_refused_with_its_path() {
    for (path, value) in [
        ("webhook.replicaCount", json!("two")),
        ("controller.replicaCount", json!(0)),
        ("elevated", json!(["sercets"])),
        ("image.pullPolicy", json!("Sometimes")),
        ("image.digest", json!("sha256:short")),
        ("logFormat", json!("xml")),
        ("imagePullSecrets", json!(["pull"])),
        ("certs.extraArgs", json!("--one")),
        ("commonLabels", json!({"a": 1})),
        ("fullnameOverride", json!("Not_A_Name")),
        ("uninstall.timeoutSeconds", json!(0)),
        ("certs.certManager", json!({"enabled": true})),
        ("webhook.serviceAccount", json!({"create": false})),
    ] {
        let refused = helm("template", "perpro", &set(&json!({}), path, value), &[]);
        let refused = refused.expect_err(&format!("{path}: it was taken"));
        let shown = refused.replace('/', ".").replace("']['", ".");
        assert!(shown.contains(path), "{path}: {refused}");
    }
}

#[test]
#[ignore = "needs helm"]
fn what_a_parent_chart_shares_with_others_is_none_of_our_business() {
    rendered("perpro", &json!({"global": {"storageClass": "fast"}}));
    rendered("perpro-crds", &json!({"global": {"storageClass": "fast"}}));
}

#[test]
#[ignore = "needs helm"]
fn the_charts_lint() {
    for chart in ["perpro", "perpro-crds"] {
        let sets = if chart == "perpro" { crate::helm::sets() } else { vec![("default", json!({}))] };
        for (name, values) in sets {
            helm("lint", chart, &values, &["--strict", "--quiet"])
                .unwrap_or_else(|e| panic!("{chart}, {name}: {e}"));
        }
    }
}

//! Pods: Pod Security `restricted`, our image everywhere, and both ways to a certificate.

use crate::helm::{called, objects, of_kind, pod_templates, rendered, sets};
use serde_json::{Value, json};

/// Why a pod is not what Pod Security calls restricted; the fields of its v1.36 policy.
fn violations(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let mut found = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        must(spec[field].is_null(), field);
    }
    let known = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        kinds.for_each(|kind| must(known.contains(&kind.as_str()), kind));
    }
    must(spec["securityContext"]["runAsNonRoot"] == true, "runAsNonRoot");
    must(spec["securityContext"]["runAsUser"] != 0, "runAsUser");
    must(spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "seccompProfile");
    for container in spec["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        must(context["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        must(context["capabilities"] == json!({"drop": ["ALL"]}), "capabilities");
        must(context["privileged"].is_null(), "privileged");
        must(
            container["ports"].as_array().into_iter().flatten().all(|p| p["hostPort"].is_null()),
            "hostPort",
        );
        // Not of the policy, but of ours.
        must(context["readOnlyRootFilesystem"] == true, "readOnlyRootFilesystem");
    }
    found
}

#[test]
#[ignore = "needs helm"]
fn every_pod_meets_pod_security_restricted() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let pods = pod_templates(&objects);
        assert!(pods.len() >= 3, "{set}: {pods:?}");
        for (name, pod) in pods {
            assert_eq!(violations(pod), Vec::<String>::new(), "{set}: {name}");
            assert_eq!(pod["spec"]["enableServiceLinks"], false, "{set}: {name}");
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn a_pod_that_is_not_restricted_is_seen() {
    let values = json!({"webhook": {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        "podSecurityContext": {"runAsNonRoot": false}, "extraVolumes": [{"name": "x", "hostPath": {"path": "/"}}]}});
    let objects = objects(&rendered("perpro", &values));
    let (_, webhook) =
        pod_templates(&objects).into_iter().find(|(name, _)| name == "Deployment perpro-webhook").unwrap();
    assert_eq!(violations(webhook), ["hostPath", "runAsNonRoot", "capabilities"]);
}

#[test]
#[ignore = "needs helm"]
fn all_pods_run_one_image_with_a_version() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for (values, wanted) in [
        (json!({}), "perpro:0.1.0".to_owned()),
        (json!({"image": {"registry": "a.test", "tag": "2"}}), "a.test/perpro:2".to_owned()),
        (
            json!({"image": {"registry": "a.test"}, "global": {"imageRegistry": "b.test"}}),
            "b.test/perpro:0.1.0".to_owned(),
        ),
        (json!({"image": {"digest": digest, "tag": "2"}}), format!("perpro@{digest}")),
    ] {
        let objects = objects(&rendered("perpro", &values));
        for (name, pod) in pod_templates(&objects) {
            assert_eq!(pod["spec"]["containers"][0]["image"], wanted, "{name}");
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn our_job_makes_the_certificate_and_may_do_nothing_else() {
    let objects = objects(&rendered("perpro", &json!({})));
    let made: Vec<_> =
        ["CronJob", "Job"].iter().flat_map(|kind| of_kind(&objects, kind)).map(called).collect();
    assert_eq!(made, ["CronJob perpro-certs", "Job perpro-certs-hook", "Job perpro-uninstall"]);
    assert!(of_kind(&objects, "Certificate").is_empty());
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        for webhook in of_kind(&objects, kind)[0]["webhooks"].as_array().unwrap() {
            assert!(
                webhook["clientConfig"]["caBundle"].is_null(),
                "an upgrade would reset what the Job wrote"
            );
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn with_cert_manager_nobody_of_ours_touches_secrets_or_webhook_configurations() {
    let values = json!({"certs": {"certManager": {"enabled": true, "issuerRef": {"name": "platform", "kind": "ClusterIssuer"}}}});
    let text = rendered("perpro", &values);
    let objects = objects(&text);
    let certificate = of_kind(&objects, "Certificate")[0];
    assert_eq!(certificate["spec"]["issuerRef"]["kind"], "ClusterIssuer");
    let (_, webhook) =
        pod_templates(&objects).into_iter().find(|(name, _)| name == "Deployment perpro-webhook").unwrap();
    assert_eq!(webhook["spec"]["volumes"][0]["secret"]["secretName"], certificate["spec"]["secretName"]);
    let from = format!("{}/{}", certificate["metadata"]["namespace"], certificate["metadata"]["name"])
        .replace('"', "");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        assert_eq!(
            of_kind(&objects, kind)[0]["metadata"]["annotations"]["cert-manager.io/inject-ca-from"],
            from
        );
    }
    assert!(of_kind(&objects, "CronJob").is_empty() && of_kind(&objects, "Job").len() == 1);
    for role in of_kind(&objects, "Role").into_iter().chain(of_kind(&objects, "ClusterRole")) {
        let people = role["metadata"]["labels"]["app.kubernetes.io/component"] == "people";
        let rules = role["rules"].to_string();
        assert!(people || !rules.contains("secrets"), "{}", called(role));
        assert!(!rules.contains("webhookconfigurations"), "{}", called(role));
    }
    assert!(!text.contains("perpro-certs"));
}

#[test]
#[ignore = "needs helm"]
fn webhooks_fail_closed_and_leave_kube_system_and_our_namespace_alone() {
    for (set, values) in sets() {
        let objects = objects(&rendered("perpro", &values));
        let namespace = values["namespaceOverride"].as_str().unwrap_or(crate::helm::NAMESPACE);
        let exempt = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", namespace]});
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let webhooks = of_kind(&objects, kind)[0]["webhooks"].as_array().unwrap();
            assert!(!webhooks.is_empty());
            let of_pods =
                |w: &&Value| w["rules"][0]["resources"][0].as_str().is_some_and(|r| r.starts_with("pods"));
            // What is only told fails open: see `advice`.
            let tells = |w: &&Value| {
                w["clientConfig"]["service"]["path"].as_str().is_some_and(|p| p.starts_with("/advise/"))
            };
            for webhook in webhooks.iter().filter(of_pods).filter(|w| !tells(w)) {
                assert_eq!(webhook["failurePolicy"], "Fail", "{set}: {}", webhook["name"]);
                let selected = webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
                assert!(selected.contains(&exempt), "{set}: {}", webhook["name"]);
            }
        }
        for policy in of_kind(&objects, "ValidatingAdmissionPolicy") {
            let name = &policy["metadata"]["name"];
            let open = if name == "perpro-ungoverned" { ("Ignore", "Warn") } else { ("Fail", "Deny") };
            let bindings = of_kind(&objects, "ValidatingAdmissionPolicyBinding");
            let binding = bindings.iter().find(|b| b["metadata"]["name"] == *name).unwrap();
            assert_eq!(policy["spec"]["failurePolicy"], open.0, "{set}: {}", called(policy));
            assert_eq!(binding["spec"]["validationActions"], json!([open.1]), "{set}: {}", called(policy));
        }
    }
}

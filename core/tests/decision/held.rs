//! What a container holds: what is listed for it, and nothing of its neighbour.

use crate::{codes, injected, now, plain_pod, refusals_among, refused_when, two_containers};
use perpro_core::api::{AgentPolicy, OwnedSecret};
use perpro_core::decide::admit::{Context, admit};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::pod::AgentPod;
use perpro_core::model::SecretOwners;
use rstest::rstest;
use serde_json::{Value, json};

/// Adds `source` as volume `v`, mounted in a container.
fn mounted(pod: &mut Value, container: usize, source: Value, mount: Value) {
    let mut volume = source;
    volume["name"] = json!("v");
    pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);
    mounts(pod, container, "v", mount);
}

fn mounts(pod: &mut Value, container: usize, volume: &str, mut mount: Value) {
    mount["name"] = json!(volume);
    let container = &mut pod["spec"]["containers"][container];
    if container["volumeMounts"].is_null() {
        container["volumeMounts"] = json!([]);
    }
    container["volumeMounts"].as_array_mut().unwrap().push(mount);
}

fn env(pod: &mut Value, list: &str, container: usize, source: Value) {
    let container = &mut pod["spec"][list][container];
    if container["env"].is_null() {
        container["env"] = json!([]);
    }
    container["env"].as_array_mut().unwrap().push(json!({"name": "X", "valueFrom": source}));
}

fn key(secret: &str, key: &str) -> Value {
    json!({"secretKeyRef": {"name": secret, "key": key}})
}

fn file(secret: &str, key: &str) -> Value {
    json!({"secret": {"secretName": secret, "items": [{"key": key, "path": "k"}]}})
}

fn token(change: Value) -> Value {
    let mut token = json!({"path": "t", "expirationSeconds": 900});
    token.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({"projected": {"sources": [{"serviceAccountToken": token}]}})
}

const AGENT: usize = 0;
const TOOL: usize = 1;

#[rstest]
#[case::key_of_the_neighbour(|p: &mut Value| env(p, "containers", TOOL, key("crm", "k1")), &["AID021"])]
#[case::another_key_of_a_listed_secret(|p: &mut Value| env(p, "containers", AGENT, key("crm", "k2")), &["AID021"])]
#[case::the_same_key_of_another_secret(|p: &mut Value| env(p, "containers", TOOL, key("foreign", "k2")), &["AID021"])]
#[case::foreign_secret_before_the_start(|p: &mut Value| env(p, "initContainers", 0, key("foreign", "k1")), &["AID021"])]
#[case::value_from_the_neighbours_file(|p: &mut Value| env(p, "containers", TOOL, json!({"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}})), &["AID026"])]
#[case::keys_volume_of_the_neighbour(|p: &mut Value| mounts(p, TOOL, "perpro-keys-agent", json!({"mountPath": "/v"})), &["AID021"])]
#[case::token_volume_of_the_neighbour(|p: &mut Value| mounts(p, TOOL, "perpro-token-agent", json!({"mountPath": "/v"})), &["AID011"])]
#[case::foreign_file(|p: &mut Value| mounted(p, TOOL, file("foreign", "k1"), json!({"mountPath": "/v"})), &["AID021"])]
#[case::foreign_file_alone(|p: &mut Value| mounted(p, TOOL, file("foreign", "k1"), json!({"mountPath": "/v", "subPath": "k"})), &["AID021"])]
#[case::volume_that_nobody_mounts(|p: &mut Value| p["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "v", "secret": {"secretName": "crm", "items": [{"key": "k1", "path": "k"}]}})), &["AID021"])]
#[case::no_keys_named(|p: &mut Value| mounted(p, AGENT, json!({"secret": {"secretName": "crm"}}), json!({"mountPath": "/v"})), &["AID012"])]
#[case::an_empty_list_of_keys(|p: &mut Value| mounted(p, AGENT, json!({"secret": {"secretName": "crm", "items": []}}), json!({"mountPath": "/v"})), &["AID012"])]
#[case::token_where_none_is_listed(|p: &mut Value| mounted(p, TOOL, token(json!({})), json!({"mountPath": "/v"})), &["AID011"])]
#[case::token_for_another_audience(|p: &mut Value| mounted(p, AGENT, token(json!({"audience": "vault"})), json!({"mountPath": "/v"})), &["AID011"])]
#[case::token_that_lives_too_long(|p: &mut Value| mounted(p, AGENT, token(json!({"expirationSeconds": 901})), json!({"mountPath": "/v"})), &["AID029"])]
#[case::token_that_lives_as_long_as_it_likes(|p: &mut Value| mounted(p, AGENT, token(json!({"expirationSeconds": null})), json!({"mountPath": "/v"})), &["AID029"])]
#[case::certificate(|p: &mut Value| mounted(p, AGENT, json!({"projected": {"sources": [{"podCertificate": {"signerName": "a/b", "keyType": "ED25519"}}]}}), json!({"mountPath": "/v"})), &["AID027"])]
#[case::own_key_elsewhere_too(|p: &mut Value| mounted(p, AGENT, file("crm", "k1"), json!({"mountPath": "/v"})), &[])]
#[case::own_token_elsewhere_too(|p: &mut Value| mounted(p, AGENT, token(json!({"audience": ""})), json!({"mountPath": "/v"})), &[])]
#[case::trust_bundle(|p: &mut Value| mounted(p, TOOL, json!({"projected": {"sources": [{"clusterTrustBundle": {"name": "b", "path": "ca"}}]}}), json!({"mountPath": "/v"})), &[])]
#[case::config_map(|p: &mut Value| p["spec"]["containers"][TOOL]["envFrom"] = json!([{"configMapRef": {"name": "c"}}]), &[])]
fn a_container_holds_what_is_listed_for_it_and_nothing_of_its_neighbour(
    #[case] change: fn(&mut Value),
    #[case] expected: &[&str],
) {
    assert_eq!(codes(&refused_when(change)), expected);
}

#[rstest]
#[case::container(|p: &mut Value| p["spec"]["containers"][TOOL]["x"] = json!(1), &["AID014"])]
#[case::init_container(|p: &mut Value| p["spec"]["initContainers"][0]["x"] = json!(1), &["AID014"])]
#[case::variable(|p: &mut Value| env(p, "containers", TOOL, json!({"vaultRef": {"path": "x"}})), &["AID014"])]
#[case::volume(|p: &mut Value| mounted(p, TOOL, json!({"vault": {}}), json!({"mountPath": "/v"})), &["AID014"])]
#[case::debug_container(|p: &mut Value| p["spec"]["ephemeralContainers"] = json!([{"name": "e", "x": 1}]), &["AID004", "AID014"])]
#[case::elsewhere(|p: &mut Value| p["spec"]["x"] = json!(1), &[])]
fn a_field_that_nobody_knows_is_refused_where_it_could_bring_a_credential(
    #[case] change: fn(&mut Value),
    #[case] expected: &[&str],
) {
    assert_eq!(codes(&refused_when(change)), expected);
}

#[test]
fn a_pull_secret_is_the_registrys_alone_and_one_that_the_ceiling_lists() {
    let identity = two_containers();
    let mut other = two_containers();
    other.uid = "uid-2".into();
    other.spec.secrets = vec![OwnedSecret { name: "theirs".into(), ..identity.spec.secrets[0].clone() }];
    let policy = |names: &[&str]| {
        let spec = json!({"namespaces": ["ns"], "imagePullSecrets": names});
        AgentPolicy::new("p", serde_json::from_value(spec).unwrap())
    };
    let all = policy(&["registry", "crm", "theirs"]);
    for (secret, policies, expected) in [
        ("registry", vec![], vec![]),
        ("registry", vec![all.clone()], vec![]),
        ("registry", vec![all.clone(), policy(&[])], vec!["AID015"]),
        ("crm", vec![all.clone()], vec!["AID016"]),
        ("theirs", vec![all], vec!["AID016"]),
    ] {
        let mut stored = injected(&plain_pod(), &identity);
        stored["spec"]["imagePullSecrets"] = json!([{"name": secret}]);
        let refusals = refusals_among(&stored, &identity, std::slice::from_ref(&other), &policies);
        assert_eq!(codes(&refusals), expected, "{secret}");
    }
}

#[test]
fn a_credential_in_the_text_of_a_pod_is_warned_of_and_refused_where_one_policy_says_so() {
    let policy = |literals: &str| {
        let spec = json!({"namespaces": ["ns"], "literalCredentials": literals});
        AgentPolicy::new("p", serde_json::from_value(spec).unwrap())
    };
    let identity = two_containers();
    let with = |field: &str, value: Value| {
        let mut stored = injected(&plain_pod(), &identity);
        stored["spec"]["containers"][TOOL][field] = value;
        stored
    };
    let stored = with("args", json!(["sh", "-c", "psql postgres://a:Kt7vq2m@db/x"]));
    let headers = json!([{"name": "Authorization", "value": "Basic cHJvYmU6S3Q3dnEybQ=="}]);
    let probed = with("livenessProbe", json!({"httpGet": {"port": 80, "httpHeaders": headers}}));
    assert_eq!(codes(&refusals_among(&probed, &identity, &[], &[policy("Refuse")])), ["AID065"]);
    for (policies, expected) in [
        (vec![], vec![]),
        (vec![policy("Warn")], vec![]),
        (vec![policy("Warn"), policy("Refuse")], vec!["AID065"]),
    ] {
        assert_eq!(codes(&refusals_among(&stored, &identity, &[], &policies)), expected);
        let ceiling = Ceiling::of("ns", &policies);
        let owners = SecretOwners::default();
        let context = Context { identity: &identity, owners: &owners, ceiling: &ceiling, now: now() };
        let warnings = admit(&AgentPod::parse(&stored.to_string()).unwrap(), context).warnings;
        assert_eq!(warnings.len(), usize::from(expected.is_empty()), "{warnings:?}");
    }
    let star = AgentPolicy::new(
        "star",
        serde_json::from_value(json!({"namespaces": ["*"], "literalCredentials": "Refuse"})).unwrap(),
    );
    assert!(
        refusals_among(&stored, &identity, &[], &[star, policy("Warn")]).is_empty(),
        "it counts where no other does"
    );
}

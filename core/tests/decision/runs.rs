//! Whether an identity can have pods at all, and with which images.

use crate::{codes, injected, now, plain_pod, refusals, refusals_among, two_containers};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use perpro_core::api::{AgentPolicy, Authorization};
use perpro_core::model::Identity;
use rstest::rstest;
use serde_json::json;

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// An answer to what the author of `identity` may read.
fn authorized(identity: &Identity, generation: i64, secrets: &[&str]) -> Option<Authorization> {
    Some(Authorization {
        author: "jane".into(),
        generation,
        since: Time(ago(60)),
        expires_at: identity.spec.expires_at.clone(),
        permissions: vec![],
        secrets: secrets.iter().map(|&s| s.to_owned()).collect(),
    })
}

#[rstest]
#[case::suspended(|i: &mut Identity| i.spec.suspended = true, &["AID006"])]
#[case::over_now(|i: &mut Identity| i.spec.expires_at = Time(now()), &["AID005"])]
#[case::over_in_a_second(|i: &mut Identity| i.spec.expires_at = Time(ago(-1)), &[])]
#[case::being_deleted(|i: &mut Identity| i.deleting = true, &["AID002"])]
#[case::rotation_due_now(|i: &mut Identity| i.spec.secrets[1].rotate_by = Time(now()), &["AID007"])]
#[case::rotation_due_in_a_second(|i: &mut Identity| i.spec.secrets[1].rotate_by = Time(ago(-1)), &[])]
#[case::written_by_nobody(|i: &mut Identity| i.author = None, &["AID049"])]
#[case::author_who_reads_one_secret(|i: &mut Identity| i.authorization = authorized(i, i.generation, &["crm"]), &["AID038"])]
#[case::author_who_reads_all(|i: &mut Identity| i.authorization = authorized(i, i.generation, &["crm", "llm"]), &[])]
#[case::author_who_was_asked_about_less(|i: &mut Identity| i.authorization = authorized(i, i.generation - 1, &["crm"]), &[])]
fn an_identity_has_pods_while_it_lives_and_somebody_answers_for_it(
    #[case] change: fn(&mut Identity),
    #[case] expected: &[&str],
) {
    let mut identity = two_containers();
    change(&mut identity);
    assert_eq!(codes(&refusals(&injected(&plain_pod(), &identity), &identity)), expected);
}

#[test]
fn a_secret_is_the_older_identitys_and_of_twins_the_one_with_the_smaller_uid() {
    let identity = two_containers();
    let sibling = |uid: &str, seconds: i64, secret: usize| {
        let mut other =
            Identity { name: "rob".into(), uid: uid.into(), created: ago(seconds), ..two_containers() };
        other.spec.secrets = vec![identity.spec.secrets[secret].clone()];
        other.spec.secrets.extend((secret == 0).then(|| identity.spec.secrets[1].clone()));
        other
    };
    let told = |other: Identity| {
        let raw = injected(&plain_pod(), &identity);
        refusals_among(&raw, &identity, &[other, identity.clone()], &[])
    };
    assert_eq!(codes(&told(sibling("uid-9", 1, 0))), ["AID022", "AID022"]);
    assert_eq!(codes(&told(sibling("uid-9", 1, 1))), ["AID022"]);
    assert!(told(sibling("uid-0", -1, 0)).is_empty(), "it is younger");
    assert_eq!(codes(&told(sibling("uid-0", 0, 1))), ["AID022"]);
    assert!(told(sibling("uid-2", 0, 1)).is_empty(), "the twin has the larger UID");
    assert!(
        told(Identity { spec: identity.spec.clone(), ..sibling("uid-1", 1, 0) }).is_empty(),
        "it is itself"
    );
}

#[test]
fn an_image_is_one_that_the_identity_and_every_policy_name() {
    let mut identity = two_containers();
    identity.spec.containers[0].images = vec!["ghcr.io/acme/agent:".into()];
    let policy = |images: &[&str]| {
        AgentPolicy::new(
            "p",
            serde_json::from_value(json!({"namespaces": ["ns"], "images": images})).unwrap(),
        )
    };
    let told = |image: &str, tool: &str, policies: &[AgentPolicy]| {
        let mut raw = injected(&plain_pod(), &identity);
        raw["spec"]["containers"][0]["image"] = json!(image);
        raw["spec"]["containers"][1]["image"] = json!(tool);
        refusals_among(&raw, &identity, &[], policies).iter().map(|r| r[..6].to_owned()).collect::<Vec<_>>()
    };
    let (good, tool) = ("ghcr.io/acme/agent:1", "i");
    assert!(told(good, tool, &[]).is_empty());
    assert_eq!(told("ghcr.io/acme/other:1", tool, &[]), ["AID020"]);
    assert!(told(good, tool, &[policy(&["ghcr.io/acme/", "i"])]).is_empty());
    // Which containers may run is not for the identity to say of those that it does not list.
    assert_eq!(told(good, "evil", &[policy(&["ghcr.io/acme/", "i"])]), ["AID057"]);
    assert_eq!(told(good, tool, &[policy(&["ghcr.io/", "i"]), policy(&["ghcr.io/other/", "i"])]), ["AID057"]);
}

#[test]
fn an_image_that_is_a_volume_is_one_that_every_policy_names() {
    let mut identity = two_containers();
    identity.spec.containers[0].images = vec!["i".into()];
    let policy = |images: &[&str]| {
        AgentPolicy::new(
            "p",
            serde_json::from_value(json!({"namespaces": ["ns"], "images": images})).unwrap(),
        )
    };
    let mut raw = injected(&plain_pod(), &identity);
    let volumes = raw["spec"]["volumes"].as_array_mut().unwrap();
    volumes.insert(0, json!({"name": "tools", "image": {"reference": "evil.com/tools:1"}}));
    let told = |policies: &[AgentPolicy]| refusals_among(&raw, &identity, &[], policies);
    assert_eq!(told(&[]), Vec::<String>::new(), "the identity says what containers run");
    assert_eq!(told(&[policy(&["i", "evil.com/"])]), Vec::<String>::new());
    let refused = told(&[policy(&["i"])]);
    assert_eq!(codes(&refused), ["AID057"]);
    assert!(refused[0].starts_with("AID057 spec.volumes[0].image.reference: "), "{refused:?}");
}

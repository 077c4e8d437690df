//! Who an identity says wrote it: the policy alone, on a copy of the kind that perpro's webhooks
//! don't know. With the webhook gone it must still launder nothing.

use super::actors::{Actor, Guard};
use crate::common::{World, when};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams};
use perpro_core::api::{self, AgentIdentitySpec};
use perpro_core::decide::widening::narrows;
use perpro_core::names;
use serde_json::{Value, json};

const AUTHOR: Guard = Guard::Policy("AID085");

/// The kind and its policy under another group.
struct Copy {
    world: World,
    group: String,
}

impl Copy {
    async fn make() -> Self {
        let world = World::new("").await;
        let group = format!("{}.example.com", world.namespace);
        let copy = Self { world, group };
        let client = &copy.world.client;
        let mut kind = api::definitions().remove(0);
        kind.metadata.name = Some(format!("agentidentities.{}", copy.group));
        kind.spec.group.clone_from(&copy.group);
        Api::<CustomResourceDefinition>::all(client.clone())
            .create(&Default::default(), &kind)
            .await
            .unwrap();

        let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
        let mut policy = policies.get("perpro-author").await.unwrap();
        policy.metadata = kube::api::ObjectMeta { name: Some(copy.group.clone()), ..Default::default() };
        policy.status = None;
        let spec = policy.spec.as_mut().unwrap();
        for rule in spec.match_constraints.iter_mut().flat_map(|m| m.resource_rules.iter_mut().flatten()) {
            rule.api_groups = Some(vec![copy.group.clone()]);
        }
        policies.create(&Default::default(), &policy).await.unwrap();
        let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": copy.group}, "spec": {"policyName": copy.group, "validationActions": ["Deny"]}});
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
        bindings.create(&Default::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();

        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "writes"},
            "rules": [{"apiGroups": [copy.group], "resources": ["*"], "verbs": ["*"]}]});
        copy.world.roles().create(&Default::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
        let admin = Actor::admin(&copy.world);
        copy.world
            .eventually("the copy of the policy should be in force", async || {
                let answer = admin.asks("POST", &copy.path(""), copy.object(spec_of(|_| ()), "x", "")).await;
                let answer = answer.err().unwrap_or_default();
                when(answer.contains("AID085"), &answer)
            })
            .await;
        copy
    }

    async fn person(&self, name: &str) -> Actor {
        self.world.bind(name, "Role", "writes").await;
        Actor::impersonated(&self.world, name).await
    }

    fn path(&self, name: &str) -> String {
        let slash = if name.is_empty() { "" } else { "/" };
        self.world.path(&format!("{}/v1alpha1", self.group), &format!("agentidentities{slash}{name}"))
    }

    fn object(&self, spec: Value, author: &str, groups: &str) -> Value {
        json!({"apiVersion": format!("{}/v1alpha1", self.group), "kind": "AgentIdentity",
            "metadata": {"name": "bot", "annotations": {names::AUTHOR: author, names::AUTHOR_GROUPS: groups}}, "spec": spec})
    }

    async fn remove(self) {
        let client = &self.world.client;
        let params = DeleteParams::default();
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
        bindings.delete(&self.group, &params).await.unwrap();
        Api::<ValidatingAdmissionPolicy>::all(client.clone()).delete(&self.group, &params).await.unwrap();
        let kinds = Api::<CustomResourceDefinition>::all(client.clone());
        kinds.delete(&format!("agentidentities.{}", self.group), &params).await.unwrap();
    }
}

fn spec_of(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({
        "owner": {"kind": "User", "name": "jane"}, "contacts": ["#bots"], "expiresAt": "2030-01-01T00:00:00Z",
        "justification": "Reads feedback",
        "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
                        {"apiGroups": [""], "resources": ["events"], "resourceNames": ["a", "b"], "verbs": ["get", "patch"]}],
        "secrets": [{"name": "crm", "rotateBy": "2029-01-01T00:00:00Z"}, {"name": "erp", "rotateBy": "2029-01-01T00:00:00Z"}],
        "containers": [{"name": "agent", "images": ["a/", "b/"], "kubernetesAccess": "Token",
                        "secretKeys": [{"secret": "crm", "key": "k", "env": "K"}]}, {"name": "tool"}]
    });
    change(&mut spec);
    spec
}

/// Each edit alone, narrowing or not.
type Edit = (&'static str, fn(&mut Value));

const EDITS: &[Edit] = &[
    ("nothing", |_| ()),
    ("contacts", |s| s["contacts"] = json!(["#others", "jane"])),
    ("no contacts", |s| s["contacts"] = json!([])),
    ("earlier end", |s| s["expiresAt"] = json!("2029-12-31T23:59:59Z")),
    ("the same end in another zone", |s| s["expiresAt"] = json!("2030-01-01T01:00:00+01:00")),
    ("earlier end in another zone", |s| s["expiresAt"] = json!("2030-01-01T00:59:59+01:00")),
    ("later end", |s| s["expiresAt"] = json!("2030-01-01T00:00:01Z")),
    ("later end in another zone", |s| s["expiresAt"] = json!("2030-01-01T00:00:00-01:00")),
    ("suspended", |s| s["suspended"] = json!(true)),
    ("other owner", |s| s["owner"]["name"] = json!("joe")),
    ("other kind of owner", |s| s["owner"]["kind"] = json!("Group")),
    ("other reason", |s| s["justification"] = json!("Writes feedback")),
    ("permission less", |s| {
        s["permissions"].as_array_mut().unwrap().remove(0);
    }),
    ("no permission", |s| s["permissions"] = json!([])),
    ("permissions in another order", |s| s["permissions"].as_array_mut().unwrap().reverse()),
    ("permission twice", |s| {
        let p = s["permissions"][0].clone();
        s["permissions"].as_array_mut().unwrap().push(p);
    }),
    ("no names, said", |s| s["permissions"][0]["resourceNames"] = json!([])),
    ("all names", |s| {
        s["permissions"][1].as_object_mut().unwrap().remove("resourceNames");
    }),
    ("other names", |s| s["permissions"][1]["resourceNames"] = json!(["a"])),
    ("other verb", |s| s["permissions"][0]["verbs"] = json!(["get", "list"])),
    ("other resource", |s| s["permissions"][0]["resources"] = json!(["pods"])),
    ("other group", |s| s["permissions"][0]["apiGroups"] = json!(["apps"])),
    ("no secret but the one in use", |s| {
        s["secrets"].as_array_mut().unwrap().remove(1);
    }),
    ("other secret", |s| s["secrets"][1]["name"] = json!("hr")),
    ("one secret more", |s| {
        s["secrets"].as_array_mut().unwrap().push(json!({"name": "hr", "rotateBy": "2028-01-01T00:00:00Z"}))
    }),
    ("earlier rotation", |s| s["secrets"][0]["rotateBy"] = json!("2028-01-01T00:00:00Z")),
    ("later rotation", |s| s["secrets"][0]["rotateBy"] = json!("2029-01-01T00:00:01Z")),
    ("container less", |s| {
        s["containers"].as_array_mut().unwrap().remove(0);
    }),
    ("no containers", |s| {
        s.as_object_mut().unwrap().remove("containers");
    }),
    ("container more", |s| s["containers"].as_array_mut().unwrap().push(json!({"name": "new"}))),
    ("image less", |s| s["containers"][0]["images"] = json!(["b/"])),
    ("images at all", |s| s["containers"][1]["images"] = json!(["b/"])),
    ("any image", |s| s["containers"][0]["images"] = json!([])),
    ("any image, unsaid", |s| {
        s["containers"][0].as_object_mut().unwrap().remove("images");
    }),
    ("other image", |s| s["containers"][0]["images"] = json!(["a/", "c/"])),
    ("no token", |s| s["containers"][0]["kubernetesAccess"] = json!("None")),
    ("a token", |s| s["containers"][1]["kubernetesAccess"] = json!("Token")),
    ("no key", |s| s["containers"][0]["secretKeys"] = json!([])),
    ("key elsewhere", |s| s["containers"][0]["secretKeys"][0]["env"] = json!("L")),
    ("key also as file", |s| s["containers"][0]["secretKeys"][0]["path"] = json!("k")),
    ("key more", |s| s["containers"][1]["secretKeys"] = json!([{"secret": "crm", "key": "k", "env": "K"}])),
    ("less here and more there", |s| {
        s["permissions"] = json!([]);
        s["containers"][1]["kubernetesAccess"] = json!("Token");
    }),
];

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_identity_names_whoever_widened_it_and_nobody_else() {
    let copy = Copy::make().await;
    let jane = copy.person("jane").await;
    let eve = copy.person("eve").await;
    let (all, bot) = (copy.path(""), copy.path("bot"));
    let groups = "system:authenticated";
    let made = |author: &str, groups: &str| copy.object(spec_of(|_| ()), author, groups);

    for (author, groups) in [
        ("", ""),
        ("jane", ""),
        ("", groups),
        ("eve", groups),
        ("jane ", groups),
        ("jane", "system:authenticated\nsystem:masters"),
        ("jane", "system:authenticated,system:masters"),
        ("jane", "system:authenticated\n"),
        ("jane", "system:masters"),
    ] {
        jane.may_not(AUTHOR, "POST", &all, made(author, groups)).await;
    }
    jane.sends("POST", &all, made("jane", groups)).await.unwrap();

    // Eve under Jane's name: what narrows, and nothing else. The core's own function is the measure.
    let read = |spec: &Value| serde_json::from_value::<AgentIdentitySpec>(spec.clone()).unwrap();
    let old = read(&spec_of(|_| ()));
    let update = |mut object: Value, version: &Value| {
        object["metadata"]["resourceVersion"] = version.clone();
        object
    };
    let version = jane.sends("GET", &bot, json!(null)).await.unwrap()["metadata"]["resourceVersion"].clone();
    for (what, edit) in EDITS {
        let spec = spec_of(edit);
        let narrower = narrows(&old, &read(&spec));
        let kept = update(copy.object(spec.clone(), "jane", groups), &version);
        let answer = eve.asks("PUT", &bot, kept).await;
        let refused = answer.as_ref().err().is_some_and(|e| e.contains("AID085"));
        assert_eq!(answer.is_ok(), narrower, "{what}: {answer:?}");
        assert_eq!(refused, !narrower, "{what}: {answer:?}");
        let own = update(copy.object(spec, "eve", groups), &version);
        // Nobody is asked who suspends and does nothing else, so it makes nobody an author.
        if *what == "suspended" {
            eve.may_not(AUTHOR, "PUT", &bot, own).await;
        } else {
            eve.may("PUT", &bot, own).await;
        }
    }
    for (author, groups) in [("", ""), ("jane", ""), ("", groups), ("eve", ""), ("mallory", groups)] {
        let forged = update(copy.object(spec_of(|s| s["permissions"] = json!([])), author, groups), &version);
        eve.may_not(AUTHOR, "PUT", &bot, forged).await;
    }
    eve.may("PATCH", &bot, json!({"metadata": {"labels": {"a": "b"}, "annotations": {"note": "x"}}})).await;
    eve.may_not(AUTHOR, "PATCH", &bot, json!({"metadata": {"annotations": {names::AUTHOR: null}}})).await;

    // Pulling the plug needs nobody's power, if nothing is written with it; putting it back does.
    let wider = |s: &mut Value| {
        s["suspended"] = json!(true);
        s["owner"]["name"] = json!("joe");
    };
    eve.may_not(AUTHOR, "PUT", &bot, update(copy.object(spec_of(wider), "jane", groups), &version)).await;
    eve.may_not(AUTHOR, "PUT", &bot, update(copy.object(spec_of(wider), "", ""), &version)).await;
    eve.may("PUT", &bot, update(copy.object(spec_of(wider), "eve", groups), &version)).await;
    let bare = json!({"metadata": {"annotations": {names::AUTHOR: null, names::AUTHOR_GROUPS: null}}});
    eve.may_not(AUTHOR, "PATCH", &bot, bare.clone()).await;
    let mut suspends = bare;
    suspends["spec"] = json!({"suspended": true});
    eve.may("PATCH", &bot, suspends).await;
    eve.sends("PATCH", &bot, json!({"spec": {"suspended": true}})).await.unwrap();
    eve.may_not(AUTHOR, "PATCH", &bot, json!({"spec": {"suspended": false}})).await;
    eve.may_not(AUTHOR, "PATCH", &bot, json!({"spec": {"justification": "Reads what nobody looks at"}}))
        .await;
    eve.may("PATCH", &bot, json!({"spec": {"permissions": []}})).await;
    jane.may("PATCH", &bot, json!({"spec": {"suspended": false}})).await;
    copy.remove().await;
}

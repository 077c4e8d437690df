//! A cluster as it is listed: objects come one by one as text, and only what the findings need is kept.

use super::agents::{self, Marks};
use super::marks::Answers;
use super::roles::{Binding, Role, RoleRef};
use super::workload::{DEFAULT, Ref, Workload};
use perpro_core::decide::pod::AgentPod;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Namespaces of Kubernetes itself and of perpro: nobody there is accused of being an agent.
pub(super) const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "perpro-system"];
/// Annotation of Secrets with a token: whose.
const TOKEN_OF: &str = "kubernetes.io/service-account.name";

/// What is known of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(super) namespaces: BTreeMap<String, Answers>,
    /// Who made a ReplicaSet or a Job.
    makers: BTreeMap<Ref, Ref>,
    pub(super) workloads: BTreeMap<Ref, Workload>,
    pub(super) accounts: BTreeMap<(String, String), Account>,
    /// Accounts that a template names, though it may have no pod now.
    pub(super) named: BTreeSet<(String, String)>,
    pub(super) identities: BTreeMap<(String, String), Identity>,
    pub(super) roles: BTreeMap<RoleRef, Role>,
    pub(super) bindings: Vec<Binding>,
    /// Secrets that hold a token, with the account whose it is.
    pub(super) token_secrets: BTreeMap<(String, String), String>,
    pub(super) pods: usize,
    /// What could not be read or listed, so that numbers are too low, in sentences.
    pub(super) gaps: Vec<String>,
    /// What was not asked for or not given, without which the numbers are what they say.
    pub(super) notes: Vec<String>,
}

/// A service account.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) answers: Answers,
    pub(super) ours: bool,
    no_token: bool,
}

/// An AgentIdentity, as far as it answers for a workload.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) owner: String,
    /// Its Secrets that have a day by which they are replaced.
    pub(super) rotated: BTreeSet<String>,
}

/// What is read of a pod beside the pod itself.
#[derive(Deserialize)]
struct Head {
    metadata: HeadMetadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMetadata {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    api_version: String,
    kind: String,
    name: String,
    #[serde(default)]
    controller: bool,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

impl Listing {
    /// Says what could not be read, so that numbers are too low.
    pub(crate) fn gap(&mut self, sentence: String) {
        self.gaps.push(sentence);
    }

    /// Says what the numbers leave out.
    pub(crate) fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// A Namespace.
    pub(crate) fn namespace(&mut self, object: &Value) {
        self.namespaces.insert(text(&object["metadata"]["name"]), all_answers(object));
    }

    /// A ReplicaSet or a Job, before any pod: whoever made it made its pods.
    pub(crate) fn maker(&mut self, kind: &str, object: &Value) {
        let metadata = &object["metadata"];
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        if let Some(owner) = owners.into_iter().find(|o| o["controller"] == true) {
            let namespace = text(&metadata["namespace"]);
            let maker = Ref::new(&namespace, &text(&owner["kind"]), &text(&owner["name"]));
            self.makers.insert(Ref::new(&namespace, kind, &text(&metadata["name"])), maker);
        }
    }

    /// A ServiceAccount.
    pub(crate) fn account(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        let account = Account {
            answers: all_answers(object),
            ours: metadata["labels"][perpro_core::names::MANAGED_BY] == perpro_core::names::MANAGER,
            no_token: object["automountServiceAccountToken"] == false,
        };
        self.accounts.insert((text(&metadata["namespace"]), text(&metadata["name"])), account);
    }

    /// An AgentIdentity.
    pub(crate) fn identity(&mut self, object: &Value) {
        let (metadata, spec) = (&object["metadata"], &object["spec"]);
        let secrets = spec["secrets"].as_array().into_iter().flatten();
        let rotated = secrets.filter(|s| s["rotateBy"].is_string()).map(|s| text(&s["name"])).collect();
        let identity = Identity { owner: text(&spec["owner"]["name"]), rotated };
        self.identities.insert((text(&metadata["namespace"]), text(&metadata["name"])), identity);
    }

    /// A Role or ClusterRole.
    pub(crate) fn role(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        let at = RoleRef { namespace: text(&metadata["namespace"]), name: text(&metadata["name"]) };
        self.roles.insert(at, Role::of(&object["rules"]));
    }

    /// A RoleBinding or ClusterRoleBinding.
    pub(crate) fn binding(&mut self, object: &Value) {
        self.bindings.push(Binding::of(object));
    }

    /// A Secret with a token: its metadata.
    pub(crate) fn token_secret(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        let account = text(&metadata["annotations"][TOKEN_OF]);
        self.token_secrets.insert((text(&metadata["namespace"]), text(&metadata["name"])), account);
    }

    /// A pod, as the API server writes it.
    pub(crate) fn pod(&mut self, json: &str) {
        let Ok(head) = serde_json::from_str::<Head>(json) else {
            self.gap("a pod could not be read".to_owned());
            return;
        };
        if ["Succeeded", "Failed"].contains(&head.status.phase.as_str()) {
            return;
        }
        self.pods += 1;
        let HeadMetadata { namespace, name, owner_references } = head.metadata;
        let pod = match AgentPod::parse(json) {
            Ok(pod) => pod,
            Err(refusal) => {
                self.gap(format!("pod {namespace}/{name} could not be read: {}", refusal.reason));
                return;
            }
        };
        // A pod that a node made for itself has nobody else.
        let owner = owner_references.iter().find(|o| o.controller && o.kind != "Node");
        let direct = owner.map_or_else(
            || Ref::new(&namespace, "Pod", &name),
            |owner| Ref::new(&namespace, &owner.kind, &owner.name),
        );
        let at = self.maker_of(direct, &pod);
        let workload = self.workloads.entry(at.clone()).or_default();
        workload.pods += 1;
        workload.seems(owner.and_then(|owner| agents::by_maker(&owner.api_version, &owner.kind)));
        workload.add(&at, &pod, false);
    }

    /// A Deployment, StatefulSet, DaemonSet or CronJob, after the pods: it may name an owner where they don't, and an
    /// account that is in use although no pod runs. Between its runs a CronJob is judged by its template.
    pub(crate) fn workload(&mut self, kind: &str, object: &Value) {
        let metadata = &object["metadata"];
        let at = Ref::new(&text(&metadata["namespace"]), kind, &text(&metadata["name"]));
        let spec = &object["spec"];
        let template =
            if kind == "CronJob" { &spec["jobTemplate"]["spec"]["template"] } else { &spec["template"] };
        let account = template["spec"]["serviceAccountName"].as_str().unwrap_or(DEFAULT).to_owned();
        let account = (at.namespace.clone(), account);
        if kind == "CronJob" && spec["suspend"] != true && !self.workloads.contains_key(&at) {
            self.template(&at, template, &account);
        }
        self.named.insert(account);
        if let Some(workload) = self.workloads.get_mut(&at) {
            workload.marks(&marks(&metadata["labels"]));
            workload.marks(&marks(&metadata["annotations"]));
        }
    }

    fn template(&mut self, at: &Ref, template: &Value, account: &(String, String)) {
        let Ok(pod) = AgentPod::parse(&template.to_string()) else {
            self.gap(format!("the template of {at} could not be read"));
            return;
        };
        let asked = template["spec"]["automountServiceAccountToken"].as_bool();
        let given = || self.accounts.get(account).is_none_or(|a| !a.no_token);
        let gives_token = asked.unwrap_or_else(given);
        self.workloads.entry(at.clone()).or_default().add(at, &pod, gives_token);
    }

    /// What made the pod at last. Where ReplicaSets can't be listed, the hash in the name of one leads to its Deployment.
    fn maker_of(&self, direct: Ref, pod: &AgentPod) -> Ref {
        if let Some(maker) = self.makers.get(&direct) {
            return maker.clone();
        }
        let hash = pod.label("pod-template-hash").filter(|_| direct.kind == "ReplicaSet");
        let name = hash.and_then(|hash| direct.name.strip_suffix(hash)?.strip_suffix('-'));
        match name {
            Some(name) => Ref::new(&direct.namespace, "Deployment", name),
            None => direct,
        }
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn marks(value: &Value) -> Marks {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn all_answers(object: &Value) -> Answers {
    let metadata = &object["metadata"];
    let mut answers = Answers::of(&marks(&metadata["annotations"]));
    answers.or(Answers::of(&marks(&metadata["labels"])));
    answers
}

//! RBAC as it is stored: what a role gives, and to whom a binding gives it.
//!
//! Matches as `k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go` does: `*` alone is a wildcard, and `*/sub` for
//! resources.

use super::listing::text;
use perpro_core::decide::powers::{WORKLOADS, power};
use perpro_core::decide::refusal::Reason;
use perpro_core::model::Permission;
use serde_json::Value;
use std::fmt;

/// A role: in a namespace, or a ClusterRole where that is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoleRef {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for RoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.namespace.is_empty() { "ClusterRole" } else { "Role" };
        write!(f, "{kind} {}", self.name)
    }
}

/// What is as good as more than it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Power {
    Everything,
    Escalate,
    Bind,
    Impersonate,
    ImpersonateUsers,
    MintTokens,
    NodeProxy,
    Approve,
    Admission,
    RunPods,
    ReadSecrets,
    Exec,
    ChangeImages,
}

impl Power {
    /// What whoever has it does.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Everything => "does everything",
            Self::Escalate => "writes roles with more than it has (escalate)",
            Self::Bind => "binds roles that it does not have (bind)",
            Self::Impersonate => "acts as accounts (impersonate)",
            Self::ImpersonateUsers => "acts as users or nodes (impersonate)",
            Self::MintTokens => "takes tokens of any account (serviceaccounts/token)",
            Self::NodeProxy => "commands kubelets (nodes/proxy)",
            Self::Approve => "makes itself anybody by a certificate (approve signers)",
            Self::Admission => "sees or changes every object by admission (webhooks, mutating policies)",
            Self::RunPods => "runs pods under any account",
            Self::ReadSecrets => "reads Secrets",
            Self::Exec => "gets into pods (exec, attach, portforward, proxy)",
            Self::ChangeImages => "changes the images of pods",
        }
    }

    /// Whether whoever has it in every namespace can make themselves cluster-admin.
    pub(crate) fn is_admin(self) -> bool {
        !matches!(self, Self::ReadSecrets | Self::Exec | Self::ChangeImages)
    }

    /// Whether it is nothing in a single namespace.
    fn cluster_only(self) -> bool {
        matches!(self, Self::ImpersonateUsers | Self::NodeProxy | Self::Approve | Self::Admission)
    }
}

/// What a role gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// Each with the names that it is bounded to; none is all.
    pub(super) powers: Vec<(Power, Vec<String>)>,
    /// The first `*` among verbs, groups or resources, as `verb resource`.
    pub(super) wildcard: Option<String>,
    /// Whether it reaches what is in namespaces, or writes what is in none.
    pub(super) wide: bool,
    /// Whether it gives anything but what everybody has.
    pub(super) any: bool,
}

/// Groups that only ask who somebody is and what they may.
const QUESTIONS: [&str; 2] = [AUTHENTICATION, "authorization.k8s.io"];
const AUTHENTICATION: &str = "authentication.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// Whoever writes one of these changes what others write, or is sent it. A validating webhook changes nothing, but is sent
/// Secrets, and with each TokenReview the token of an account, which may be anybody's; a validating policy sends nothing. A
/// policy or a binding alone does nothing, but its other half may be there already.
const MEDDLERS: [&str; 4] = [
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
];
/// What is answered with Secrets as they were: an empty patch is, and so are a deletion that has to wait and one of many.
/// An update is answered with what was sent.
const SHOW_SECRETS: [&str; 6] = ["get", "list", "watch", "patch", "delete", "deletecollection"];
/// Ways into pods by a connection: exec, attach and portforward are opened by the first two verbs, and what is proxied has
/// the verb of its method.
const OPEN: [&str; 5] = ["get", "create", "update", "patch", "delete"];
const DOORS: [&str; 5] = ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"];
/// Impersonation of users and nodes under a constraint (KEP-5284, `k8s.io/apiserver/pkg/endpoints/filters/impersonation`).
/// For which requests, `impersonate-on:MODE:VERB` says, maybe in another role. That is not weighed: a single verb is enough
/// as somebody who may bind roles.
const CONSTRAINED: [(&str, &str); 3] = [
    ("impersonate:user-info", "users"),
    ("impersonate:arbitrary-node", "nodes"),
    ("impersonate:associated-node", "nodes"),
];

/// A rule, as it is stored.
struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
}

impl Rule {
    fn of(rule: &Value) -> Self {
        let list = |field: &str| rule[field].as_array().into_iter().flatten().map(text).collect();
        Self {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
        }
    }

    fn covers(&self, verb: &str, group: &str, resource: &str) -> bool {
        let in_list = |list: &[String], what: &str| list.iter().any(|l| l == "*" || l == what);
        let sub = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        in_list(&self.verbs, verb)
            && in_list(&self.groups, group)
            && (in_list(&self.resources, resource) || sub.is_some_and(|sub| self.resources.contains(&sub)))
    }

    fn covers_any(&self, verbs: &[&str], group: &str, resources: &[&str]) -> bool {
        verbs.iter().any(|verb| resources.iter().any(|resource| self.covers(verb, group, resource)))
    }

    fn powers(&self) -> Vec<Power> {
        // Of a request to create there is no name yet that could be compared.
        let unnamed = self.names.is_empty();
        let star = |list: &[String]| list.iter().any(|l| l == "*");
        let everything = star(&self.verbs) && star(&self.groups) && star(&self.resources) && unnamed;
        if everything {
            return vec![Power::Everything];
        }
        let writes = ["create", "update", "patch"];
        let runs = unnamed
            && (self.covers("create", "", "pods")
                || WORKLOADS.iter().any(|(group, kind)| self.covers_any(&writes, group, &[kind])));
        [
            (Power::Escalate, self.covers_any(&["escalate"], RBAC, &["roles", "clusterroles"])),
            (Power::Bind, self.covers_any(&["bind"], RBAC, &["roles", "clusterroles"])),
            (
                Power::Impersonate,
                self.covers("impersonate", "", "serviceaccounts")
                    || self.covers("impersonate:serviceaccount", AUTHENTICATION, "serviceaccounts"),
            ),
            (
                Power::ImpersonateUsers,
                self.covers_any(&["impersonate"], "", &["users", "groups"])
                    || CONSTRAINED.iter().any(|(verb, whom)| self.covers(verb, AUTHENTICATION, whom)),
            ),
            (Power::MintTokens, self.covers("create", "", "serviceaccounts/token")),
            (Power::NodeProxy, self.covers_any(&["get", "create"], "", &["nodes/proxy"])),
            (Power::Approve, unnamed && self.covers("approve", CERTIFICATES, "signers")),
            (Power::Admission, unnamed && self.covers_any(&writes, ADMISSION, &MEDDLERS)),
            (Power::RunPods, runs),
            (Power::ReadSecrets, self.covers_any(&SHOW_SECRETS, "", &["secrets"])),
            (
                Power::Exec,
                self.covers_any(&OPEN, "", &DOORS)
                    || self.covers_any(&["update", "patch"], "", &["pods/ephemeralcontainers"]),
            ),
            // Of a pod that runs the image alone can be changed: to another program, with all that the pod has.
            (Power::ChangeImages, self.covers_any(&["update", "patch"], "", &["pods"])),
        ]
        .into_iter()
        .filter_map(|(power, has)| has.then_some(power))
        .collect()
    }

    /// The first `*`, with what it stands beside.
    fn wildcard(&self) -> Option<String> {
        let part = |list: &[String]| list.iter().any(|l| l == "*" || l.starts_with("*/"));
        let wild = part(&self.verbs) || part(&self.resources) || part(&self.groups);
        let show = |list: &[String]| list.first().cloned().unwrap_or_default();
        (wild && !self.resources.is_empty()).then(|| {
            let group = show(&self.groups);
            let dot = if group.is_empty() { "" } else { "." };
            let starred = self.resources.iter().find(|r| r.contains('*')).cloned();
            let resource = starred.unwrap_or_else(|| show(&self.resources));
            let verb = if self.verbs.iter().any(|v| v == "*") { "*".to_owned() } else { show(&self.verbs) };
            format!("{verb} on {resource}{dot}{group}")
        })
    }

    /// Whether it reaches into namespaces, or writes what is in none. Reading what is in none takes a ClusterRoleBinding,
    /// so having one says nothing.
    fn is_wide(&self) -> bool {
        let reads = |verb: &String| ["get", "list", "watch"].contains(&verb.as_str());
        let mut all = self.groups.iter().filter(|g| !QUESTIONS.contains(&g.as_str())).flat_map(|group| {
            self.resources
                .iter()
                .flat_map(move |resource| self.verbs.iter().map(move |v| (group, resource, v)))
        });
        all.any(|(group, resource, verb)| {
            let (group, resource) = (group.clone(), resource.clone());
            let asked = Permission { group, resource, name: None, verb: verb.clone() };
            !(reads(verb) && matches!(power(&asked), Err(Reason::ClusterScoped { .. })))
        })
    }
}

impl Role {
    pub(super) fn of(rules: &Value) -> Self {
        let mut role = Self::default();
        for rule in rules.as_array().into_iter().flatten().map(Rule::of) {
            for power in rule.powers() {
                let known = role.powers.iter_mut().find(|(known, _)| *known == power);
                match known {
                    // All and some is all.
                    Some((_, names)) if names.is_empty() || rule.names.is_empty() => names.clear(),
                    Some((_, names)) => names.extend(rule.names.iter().cloned()),
                    None => role.powers.push((power, rule.names.clone())),
                }
            }
            role.wildcard = role.wildcard.take().or_else(|| rule.wildcard());
            role.wide |= rule.is_wide();
            role.any |=
                !rule.powers().is_empty() || rule.groups.iter().any(|g| !QUESTIONS.contains(&g.as_str()));
        }
        role.powers.sort();
        role
    }

    /// What it gives where it is bound.
    pub(super) fn powers_in(&self, everywhere: bool) -> impl Iterator<Item = (Power, &[String])> {
        let there = move |power: Power| everywhere || !power.cluster_only();
        self.powers.iter().filter(move |(p, _)| there(*p)).map(|(power, names)| (*power, names.as_slice()))
    }
}

/// Somebody whom a binding names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    User(String),
    Group(String),
    Account { namespace: String, name: String },
}

impl Subject {
    fn of(subject: &Value, namespace: &str) -> Option<Self> {
        let name = text(&subject["name"]);
        match subject["kind"].as_str()? {
            "User" => Some(match name.strip_prefix(ACCOUNT_USER).and_then(|rest| rest.split_once(':')) {
                Some((namespace, name)) => {
                    Self::Account { namespace: namespace.to_owned(), name: name.to_owned() }
                }
                None => Self::User(name),
            }),
            "Group" => Some(Self::Group(name)),
            "ServiceAccount" => {
                let of = subject["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(namespace);
                Some(Self::Account { namespace: of.to_owned(), name })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Account { namespace, name } => write!(f, "account {namespace}/{name}"),
        }
    }
}

/// How an account is called as a user.
const ACCOUNT_USER: &str = "system:serviceaccount:";
/// Label of the bindings that an API server makes at its start.
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";

/// Who gets which role, and where.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// Empty: everywhere.
    pub(super) namespace: String,
    pub(super) role: RoleRef,
    pub(super) subjects: Vec<Subject>,
    /// Whether an API server made it for itself.
    pub(super) built_in: bool,
}

impl Binding {
    pub(super) fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let namespace = text(&metadata["namespace"]);
        let role = &object["roleRef"];
        let of = if role["kind"] == "Role" { namespace.clone() } else { String::new() };
        let subjects = object["subjects"].as_array().into_iter().flatten();
        Self {
            role: RoleRef { namespace: of, name: text(&role["name"]) },
            subjects: subjects.filter_map(|s| Subject::of(s, &namespace)).collect(),
            built_in: metadata["labels"][BOOTSTRAPPING].is_string(),
            namespace,
        }
    }
}

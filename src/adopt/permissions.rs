//! What RBAC gives to the workload's account, and what of it an identity can have.

use perpro_core::api::PermissionRule;
use perpro_core::decide::powers::{Power, power};
use perpro_core::decide::refusal::Reason;
use perpro_core::model::Permission;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Verbs as people write them; `*` stands for all.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// Most rules, and most permissions that they expand to, of an identity (AID035).
const MOST: (usize, usize) = (32, 200);
/// Most names and resources of one rule.
const MOST_OF_A_RULE: (usize, usize) = (32, 16);

/// What an account holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Held {
    /// What an identity can have of it.
    pub(super) rules: Vec<PermissionRule>,
    /// The rest, each with why.
    pub(super) left_out: Vec<String>,
    /// What to know about the rules.
    pub(super) told: Vec<String>,
    /// Whether it holds anything.
    pub(super) anything: bool,
}

/// What an account of a namespace holds by `objects`: Roles, ClusterRoles and their bindings, those of other kinds apart.
/// What it holds as one of a group stays with it, as every account is in those groups.
pub(super) fn held(account: &str, namespace: &str, objects: &[Value]) -> Held {
    let mut found = Found::default();
    for binding in objects {
        let cluster = binding["kind"] == "ClusterRoleBinding";
        if !(cluster || binding["kind"] == "RoleBinding") || !names_account(binding, account, namespace) {
            continue;
        }
        found.anything = true;
        let (from, role) = (text(&binding["metadata"]["namespace"], namespace), &binding["roleRef"]);
        let named = format!("{} {}", text(&role["kind"], "Role"), text(&role["name"], ""));
        if !cluster && from != namespace {
            found.leave(
                format!("it is in namespace {from}, and an identity has permissions in its own"),
                named,
            );
            continue;
        }
        let is_role = |o: &&Value| {
            o["kind"] == role["kind"]
                && o["metadata"]["name"] == role["name"]
                && (o["kind"] == "ClusterRole" || text(&o["metadata"]["namespace"], namespace) == from)
        };
        match objects.iter().find(is_role) {
            Some(role) => found.rules_of(role, &named, cluster),
            None => found.leave("it could not be found, so what it gives is not known".to_owned(), named),
        }
    }
    found.done()
}

fn text<'a>(value: &'a Value, or: &'a str) -> &'a str {
    value.as_str().filter(|t| !t.is_empty()).unwrap_or(or)
}

/// Whether a binding names the account, as an account or as the user that it is.
fn names_account(binding: &Value, account: &str, namespace: &str) -> bool {
    let user = format!("system:serviceaccount:{namespace}:{account}");
    binding["subjects"].as_array().into_iter().flatten().any(|subject| match subject["kind"].as_str() {
        Some("ServiceAccount") => {
            // A subject that names none is in the binding's own, which a ClusterRoleBinding does not have.
            let own = if binding["kind"] == "RoleBinding" { namespace } else { "" };
            let own = text(&binding["metadata"]["namespace"], own);
            subject["name"] == account && text(&subject["namespace"], own) == namespace
        }
        Some("User") => subject["name"] == user.as_str(),
        _ => false,
    })
}

/// One object of the API, or all of its kind.
type Object = (String, String, Option<String>);

#[derive(Default)]
struct Found {
    /// Positions in [`VERBS`].
    verbs: BTreeMap<Object, BTreeSet<usize>>,
    /// What is left out, by why and by what gives it: verbs of objects, or all of it.
    left_out: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<String>>>>,
    /// Roles that give what is kept in every other namespace too.
    everywhere: BTreeSet<String>,
    all_verbs: BTreeSet<String>,
    anything: bool,
}

impl Found {
    fn leave(&mut self, why: String, what: String) {
        self.left_out.entry(why).or_default().entry(what).or_default();
    }

    fn rules_of(&mut self, role: &Value, named: &str, cluster: bool) {
        let rules = role["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        if rules.is_empty() && role.get("aggregationRule").is_some_and(|r| !r.is_null()) {
            self.leave("it is put together by the cluster, which was not asked".to_owned(), named.to_owned());
        }
        for rule in rules {
            let list = |field: &str| -> Vec<String> {
                let items = rule[field].as_array().into_iter().flatten();
                items.filter_map(Value::as_str).map(str::to_owned).collect()
            };
            for url in list("nonResourceURLs") {
                let why = "an identity has no permission on URLs that are no resource";
                self.leave(why.to_owned(), format!("{} {url} ({named})", list("verbs").join(", ")));
            }
            let (names, verbs) = (list("resourceNames"), list("verbs"));
            for group in list("apiGroups") {
                for resource in list("resources") {
                    if self.rule(&group, &resource, &names, &verbs, named) && cluster {
                        self.everywhere.insert(named.to_owned());
                    }
                }
            }
        }
    }

    /// Takes what can be had of one rule on one resource; whether there was anything.
    fn rule(&mut self, group: &str, resource: &str, names: &[String], verbs: &[String], from: &str) -> bool {
        let permission = |verb: &str| Permission {
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: None,
            verb: verb.to_owned(),
        };
        let object = permission("").object();
        let whole = verbs.iter().any(|v| v == "*");
        let single: Vec<_> = if whole { VERBS.to_vec() } else { verbs.iter().map(String::as_str).collect() };
        let (mut kept, mut left) = (BTreeSet::new(), BTreeMap::<String, Vec<&str>>::new());
        for verb in single {
            let why = match power(&permission(verb)) {
                Ok(Power::Ordinary) => {
                    kept.extend(VERBS.iter().position(|v| *v == verb));
                    continue;
                }
                Ok(Power::Elevated) => Reason::Elevated,
                Err(reason) => reason,
            };
            left.entry(reason(&why)).or_default().push(verb);
        }
        for (why, verbs) in left {
            let names =
                if names.is_empty() { String::new() } else { format!(" \"{}\"", names.join("\", \"")) };
            let verbs = if whole && kept.is_empty() { vec!["*"] } else { verbs };
            let objects = self.left_out.entry(why).or_default().entry(from.to_owned()).or_default();
            let known = objects.entry(format!("{object}{names}")).or_default();
            for verb in verbs {
                if !known.iter().any(|v| v == verb) {
                    known.push(verb.to_owned());
                }
            }
        }
        if kept.is_empty() {
            return false;
        }
        if whole {
            self.all_verbs.insert(object);
        }
        let names = if names.is_empty() { vec![None] } else { names.iter().cloned().map(Some).collect() };
        for name in names {
            let object = (group.to_owned(), resource.to_owned(), name);
            self.verbs.entry(object).or_default().extend(&kept);
        }
        true
    }

    fn done(mut self) -> Held {
        let rules = self.fit(fold(self.verbs.clone()));
        let joined = |of: &BTreeSet<String>| of.iter().cloned().collect::<Vec<_>>().join(", ");
        let mut told = Vec::new();
        if !self.everywhere.is_empty() {
            told.push(format!(
                "{} gives what is listed in every other namespace too: an identity has it in its own only",
                joined(&self.everywhere)
            ));
        }
        if !self.all_verbs.is_empty() {
            told.push(format!(
                "verb * on {} is written as all verbs: the agent probably needs fewer",
                joined(&self.all_verbs)
            ));
        }
        let left_out =
            self.left_out.iter().map(|(why, from)| format!("{}: {why}", from_words(from))).collect();
        Held { rules, left_out, told, anything: self.anything }
    }

    /// As many rules as an identity takes.
    fn fit(&mut self, rules: Vec<PermissionRule>) -> Vec<PermissionRule> {
        let size = |r: &PermissionRule| r.resources.len() * r.resource_names.len().max(1) * r.verbs.len();
        let (mut fitting, mut sum) = (Vec::new(), 0);
        for rule in rules {
            sum += size(&rule);
            if fitting.len() < MOST.0 && sum <= MOST.1 {
                fitting.push(rule);
            } else {
                let why =
                    format!("an identity has at most {} rules and {} permissions (AID035)", MOST.0, MOST.1);
                let dot = if rule.api_groups.iter().all(String::is_empty) { "" } else { "." };
                let group = rule.api_groups.join(", ");
                let resources = rule.resources.iter().map(|r| format!("{r}{dot}{group}"));
                let resources = resources.collect::<Vec<_>>().join(", ");
                self.leave(why, format!("{} {resources}", rule.verbs.join(", ")));
            }
        }
        fitting
    }
}

/// `get, list nodes; get namespaces (ClusterRole x); Role y`.
fn from_words(from: &BTreeMap<String, BTreeMap<String, Vec<String>>>) -> String {
    let each = from.iter().map(|(from, objects)| {
        let objects: Vec<_> = objects.iter().map(|(o, verbs)| format!("{} {o}", verbs.join(", "))).collect();
        if objects.is_empty() { from.clone() } else { format!("{} ({from})", objects.join("; ")) }
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Why an agent can't have it, as admission says it.
fn reason(why: &Reason) -> String {
    let code = why.code();
    match why {
        Reason::Wildcard => format!("an agent's permissions hold no wildcard ({code})"),
        Reason::Elevated => format!(
            "it is as good as a larger role; a platform team can lift it under elevatedPermissions ({code})"
        ),
        Reason::ClusterScoped { .. } => format!("it is not in any namespace ({code})"),
        other => format!("{other} ({code})"),
    }
}

/// Rules with as little said twice as can be.
fn fold(mut verbs: BTreeMap<Object, BTreeSet<usize>>) -> Vec<PermissionRule> {
    // What holds for all of a kind need not be said of one.
    let all = verbs.clone();
    for ((group, resource, name), verbs) in &mut verbs {
        if name.is_some()
            && let Some(all) = all.get(&(group.clone(), resource.clone(), None))
        {
            verbs.retain(|v| !all.contains(v));
        }
    }
    let mut names = BTreeMap::<_, Vec<String>>::new();
    for ((group, resource, name), verbs) in verbs.into_iter().filter(|(_, v)| !v.is_empty()) {
        names.entry((group, resource, verbs, name.is_some())).or_default().extend(name);
    }
    let mut resources = BTreeMap::<_, Vec<String>>::new();
    for ((group, resource, verbs, _), names) in names {
        let chunks: Vec<_> = if names.is_empty() {
            vec![Vec::new()]
        } else {
            names.chunks(MOST_OF_A_RULE.0).map(<[_]>::to_vec).collect()
        };
        for names in chunks {
            resources.entry((group.clone(), names, verbs.clone())).or_default().push(resource.clone());
        }
    }
    let mut rules = Vec::new();
    for ((group, names, verbs), resources) in resources {
        for resources in resources.chunks(MOST_OF_A_RULE.1) {
            rules.push(PermissionRule {
                api_groups: vec![group.clone()],
                resources: resources.to_vec(),
                resource_names: names.clone(),
                verbs: verbs.iter().filter_map(|v| VERBS.get(*v)).map(|v| (*v).to_owned()).collect(),
            });
        }
    }
    rules
}

#[cfg(test)]
mod tests;

//! Who may do what, by all bindings together.

use super::listing::{Listing, SYSTEM};
use super::report::{Holding, Unused};
use super::roles::{Binding, Power, Role, Subject};
use super::workload::{DEFAULT, Ref};
use std::collections::{BTreeMap, BTreeSet};

/// Groups of all that are authenticated, and of nobody in particular: whoever is named so is everybody.
const EVERYBODY: &str = "system:authenticated";
const ACCOUNTS: &str = "system:serviceaccounts";

/// What one subject has, with where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Held<'a> {
    /// Where: `None` is everywhere.
    pub(super) namespace: Option<&'a str>,
    pub(super) role: &'a Role,
    pub(super) binding: &'a Binding,
}

/// Whether it counts what somebody can do: to objects of these names, in this namespace; none is all.
type Counts<'c> = dyn Fn(Power, &[String], Option<&str>) -> bool + 'c;

/// Bindings by whom they name.
#[derive(Debug, Default)]
pub(super) struct Holders<'a> {
    by_subject: BTreeMap<&'a Subject, Vec<Held<'a>>>,
}

impl<'a> Holders<'a> {
    pub(super) fn of(listing: &'a Listing) -> Self {
        let mut holders = Self::default();
        for binding in &listing.bindings {
            // A binding to a role that is not there gives nothing.
            let Some(role) = listing.roles.get(&binding.role) else { continue };
            let namespace = Some(binding.namespace.as_str()).filter(|n| !n.is_empty());
            for subject in &binding.subjects {
                holders.by_subject.entry(subject).or_default().push(Held { namespace, role, binding });
            }
        }
        holders
    }

    /// All that an account has: in its own name, and as one of all accounts.
    pub(super) fn of_account(&self, namespace: &str, name: &str) -> Vec<&Held<'a>> {
        let own = Subject::Account { namespace: namespace.to_owned(), name: name.to_owned() };
        let groups = [ACCOUNTS.to_owned(), format!("{ACCOUNTS}:{namespace}"), EVERYBODY.to_owned()];
        let subjects = groups.map(Subject::Group);
        [&own].into_iter().chain(&subjects).filter_map(|s| self.by_subject.get(s)).flatten().collect()
    }

    /// Who could get at agents. `agents`: their namespaces, with the Secrets that they use there.
    pub(super) fn who_can(&self, agents: &BTreeMap<String, BTreeSet<String>>) -> Vec<Holding> {
        vec![
            self.holding("admin", "Whoever can become cluster-admin, or is", &|power, names, at| {
                names.is_empty() && power.is_admin() && at.is_none()
            }),
            self.holding("act-as", "Who else can act as agents' accounts", &|power, _, at| {
                power.is_admin() && at.is_none_or(|n| agents.contains_key(n))
            }),
            self.holding("read-secrets", "Who else can read agents' Secrets", &|power, names, at| {
                let reaches = |namespace: &str, secrets: &BTreeSet<String>| {
                    at.is_none_or(|n| n == namespace)
                        && !secrets.is_empty()
                        && (names.is_empty() || names.iter().any(|n| secrets.contains(n)))
                };
                matches!(power, Power::ReadSecrets | Power::Everything)
                    && agents.iter().any(|(namespace, secrets)| reaches(namespace, secrets))
            }),
            self.holding("get-in", "Who else can get into agents' pods", &|power, _, at| {
                matches!(power, Power::Exec | Power::ChangeImages | Power::Everything)
                    && at.is_none_or(|n| agents.contains_key(n))
            }),
        ]
    }

    /// Those who hold what `counts`, besides those who could become cluster-admin, who are told once.
    fn holding(&self, id: &'static str, title: &'static str, counts: &Counts<'_>) -> Holding {
        let mut holding = Holding { id, title, holders: Vec::new(), built_in: 0 };
        for (subject, held) in &self.by_subject {
            if id != "admin" && held.iter().any(Held::is_admin) {
                continue;
            }
            let concerned = |h: &&Held<'_>| h.powers().any(|(p, names)| counts(p, names, h.namespace));
            let held: Vec<_> = held.iter().filter(concerned).collect();
            if held.is_empty() {
                continue;
            }
            if held.iter().all(|h| h.binding.built_in && is_system(subject)) {
                holding.built_in += 1;
                continue;
            }
            let whence = held.iter().map(|h| h.sentence(&|p, names| counts(p, names, h.namespace)));
            let whence: BTreeSet<_> = whence.collect();
            holding.holders.push((subject.to_string(), join(whence)));
        }
        holding
    }

    /// Accounts that neither a pod nor a template names. Kubernetes' own are used from outside of pods.
    pub(super) fn unused(&self, listing: &Listing) -> Vec<Unused> {
        let used: BTreeSet<_> = listing
            .workloads
            .iter()
            .flat_map(|(at, w)| w.accounts.keys().map(|a| (at.namespace.as_str(), a.as_str())))
            .chain(listing.named.iter().map(|(namespace, name)| (namespace.as_str(), name.as_str())))
            .collect();
        let mut unused: Vec<_> = listing
            .accounts
            .iter()
            .filter(|((namespace, name), account)| {
                let system = SYSTEM.contains(&namespace.as_str());
                name != DEFAULT
                    && !system
                    && !account.ours
                    && !used.contains(&(namespace.as_str(), name.as_str()))
            })
            .map(|((namespace, name), _)| {
                let own = Subject::Account { namespace: namespace.clone(), name: name.clone() };
                let held = self.by_subject.get(&own).into_iter().flatten();
                let roles: BTreeSet<_> = held.map(Held::whence).collect();
                Unused { at: Ref::new(namespace, "ServiceAccount", name), roles: roles.into_iter().collect() }
            })
            .collect();
        unused.sort_by_key(|u| (u.roles.is_empty(), u.at.clone()));
        unused
    }
}

impl Held<'_> {
    /// What it gives there.
    pub(super) fn powers(&self) -> impl Iterator<Item = (Power, &[String])> {
        self.role.powers_in(self.namespace.is_none())
    }

    fn is_admin(&self) -> bool {
        self.namespace.is_none() && self.powers().any(|(p, names)| p.is_admin() && names.is_empty())
    }

    /// Where it reaches.
    pub(super) fn reach(&self) -> String {
        self.namespace.map_or_else(|| "in every namespace".to_owned(), |n| format!("in {n}"))
    }

    fn whence(&self) -> String {
        format!("{} {}", self.binding.role, self.reach())
    }

    /// What it gives of that which `counts`, where, and by which role.
    pub(super) fn sentence(&self, counts: &dyn Fn(Power, &[String]) -> bool) -> String {
        let powers: Vec<_> =
            self.powers().filter(|(p, names)| counts(*p, names)).map(|(p, _)| p.words()).collect();
        format!("{} {} ({})", powers.join(", "), self.reach(), self.binding.role)
    }
}

/// Whether this is Kubernetes itself. The groups of everybody are not, whoever bound them.
fn is_system(subject: &Subject) -> bool {
    match subject {
        Subject::User(name) => name.starts_with("system:") && name != "system:anonymous",
        Subject::Group(name) => {
            let everybody = [EVERYBODY, "system:unauthenticated"].contains(&name.as_str());
            name.starts_with("system:") && !name.starts_with(ACCOUNTS) && !everybody
        }
        Subject::Account { namespace, .. } => namespace == "kube-system",
    }
}

/// Sentences that are no list of their own.
pub(super) fn join(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join("; ")
}

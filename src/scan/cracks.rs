//! The eight questions, put to every workload.

use super::agents::Certainty;
use super::holders::{Held, Holders, join};
use super::listing::{Identity, Listing, SYSTEM};
use super::marks::Answers;
use super::phrases::{NAMES, held, list, secrets_list, verb};
use super::report::{Agent, Crack, Finding, Report, Row, plural};
use super::roles::Power;
use super::workload::{DEFAULT, Ref, Tokens, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;

/// All that is told of a cluster.
pub(crate) fn report(mut listing: Listing) -> Report {
    let (gaps, notes) = (take(&mut listing.gaps), take(&mut listing.notes));
    let holders = Holders::of(&listing);
    let scene = Scene::of(&listing, &holders);
    let rows = Crack::ALL.into_iter().map(|crack| scene.row(crack)).collect();
    let holdings = holders.who_can(&scene.agents_secrets());
    let unused = holders.unused(&listing);
    let agents: Vec<_> = scene.agents().map(|(at, w)| scene.agent(at, w)).collect();
    let unowned = agents.iter().filter(|a| a.owner.is_none()).count();
    let workloads = scene.workloads.len();
    let pods = listing.pods;
    Report { unowned, rows, holdings, unused, agents, workloads, pods, gaps, notes }
}

/// The workloads that are judged, and what is shared among them.
struct Scene<'a> {
    listing: &'a Listing,
    holders: &'a Holders<'a>,
    workloads: Vec<(&'a Ref, &'a Workload)>,
    /// Workloads of each Secret.
    secrets: BTreeMap<(&'a str, &'a str), Vec<&'a Ref>>,
    /// Workloads that hold a token of each account; the second, one for the API server.
    accounts: BTreeMap<(&'a str, &'a str), Vec<&'a Ref>>,
    callers: BTreeMap<(&'a str, &'a str), Vec<&'a Ref>>,
}

/// What one workload has to do with one crack: about which thing, what, how bad.
type Found = Vec<(Ref, String, usize)>;

impl<'a> Scene<'a> {
    fn of(listing: &'a Listing, holders: &'a Holders<'a>) -> Self {
        let workloads = listing.workloads.iter().filter(|(at, _)| !SYSTEM.contains(&at.namespace.as_str()));
        let mut scene = Self {
            listing,
            holders,
            workloads: workloads.collect(),
            secrets: BTreeMap::new(),
            accounts: BTreeMap::new(),
            callers: BTreeMap::new(),
        };
        for (at, workload) in &scene.workloads {
            for secret in workload.secrets.keys() {
                scene.secrets.entry((&at.namespace, secret)).or_default().push(at);
            }
            for (account, tokens) in &workload.accounts {
                if tokens.any {
                    scene.accounts.entry((&at.namespace, account)).or_default().push(at);
                }
                if tokens.kubernetes {
                    scene.callers.entry((&at.namespace, account)).or_default().push(at);
                }
            }
        }
        scene
    }

    fn agents(&self) -> impl Iterator<Item = (&'a Ref, &'a Workload)> {
        self.workloads.iter().copied().filter(|(_, w)| w.evidence.is_some())
    }

    fn agent(&self, at: &Ref, workload: &Workload) -> Agent {
        let evidence = workload.evidence.clone();
        Agent {
            at: at.clone(),
            certainty: evidence.as_ref().map_or(Certainty::Named, |e| e.certainty),
            why: evidence.map(|e| e.why).unwrap_or_default(),
            owner: self.owner(at, workload),
            pods: workload.pods,
        }
    }

    /// The namespaces of agents, with the Secrets that they use.
    fn agents_secrets(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (at, workload) in self.agents() {
            found.entry(at.namespace.clone()).or_default().extend(workload.secrets.keys().cloned());
        }
        found
    }

    fn row(&self, crack: Crack) -> Row {
        let (mut agents, mut workloads) = (0, 0);
        // By thing: what several agents share is one finding.
        let mut findings: BTreeMap<Ref, (BTreeSet<String>, usize)> = BTreeMap::new();
        for (at, workload) in &self.workloads {
            let found = self.found(crack, at, workload);
            if found.is_empty() {
                continue;
            }
            workloads += 1;
            if workload.evidence.is_none() {
                continue;
            }
            agents += 1;
            for (at, what, weight) in found {
                let finding = findings.entry(at).or_default();
                finding.1 = finding.1.max(weight);
                finding.0.insert(what);
            }
        }
        let finding = |(at, (what, weight))| Finding { at, what: join(what), weight };
        let mut findings: Vec<_> = findings.into_iter().map(finding).collect();
        findings.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.at.cmp(&b.at)));
        Row { crack, agents, workloads: crack.can_be_closed().then_some(workloads), findings }
    }

    fn found(&self, crack: Crack, at: &Ref, workload: &Workload) -> Found {
        match crack {
            Crack::SharedCredentials => self.shared(at, workload),
            Crack::WideRoles => self.wide(at, workload),
            Crack::LongLivedKeys => self.long_lived(at, workload),
            Crack::Unmapped => self.unmapped(at, workload),
            Crack::NoOnBehalfOf if workload.holds_credentials() => {
                vec![(at.clone(), held(workload), workload.secrets.len() + workload.accounts.len())]
            }
            Crack::NoDelegation => self.standing(at, workload),
            Crack::BroadKeys => broad(at, workload),
            Crack::Untraceable => self.same_name(at, workload),
            Crack::NoOnBehalfOf => Vec::new(),
        }
    }

    fn shared(&self, at: &Ref, workload: &Workload) -> Found {
        let mut found = Found::new();
        for secret in workload.secrets.keys() {
            if let Some(users) = self.secrets.get(&(at.namespace.as_str(), secret)).filter(|u| u.len() > 1) {
                let what = format!("used by {}", list(users));
                found.push((Ref::new(&at.namespace, "Secret", secret), what, 10 * users.len()));
            }
        }
        for (account, _) in workload.accounts.iter().filter(|(_, t)| t.any) {
            let users = self.accounts.get(&(at.namespace.as_str(), account)).map_or(&[][..], Vec::as_slice);
            let of = || Ref::new(&at.namespace, "ServiceAccount", account);
            if account == DEFAULT {
                let what = format!("the account of every pod that names none: {}", list(users));
                found.push((of(), what, 5 + 10 * users.len()));
            } else if users.len() > 1 {
                found.push((of(), format!("used by {}", list(users)), 10 * users.len()));
            }
        }
        found
    }

    fn wide(&self, at: &Ref, workload: &Workload) -> Found {
        let mut found = Found::new();
        for (account, _) in workload.accounts.iter().filter(|(_, t)| t.kubernetes) {
            let held = self.holders.of_account(&at.namespace, account);
            let said: BTreeSet<_> = held.iter().filter_map(|h| too_wide(h)).collect();
            let Some(weight) = said.iter().map(|(weight, _)| *weight).max() else { continue };
            let users = self.callers.get(&(at.namespace.as_str(), account)).map_or(&[][..], Vec::as_slice);
            let what = join(said.into_iter().rev().map(|(_, what)| what));
            let what = format!("{what}; {} under it", verb(users));
            found.push((Ref::new(&at.namespace, "ServiceAccount", account), what, weight));
        }
        found
    }

    fn long_lived(&self, at: &Ref, workload: &Workload) -> Found {
        let identity = self.identity(at, workload);
        let mut weight = 0;
        let (mut env, mut files, mut said) = (Vec::new(), Vec::new(), Vec::new());
        let mut tokens = self.unmounted_tokens(at, workload);
        for (secret, taken) in &workload.secrets {
            if let Some(account) = self.listing.token_secrets.get(&(at.namespace.clone(), secret.clone())) {
                tokens.push((secret, account));
            } else if identity.is_none_or(|i| !i.rotated.contains(secret)) {
                weight += 10 + usize::from(taken.in_env);
                let list = if taken.in_env { &mut env } else { &mut files };
                list.push(secret.as_str());
            }
        }
        for (secrets, place) in [(env, "in the environment"), (files, "in files")] {
            if !secrets.is_empty() {
                let them = if secrets.len() == 1 { "it" } else { "them" };
                said.push(format!("{} {place}, with no date to replace {them}", secrets_list(&secrets)));
            }
        }
        for (secret, account) in tokens.iter().take(NAMES) {
            said.push(format!("Secret {secret} has a token of account {account} that never ends"));
        }
        weight += 50 * tokens.len();
        if let Some((account, _)) = workload.accounts.iter().find(|(_, t)| t.extended) {
            said.push(format!("a token of account {account} that nobody asked for, valid for a year"));
            weight += 5;
        }
        if said.is_empty() { Vec::new() } else { vec![(at.clone(), join(said), weight)] }
    }

    /// Secrets with a token of its accounts that it does not take itself: somebody else may have them.
    fn unmounted_tokens(&self, at: &Ref, workload: &Workload) -> Vec<(&'a str, &'a str)> {
        let secrets = self.listing.token_secrets.iter();
        let theirs = secrets.filter(|((namespace, secret), account)| {
            *namespace == at.namespace
                && workload.accounts.contains_key(*account)
                && !workload.secrets.contains_key(secret)
        });
        theirs.map(|((_, secret), account)| (secret.as_str(), account.as_str())).collect()
    }

    /// Who answers for it: as itself says, its accounts, its namespace.
    fn owner(&self, at: &Ref, workload: &Workload) -> Option<String> {
        if let Some(identity) = self.identity(at, workload) {
            return Some(format!("{} (AgentIdentity)", identity.owner));
        }
        self.answers(at, workload).owner
    }

    fn identity(&self, at: &Ref, workload: &Workload) -> Option<&'a Identity> {
        self.listing.identities.get(&(at.namespace.clone(), workload.identity.clone()?))
    }

    fn answers(&self, at: &Ref, workload: &Workload) -> Answers {
        let mut answers = workload.answers.clone();
        for account in workload.accounts.keys().filter(|a| *a != DEFAULT) {
            if let Some(account) = self.listing.accounts.get(&(at.namespace.clone(), account.clone())) {
                answers.or(account.answers.clone());
            }
        }
        if let Some(namespace) = self.listing.namespaces.get(&at.namespace) {
            answers.or(namespace.clone());
        }
        answers
    }

    fn unmapped(&self, at: &Ref, workload: &Workload) -> Found {
        if self.identity(at, workload).is_some() {
            return Vec::new();
        }
        let answers = self.answers(at, workload);
        let missing = answers.missing();
        if missing.is_empty() {
            return Vec::new();
        }
        let owner = answers.owner.as_ref().map(|o| format!("; owner {o}")).unwrap_or_default();
        let weight = if answers.owner.is_none() { 10 } else { 0 } + missing.len();
        vec![(at.clone(), format!("no {}{owner}", missing.join(", no ")), weight)]
    }

    fn standing(&self, at: &Ref, workload: &Workload) -> Found {
        let may = |(account, tokens): (&String, &Tokens)| {
            let held = || self.holders.of_account(&at.namespace, account);
            tokens.kubernetes && held().iter().any(|h| h.role.any && !h.binding.built_in)
        };
        let rights = workload.accounts.iter().any(may);
        let what = match (workload.secrets.len(), rights) {
            (0, false) => return Vec::new(),
            (0, true) => "rights at the API server".to_owned(),
            (n, false) => format!("keys of {}", plural(n, "Secret")),
            (n, true) => format!("keys of {}, and rights at the API server", plural(n, "Secret")),
        };
        vec![(
            at.clone(),
            format!("has {what}, whoever asks it"),
            workload.secrets.len() + usize::from(rights),
        )]
    }

    fn same_name(&self, at: &Ref, workload: &Workload) -> Found {
        let mut found = Found::new();
        for (account, _) in workload.accounts.iter().filter(|(_, t)| t.kubernetes) {
            let users = self.callers.get(&(at.namespace.as_str(), account.as_str()));
            if let Some(users) = users.filter(|u| u.len() > 1) {
                let what = format!("in the audit log the name of {}", list(users));
                found.push((Ref::new(&at.namespace, "ServiceAccount", account), what, users.len()));
            }
        }
        found
    }
}

/// What is wide about a role where it is bound, and how bad that is; `None` when it is no wider than a task.
fn too_wide(held: &Held<'_>) -> Option<(usize, String)> {
    let everywhere = held.namespace.is_none();
    let counts = |_: Power, names: &[String]| names.is_empty();
    let weight = |power: Power| match power {
        Power::Everything => 100,
        power if power.is_admin() => 70,
        _ => 50,
    };
    let powers = held.powers().filter(|(p, names)| counts(*p, names)).map(|(p, _)| weight(p));
    let extra = if everywhere { 25 } else { 0 };
    if let Some(worst) = powers.max() {
        return Some((worst + extra, held.sentence(&counts)));
    }
    if let Some(wildcard) = &held.role.wildcard {
        return Some((40 + extra, format!("{wildcard} {} ({})", held.reach(), held.binding.role)));
    }
    (everywhere && held.role.wide && !held.binding.built_in)
        .then(|| (25, format!("reaches every namespace ({})", held.binding.role)))
}

fn broad(at: &Ref, workload: &Workload) -> Found {
    let (mut parts, mut weight) = (Vec::new(), 0);
    for hole in &workload.holes {
        weight += if hole == "privileged" { 100 } else { 50 };
        parts.push(hole.clone());
    }
    for (secret, taken) in workload.secrets.iter().filter(|(_, t)| !t.whole.is_empty()) {
        let by: Vec<_> = taken.whole.iter().copied().collect();
        weight += if taken.in_env { 11 } else { 10 };
        parts.push(format!("all of Secret {secret} by {}", by.join(" and ")));
    }
    if parts.is_empty() { Vec::new() } else { vec![(at.clone(), parts.join(", "), weight)] }
}

//! From manifests to findings. Pure.

use super::facts::Facts;
use super::input::Input;
use super::keys::{self, Keys};
use super::made;
use super::report::{Placed, Report};
use crate::manifest::{Node, Object, templates};
use jiff::Timestamp;
use kube::ResourceExt;
use perpro_core::api::{AgentIdentity, AgentPolicy};
use perpro_core::decide::check::{
    Governance, Pod, World, as_stored, check, has_parameter, misplaced, missing_keys, plain, token_secret,
};
use perpro_core::decide::definition::Definitions;
use perpro_core::decide::refusal::{Reason, Refusal};
use perpro_core::decide::{grant, policy, widening};
use perpro_core::model::Identity;
use perpro_core::names;
use std::collections::{BTreeMap, BTreeSet};

/// The namespaces that the manifests go to.
pub(super) fn namespaces(input: &Input, namespace: &str) -> BTreeSet<String> {
    let placed = placed(input, namespace);
    let concerned = placed.iter().filter(|p| is_ours(p.object, IDENTITY) || !templates(p.object).is_empty());
    concerned.map(|p| p.namespace.clone()).collect()
}

const IDENTITY: &str = "AgentIdentity";
const POLICY: &str = "AgentPolicy";
pub(super) const SECRET: &str = "Secret";

fn is_ours(object: &Object, kind: &str) -> bool {
    object.group() == names::GROUP && object.kind == kind
}

fn placed<'a>(input: &'a Input, namespace: &str) -> Vec<Placed<'a>> {
    let mut placed = Vec::new();
    for file in &input.files {
        placed.extend(file.manifest.objects.iter().map(|object| Placed {
            file,
            object,
            // One that is a parameter is as good as none.
            namespace: object.namespace().filter(|n| !has_parameter(n)).unwrap_or(namespace).to_owned(),
        }));
    }
    placed
}

/// Everything that would be refused, or warned of, if the manifests were applied to where `facts` were found.
pub(super) fn judge<'a>(
    input: &'a Input,
    facts: &Facts,
    namespace: &str,
    enforce: Option<Governance>,
    now: Timestamp,
) -> Report<'a> {
    let placed = placed(input, namespace);
    let mut report = Report::of(input);
    let written = report.written(&placed, facts, now);
    let world = world(&written, facts, now);
    report.identities(&written, &world, facts, now);
    report.keys(&written, &keys::of(placed.iter().map(|p| (p.namespace.as_str(), p.object))));
    let governed = governed(&placed);
    for placed in &placed {
        let said = governance(&placed.namespace, &governed, facts, enforce);
        report.pods(placed, said.unwrap_or(Governance::Agents), &world, now);
        report.secret(placed, said);
    }
    report.in_order_of(input)
}

/// Our own kinds among the manifests, as far as they can be read.
struct Written<'p, 'a> {
    identities: Vec<(&'p Placed<'a>, Option<AgentIdentity>)>,
    policies: Vec<AgentPolicy>,
}

/// How the namespaces say that they are governed that are themselves among the manifests.
fn governed(placed: &[Placed<'_>]) -> BTreeMap<String, Governance> {
    let label = |o: &Object| {
        let label = o.node.at(&["metadata", "labels", names::ENFORCE_LABEL])?.text()?;
        Some((o.name()?.to_owned(), Governance::of(Some(label))))
    };
    let namespaces =
        placed.iter().map(|p| p.object).filter(|o| o.group().is_empty() && o.kind == "Namespace");
    namespaces.filter_map(label).collect()
}

/// How a namespace is governed: as the person says, the manifest of the namespace, the cluster, in this order. `None`
/// for one that nobody knows, which may be labelled elsewhere.
fn governance(
    namespace: &str,
    written: &BTreeMap<String, Governance>,
    facts: &Facts,
    enforce: Option<Governance>,
) -> Option<Governance> {
    if namespace == names::KUBE_SYSTEM {
        return Some(Governance::Nobody);
    }
    let in_cluster = || Some(facts.governed.as_ref()?.get(namespace).copied().unwrap_or(Governance::Nobody));
    enforce.or_else(|| written.get(namespace).copied()).or_else(in_cluster)
}

fn world(written: &Written<'_, '_>, facts: &Facts, now: Timestamp) -> World {
    let mut policies = facts.policies.clone();
    policies.retain(|p| written.policies.iter().all(|w| w.name_any() != p.name_any()));
    policies.extend(written.policies.iter().cloned());
    let mut world = World::new(policies, facts.asked);
    let mut identities: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (namespace, found) in &facts.identities {
        identities.insert(namespace, found.clone());
    }
    for (turn, (placed, identity)) in written.identities.iter().enumerate() {
        let all = identities.entry(&placed.namespace).or_default();
        let name = placed.object.name().unwrap_or_default();
        let live = all.iter().position(|i| i.name == name).map(|at| all.swap_remove(at));
        if let Some(identity) = identity {
            all.push(as_stored(identity.clone(), &placed.namespace, live.as_ref(), turn, now));
        }
    }
    for (namespace, all) in identities {
        world.add(namespace, all);
    }
    for (placed, _) in written.identities.iter().filter(|(_, identity)| identity.is_none()) {
        world.add_unreadable(&placed.namespace, placed.object.name().unwrap_or_default());
    }
    world
}

/// What each kind of object adds.
impl<'a> Report<'a> {
    /// Reads our own kinds, and tells what their definitions refuse.
    fn written<'p>(&mut self, placed: &'p [Placed<'a>], facts: &Facts, now: Timestamp) -> Written<'p, 'a> {
        let mut written = Written { identities: Vec::new(), policies: Vec::new() };
        let mut definitions = None;
        for placed in placed {
            let object = placed.object;
            if is_ours(object, IDENTITY) {
                let definitions: &Definitions = definitions.get_or_insert_default();
                let judged = definitions.identity(&object.node.to_json());
                let bounded = judged.object.filter(|i| grant::is_bounded(&i.spec));
                self.tell(placed, "", judged.refusals, Vec::new());
                written.identities.push((placed, bounded));
            } else if is_ours(object, POLICY) {
                let definitions: &Definitions = definitions.get_or_insert_default();
                let judged = definitions.policy(&object.node.to_json());
                self.tell(placed, "", judged.refusals, Vec::new());
                if let Some(read) = judged.object.filter(|p| policy::is_bounded(&p.spec)) {
                    let old =
                        facts.policies.iter().find(|p| p.name_any() == read.name_any()).map(|p| &p.spec);
                    let (refusals, warnings) = policy::judge(&read.spec, old, now);
                    self.tell(placed, "", refusals, warnings);
                    written.policies.push(read);
                }
            }
        }
        written
    }

    /// Tells what goes over the ceilings.
    fn identities(&mut self, written: &Written<'_, 'a>, world: &World, facts: &Facts, now: Timestamp) {
        for (placed, identity) in &written.identities {
            let Some(identity) = identity else { continue };
            let live = facts.identities.get(&placed.namespace).into_iter().flatten();
            let narrows =
                |live: &&Identity| live.author.is_some() && widening::narrows(&live.spec, &identity.spec);
            if live.into_iter().filter(|live| live.name == identity.name_any()).any(|live| narrows(&live)) {
                // It is stored already, or was more: nobody is asked again.
                continue;
            }
            let ceiling = world.ceiling(&placed.namespace);
            let (mut refusals, mut warnings) = grant::judge(&identity.spec, &ceiling, now);
            if world.may_have_other_policies() {
                // A policy that is not here may allow a longer life, and there will be one.
                let lives = |r: &Refusal| matches!(r.reason, Reason::LivesTooLong { .. });
                warnings.extend(refusals.extract_if(.., |r| lives(r)));
                warnings.retain(|r| r.code() != Reason::NoPolicy.code());
            }
            self.tell(placed, "", refusals, warnings);
        }
    }

    /// Tells of keys that are not in a Secret which is among the manifests.
    fn keys(&mut self, written: &Written<'_, 'a>, keys: &Keys) {
        for (placed, identity) in &written.identities {
            let (Some(identity), Some(keys)) = (identity, keys.get(&placed.namespace)) else { continue };
            self.tell(placed, "", Vec::new(), missing_keys(&identity.spec, keys));
        }
    }

    fn pods(&mut self, placed: &Placed<'a>, governance: Governance, world: &World, now: Timestamp) {
        for template in templates(placed.object) {
            self.pods += 1;
            if !template.partial {
                self.tell(placed, "", Vec::new(), misplaced_labels(placed.object, &template.path));
            }
            let labels = template.node.at(&["metadata", "labels"]);
            let has = |label| labels.is_some_and(|l| l.get(label).is_some());
            let is_agent =
                governance == Governance::All || has(names::IDENTITY_LABEL) || has(names::AGENT_LABEL);
            if !is_agent && !world.has_owned_secrets(&placed.namespace) {
                // None of ours, like most: seen before anything is made of it.
                continue;
            }
            let mut json = template.node.to_json();
            if !template.path.is_empty() {
                made::by(placed.object, &mut json);
            }
            let pod =
                Pod { written: &json, namespace: &placed.namespace, governance, partial: template.partial };
            let Some(outcome) = check(pod, world, now) else {
                self.tell(placed, &template.path, Vec::new(), plain(pod, world));
                continue;
            };
            self.agents += 1;
            if outcome.unseen
                && let Some(name) = &outcome.identity
            {
                self.unseen.insert(format!("{}/{name}", placed.namespace));
            }
            self.tell(placed, &template.path, outcome.verdict.refusals, outcome.verdict.warnings);
        }
    }

    /// Tells of a Secret that is to hold a token. `governance`: of its namespace, if anybody says it.
    fn secret(&mut self, placed: &Placed<'a>, governance: Option<Governance>) {
        let object = placed.object;
        if !object.group().is_empty() || object.kind != SECRET {
            return;
        }
        let Some(refusal) = token_secret(&object.node.to_json()) else { return };
        let (mut refusals, mut warnings) = (Vec::new(), Vec::new());
        match governance {
            // No namespace has one for an agent's account.
            _ if matches!(refusal.reason, Reason::TokenOfAgent) => refusals.push(refusal),
            Some(Governance::Nobody) => {}
            Some(Governance::All | Governance::Agents) => refusals.push(refusal),
            None => warnings.push(refusal),
        }
        self.tell(placed, "", refusals, warnings);
    }
}

/// Of the kinds of others nobody knows which labels their controllers give to pods.
fn misplaced_labels(object: &Object, template: &str) -> Vec<Refusal> {
    misplaced(template, |at, label| {
        let labels = object.node.at(at).and_then(|node| node.at(&["metadata", "labels"]));
        labels.and_then(|labels| labels.get(label)).map(Node::to_json).unwrap_or_default()
    })
}

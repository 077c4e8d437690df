//! From a workload as it is to the identity, the policy and the template under which it can do the same. Pure.
//!
//! What it uses is read off its template and off what the cluster says as plain data; what nobody could know is said.

mod applying;
mod clean;
mod env;
mod identity;
mod keys;
mod notes;
mod permissions;
mod policy;
mod shared;
mod target;
mod template;
mod volumes;
mod yaml;

pub(crate) use keys::Secret;
pub(crate) use target::{KINDS, Kind, Target};

use crate::manifest::{Node, Object};
use env::{containers, text};
use identity::{Beside, Said};
use jiff::Timestamp;
use keys::{Keys, Secrets};
use notes::Notes;
use permissions::Held;
use perpro_core::api::{AgentIdentitySpec, AgentPolicy, Owner};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::names;
use serde_json::Value;
use shared::Other;
use std::collections::BTreeSet;
use template::{Listed, in_namespace, label, listed, names_in, run_as, with_usual_token};
use volumes::Tokens;

/// What a person says of the agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// Name of the identity; that of the workload, when not said.
    pub(crate) name: Option<String>,
    pub(crate) owner: Option<Owner>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) justification: Option<String>,
    /// When the Secrets must have been replaced; when the identity ends, when not said.
    pub(crate) rotate_by: Option<Timestamp>,
}

/// What is known beside the workload.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Roles and their bindings, service accounts, other workloads. No Secrets.
    pub(crate) objects: Vec<Value>,
    pub(crate) secrets: Secrets,
    pub(crate) policies: Vec<AgentPolicy>,
    /// Whether the namespace has identities already.
    pub(crate) other_identities: bool,
    /// Why it is not known what the account holds, where it isn't.
    pub(crate) rbac_unknown: Option<String>,
}

/// What is to be applied, and what to know.
#[derive(Debug)]
pub(crate) struct Adopted {
    /// YAML documents, in the order in which they are applied.
    pub(crate) text: String,
    /// What only a person can say, and did not: flags.
    pub(crate) missing: Vec<&'static str>,
    pub(crate) notes: Vec<String>,
    /// Whether the account holds what the identity can't have.
    pub(crate) holds_less: bool,
    /// The identity's name.
    pub(crate) identity: String,
}

/// Names of the Secrets whose keys must be known to adopt it.
pub(crate) fn secrets_to_look_at(object: &Object, kind: &Kind) -> BTreeSet<String> {
    let Some(spec) = object.node.at(kind.template).and_then(|t| t.get("spec")) else {
        return BTreeSet::new();
    };
    let in_env = containers(spec).flat_map(env::whole);
    in_env.chain(volumes::whole(spec)).map(str::to_owned).collect()
}

/// The account that an object's pods run on.
pub(crate) fn account<'a>(object: &'a Object, kind: &Kind) -> &'a str {
    let spec = object.node.at(kind.template).and_then(|t| t.get("spec"));
    let named =
        spec.map(|s| [text(s, &["serviceAccountName"]), text(s, &["serviceAccount"])]).unwrap_or_default();
    named.into_iter().find(|n| !n.is_empty()).unwrap_or("default")
}

/// The name of the identity that an object's pods name already.
pub(crate) fn identity_of<'a>(object: &'a Object, kind: &Kind) -> Option<&'a str> {
    let template = object.node.at(kind.template)?;
    template.at(&["metadata", "labels", names::IDENTITY_LABEL])?.text()
}

/// What makes the object, if something does: that is what is to be adopted.
pub(crate) fn made_by(object: &Object) -> Option<String> {
    let owners = object.node.at(&["metadata", "ownerReferences"]).map(Node::items).unwrap_or_default();
    let owner = owners.iter().find(|o| env::is_true(o.get("controller")))?;
    Some(format!("{}/{}", text(owner, &["kind"]).to_ascii_lowercase(), text(owner, &["name"])))
}

/// What to apply so that the workload runs under an identity of its own and gets what it uses today.
///
/// # Errors
/// When it has no pods to speak of, or a name that no identity can have.
pub(crate) fn adopt(
    target: &Target,
    object: &Object,
    namespace: &str,
    known: &Known,
    wish: &Wish,
    now: Timestamp,
) -> Result<Adopted, String> {
    let name = identity_name(target, object, wish)?;
    let account_name = account(object, target.kind).to_owned();
    let mut document = object.node.clone();
    clean::clean(&mut document, target.kind);
    let mut notes = Notes::default();
    let mut keys = Keys::default();
    let ceiling = Ceiling::of(namespace, &known.policies);
    let mut tokens = Tokens { seconds: ceiling.kubernetes_token_seconds(), mounted: BTreeSet::new() };
    let Some(spec) = document.at_mut(target.kind.template).and_then(|t| t.get_mut("spec")) else {
        return Err(format!("{target} has no pod template"));
    };
    if containers(spec).next().is_none() {
        return Err(format!("{target} has no containers"));
    }
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).map(Node::items_mut).unwrap_or_default() {
            env::adopt(container, &known.secrets, &mut keys, &mut notes);
        }
    }
    volumes::adopt(spec, &known.secrets, &mut keys, &mut tokens, &mut notes);

    let service_account = known.objects.iter().find(|o| {
        o["kind"] == "ServiceAccount"
            && o["metadata"]["name"] == account_name.as_str()
            && o["metadata"]["namespace"].as_str().is_none_or(|n| n == namespace)
    });
    let held = permissions::held(&account_name, namespace, &known.objects);
    let usual = with_usual_token(spec, service_account);
    if let Some(why) = known.rbac_unknown.as_ref().filter(|_| !usual.is_empty() && !held.anything) {
        notes.tell(format!(
            "what service account \"{account_name}\" holds is not known ({why}), so no permission is listed, and no container \
             gets a token"
        ));
    }
    run_as(spec, &account_name, service_account);
    let pull_secrets: Vec<_> = names_in(spec, "imagePullSecrets");
    let with_token = |name: &str| tokens.mounted.contains(name) || (held.anything && usual.contains(name));
    let Listed { containers, images, prefixes } = listed(spec, &keys, with_token, &mut notes);
    let secrets = keys.secrets();
    tell_of_others(
        &shared::others(&known.objects, namespace, &target.to_string()),
        &secrets,
        held.anything.then_some(account_name.as_str()),
        &mut notes,
    );
    held.left_out.iter().for_each(|left| notes.tell(format!("left out: {left}")));
    held.told.iter().for_each(|told| notes.tell(told.clone()));
    let said = Said::of(wish);
    if !secrets.is_empty() && wish.rotate_by.is_none() {
        notes.tell("rotateBy of each Secret is when the identity ends: say an earlier date where a key must be replaced \
            sooner (--rotate-by)".to_owned());
    }
    let identity = said.spec(&held.rules, &secrets, containers, now);
    label(&mut document, target.kind, &name);
    let (policies, told) =
        ceilings(namespace, known, &identity, &said, [&images, &prefixes, &pull_secrets], now);
    told.into_iter().for_each(|t| notes.tell(t));
    applying::told(target, object, namespace).into_iter().for_each(|words| notes.tell(words));
    let beside = Beside { permissions: of_permissions(&held, known), secrets: notes.beside };
    let mut documents = policies;
    documents.push(identity::document(&name, namespace, &identity, &said, &beside));
    documents.push(in_namespace(document, namespace));
    let text = documents.iter().map(yaml::document).collect::<Vec<_>>().join("---\n");
    Ok(Adopted {
        text,
        missing: said.missing(),
        notes: notes.told,
        holds_less: !held.left_out.is_empty(),
        identity: name,
    })
}

/// The workload alone, as it is.
pub(crate) fn as_written(target: &Target, object: &Object, namespace: &str) -> String {
    let mut document = object.node.clone();
    clean::clean(&mut document, target.kind);
    yaml::document(&in_namespace(document, namespace))
}

fn ceilings(
    namespace: &str,
    known: &Known,
    identity: &AgentIdentitySpec,
    said: &Said<'_>,
    [images, prefixes, pull_secrets]: [&Vec<String>; 3],
    now: Timestamp,
) -> (Vec<Node>, Vec<String>) {
    let says = (said.owner().is_some(), said.expires().is_some());
    policy::written(
        namespace,
        &known.policies,
        &policy::Need {
            identity,
            says,
            images,
            prefixes,
            pull_secrets,
            beside_others: known.other_identities,
            now,
        },
    )
}

/// What is said beside the permissions.
fn of_permissions(held: &Held, known: &Known) -> Vec<String> {
    let left = held.left_out.iter().map(|left| format!("Left out: {left}"));
    let unknown =
        known.rbac_unknown.iter().map(|why| format!("What the service account holds is not known: {why}."));
    left.chain(unknown).collect()
}

/// Says who else uses its Secrets, and its account where that holds something.
fn tell_of_others(others: &[Other], secrets: &[&str], account: Option<&str>, notes: &mut Notes) {
    for (secret, users) in shared::users(others, secrets) {
        let words = format!(
            "Secret \"{secret}\" is used by {} too; a Secret belongs to one identity, so give this agent or them another one, \
             with a key of its own",
            users.join(", ")
        );
        notes.beside(secret, words.clone());
        notes.tell(words);
    }
    let same = account.map(|account| shared::on_account(others, account)).unwrap_or_default();
    if let Some(account) = account.filter(|_| !same.is_empty()) {
        notes.tell(format!(
            "service account \"{account}\" is used by {} too, so not all that it holds is needed here",
            same.join(", ")
        ));
    }
}

/// A comment about each line of a text, put above it.
pub(crate) fn annotate(text: &str, comments: &[(u32, String)]) -> String {
    let mut out = String::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        for (_, words) in comments.iter().filter(|(at, _)| *at == number) {
            out.push_str(&yaml::commented(words, &indent));
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn identity_name(target: &Target, object: &Object, wish: &Wish) -> Result<String, String> {
    let own = || identity_of(object, target.kind).map(str::to_owned);
    let name = wish.name.clone().or_else(own).unwrap_or_else(|| target.name.clone());
    if names::is_identity_name(&name) {
        return Ok(name);
    }
    Err(format!(
        "\"{name}\" is no name of an AgentIdentity, which is a DNS label of at most {} characters; give one by --name",
        names::MAX_IDENTITY_NAME
    ))
}

#[cfg(test)]
mod tests;

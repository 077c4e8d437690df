//! Secrets and tokens in volumes: whole Secrets become lists of their keys, at the paths where they were.

use super::env::{containers, is_true, text};
use super::keys::{Keys, Secret, Secrets};
use super::notes::Notes;
use super::yaml::comment;
use crate::manifest::{Data, Node};
use serde_json::json;
use std::collections::BTreeSet;

/// What bounds the tokens of the namespace, in seconds.
pub(super) struct Tokens {
    pub(super) seconds: u32,
    /// Containers that have a token of the API server's in a volume of their own.
    pub(super) mounted: BTreeSet<String>,
}

/// Sources of a projected volume that bring a credential.
const CREDENTIALS: [&str; 3] = ["secret", "serviceAccountToken", "podCertificate"];

/// Where a container has a volume.
struct Mount {
    container: String,
    /// The one file of it that it has.
    file: Option<String>,
}

/// Takes the keys in the volumes of a pod, and writes those of whole Secrets out.
pub(super) fn adopt(
    spec: &mut Node,
    secrets: &Secrets,
    keys: &mut Keys,
    tokens: &mut Tokens,
    notes: &mut Notes,
) {
    let mounts = mounts(spec);
    for volume in spec.get_mut("volumes").map(Node::items_mut).unwrap_or_default() {
        let name = text(volume, &["name"]).to_owned();
        let mounts: Vec<_> = mounts.iter().filter(|(v, _)| *v == name).map(|(_, m)| m).collect();
        let brings = |s: &Node| CREDENTIALS.iter().any(|source| s.get(source).is_some());
        let holds = volume.get("secret").is_some() || sources(volume).iter().any(brings);
        if holds && mounts.is_empty() {
            empty(volume, "Held credentials, and no container mounts it.");
            notes.tell(format!(
                "volume \"{name}\" is left empty: it holds credentials, and no container mounts it"
            ));
            continue;
        }
        let mut work = Work { volume: &name, mounts: &mounts, secrets, keys, notes };
        if let Some(source) = volume.get_mut("secret") {
            let secret = text(source, &["secretName"]).to_owned();
            if !work.secret(source, &secret, true) {
                empty(volume, "Held a Secret without keys, or an optional one that does not exist.");
            }
            continue;
        }
        let Some(Data::List(list)) = volume.at_mut(&["projected", "sources"]).map(|s| &mut s.data) else {
            continue;
        };
        let before = list.len();
        list.retain_mut(|source| match source.get_mut("secret") {
            Some(source) => {
                let secret = text(source, &["name"]).to_owned();
                work.secret(source, &secret, false)
            }
            None => true,
        });
        for source in list.iter_mut() {
            work.token(source, tokens);
        }
        if list.is_empty() && before > 0 {
            empty(volume, "Held a Secret without keys, or an optional one that does not exist.");
        }
    }
}

fn mounts(spec: &Node) -> Vec<(String, Mount)> {
    let mut found = Vec::new();
    for container in containers(spec) {
        for mount in container.get("volumeMounts").map(Node::items).unwrap_or_default() {
            let file = mount.get("subPath").and_then(Node::text).filter(|p| !p.is_empty());
            let file = file.map(str::to_owned).filter(|_| mount.get("subPathExpr").is_none());
            let container = text(container, &["name"]).to_owned();
            found.push((text(mount, &["name"]).to_owned(), Mount { container, file }));
        }
    }
    found
}

fn sources(volume: &Node) -> &[Node] {
    volume.at(&["projected", "sources"]).map(Node::items).unwrap_or_default()
}

/// Makes it a folder without anything in it. To take it away would not do: kubectl apply leaves alone what is not
/// mentioned and it did not write.
fn empty(volume: &mut Node, why: &str) {
    let name = volume.get("name").cloned().unwrap_or_else(|| Node::of_text(""));
    *volume = Node::of_fields([("name", name), ("emptyDir", Node::of_fields([]))]);
    volume.fields_mut().into_iter().for_each(|fields| fields.insert(1, comment(why)));
}

/// What is done to one volume.
struct Work<'a> {
    volume: &'a str,
    mounts: &'a [&'a Mount],
    secrets: &'a Secrets,
    keys: &'a mut Keys,
    notes: &'a mut Notes,
}

impl Work<'_> {
    /// Takes the keys of a source; `false` when there is nothing left of it. `alone`: all files of the volume are of it.
    fn secret(&mut self, source: &mut Node, secret: &str, alone: bool) -> bool {
        let optional = is_true(source.get("optional"));
        let known = self.secrets.of(secret);
        let first = self.mounts.first().map(|m| m.container.as_str()).unwrap_or_default();
        if optional && known == Secret::Missing {
            self.notes.absent(secret, first);
            return false;
        }
        if source.get("items").is_none_or(Node::is_empty) {
            let files: Option<BTreeSet<_>> = self.mounts.iter().map(|m| m.file.clone()).collect();
            let names = match (files.filter(|f| alone && f.iter().all(|f| !f.contains('/'))), &known) {
                // Who mounts single files needs no others.
                (Some(files), _) => files,
                (None, Secret::Keys(names)) => {
                    self.notes.whole(secret, first, &format!("volume \"{}\"", self.volume), names);
                    names.clone()
                }
                (None, Secret::Missing) => {
                    let why = "it does not exist, so the pod does not start today either";
                    self.notes.unknown(secret, first, &format!("volume \"{}\"", self.volume), why);
                    return true;
                }
                (None, Secret::Unknown(why)) => {
                    self.notes.unknown(secret, first, &format!("volume \"{}\"", self.volume), why);
                    return true;
                }
            };
            if names.is_empty() {
                return false;
            }
            let items = names
                .iter()
                .map(|k| Node::of_fields([("key", Node::of_text(k)), ("path", Node::of_text(k))]));
            source.set("items", Node::of_items(items.collect()));
        }
        if optional
            && let (Secret::Keys(names), Some(Data::List(items))) =
                (&known, source.get_mut("items").map(|i| &mut i.data))
        {
            items.retain(|i| names.contains(text(i, &["key"])));
            if items.is_empty() {
                return false;
            }
        }
        if optional && matches!(known, Secret::Unknown(_)) {
            self.notes.tell(format!(
                "Secret \"{secret}\" is optional in volume \"{}\"; listed by an identity it must exist for the pod to start",
                self.volume
            ));
        }
        let items: Vec<_> = source.get("items").map(Node::items).unwrap_or_default().to_vec();
        for mount in self.mounts {
            for item in &items {
                self.keys.in_file(&mount.container, secret, text(item, &["key"]));
            }
        }
        true
    }

    /// Makes a token of the API server's as short as the namespace wants it. Those for others can't be adopted.
    fn token(&mut self, source: &mut Node, tokens: &mut Tokens) {
        let Some(token) = source.get_mut("serviceAccountToken") else { return };
        if !text(token, &["audience"]).is_empty() {
            return;
        }
        tokens.mounted.extend(self.mounts.iter().map(|m| m.container.clone()));
        let seconds = match token.get("expirationSeconds").map(|n| &n.data) {
            Some(Data::Number(n)) => n.as_u64().unwrap_or(u64::MAX),
            _ => 3600,
        };
        if seconds > u64::from(tokens.seconds) {
            token.set("expirationSeconds", Node::of_json(json!(tokens.seconds)));
            self.notes.tell(format!(
                "the token in volume \"{}\" lives {} seconds, as the namespace's policies want it; before {seconds}",
                self.volume, tokens.seconds
            ));
        }
    }
}

/// Secrets whose key names must be known: those in volumes without items, and optional ones.
pub(super) fn whole(spec: &Node) -> Vec<&str> {
    let mut found = Vec::new();
    for volume in spec.get("volumes").map(Node::items).unwrap_or_default() {
        let own = volume.get("secret").map(|s| (s, text(s, &["secretName"])));
        let projected =
            sources(volume).iter().filter_map(|s| s.get("secret")).map(|s| (s, text(s, &["name"])));
        for (source, name) in own.into_iter().chain(projected) {
            if source.get("items").is_none_or(Node::is_empty) || is_true(source.get("optional")) {
                found.push(name);
            }
        }
    }
    found
}

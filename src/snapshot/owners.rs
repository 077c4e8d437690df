//! To whom the Secrets of a namespace belong. Every decision on a pod asks, and all identities of the namespace have a
//! say in it, but seldom another one: so the answer is kept until a spec changes. A status changes often, and nothing
//! here.

use kube::ResourceExt;
use kube::runtime::watcher::Event;
use perpro_core::model::{Identity, SecretOwners};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What was asked for.
#[derive(Clone, Default)]
pub(super) struct Owners(Arc<RwLock<Kept>>);

#[derive(Default)]
struct Kept {
    by_namespace: HashMap<String, Known>,
    /// What is read while something changes may be old, and is not kept.
    changes: u64,
}

struct Known {
    owners: Arc<SecretOwners>,
    /// The identities that it was read from: UID and generation by name.
    of: HashMap<String, (String, i64)>,
}

impl Known {
    fn says(&self, identity: &impl ResourceExt) -> bool {
        let version = identity.uid().zip(identity.meta().generation);
        version.is_some() && self.of.get(&identity.name_any()) == version.as_ref()
    }
}

impl Owners {
    /// The owners in a namespace, from its identities by `read` if they are not known.
    pub(super) fn of(&self, namespace: &str, read: impl FnOnce() -> Vec<Identity>) -> Arc<SecretOwners> {
        let changes = {
            let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = kept.by_namespace.get(namespace) {
                return known.owners.clone();
            }
            kept.changes
        };
        let found = read();
        let owners = Arc::new(SecretOwners::among(&found));
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Of a namespace without identities nothing is kept: anybody can make up its name.
        if kept.changes == changes && !found.is_empty() {
            let of = found.into_iter().map(|i| (i.name, (i.uid, i.generation))).collect();
            kept.by_namespace.insert(namespace.to_owned(), Known { owners: owners.clone(), of });
        }
        owners
    }

    /// Forgets what an event of their watch makes old; the store that `read` reads has seen it already.
    pub(super) fn forget(&self, event: &Event<impl ResourceExt>) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Event::Apply(object) | Event::Delete(object) = event {
            let namespace = object.namespace().unwrap_or_default();
            let known = kept.by_namespace.get(&namespace);
            if matches!(event, Event::Apply(_)) && known.is_some_and(|known| known.says(object)) {
                return;
            }
            kept.by_namespace.remove(&namespace);
        } else {
            kept.by_namespace.clear();
        }
        kept.changes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perpro_core::api::AgentIdentity;
    use serde_json::json;

    fn object(namespace: &str, generation: i64) -> AgentIdentity {
        let metadata = json!({"name": "bot", "namespace": namespace, "uid": "u", "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z"});
        let spec = json!({"owner": {"kind": "User", "name": "jane"}, "expiresAt": "2036-01-01T00:00:00Z",
            "justification": "Answers questions."});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn one(namespace: &str) -> Vec<Identity> {
        Identity::from_object(&object(namespace, 1)).into_iter().collect()
    }

    fn is_known(owners: &Owners, namespace: &str) -> bool {
        let mut asked = false;
        owners.of(namespace, || {
            asked = true;
            one(namespace)
        });
        !asked
    }

    #[test]
    fn a_change_makes_one_namespace_unknown_and_a_new_list_all() {
        let owners = Owners::default();
        assert!(!is_known(&owners, "a") && is_known(&owners, "a"));
        assert!(!is_known(&owners, "b"));
        owners.forget(&Event::Apply(object("a", 2)));
        assert!(is_known(&owners, "b") && !is_known(&owners, "a"));
        owners.forget(&Event::Delete(object("a", 2)));
        assert!(is_known(&owners, "b") && !is_known(&owners, "a"));
        owners.forget(&Event::<AgentIdentity>::InitDone);
        assert!(!is_known(&owners, "a") && !is_known(&owners, "b"));
    }

    #[test]
    fn another_status_changes_nothing() {
        let owners = Owners::default();
        assert!(!is_known(&owners, "a"));
        owners.forget(&Event::Apply(object("a", 1)));
        assert!(is_known(&owners, "a"));
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let owners = Owners::default();
        owners.of("a", || {
            owners.forget(&Event::Apply(object("a", 2)));
            one("a")
        });
        assert!(!is_known(&owners, "a"));
    }

    #[test]
    fn of_namespaces_without_identities_nothing_is_kept() {
        let owners = Owners::default();
        for made_up in 0..100 {
            owners.of(&format!("n{made_up}"), Vec::new);
        }
        assert!(owners.0.read().unwrap().by_namespace.is_empty());
    }
}

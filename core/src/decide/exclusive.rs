//! Which Secrets are an identity's alone: it owns them, and no pod without identity names them.
//!
//! Only those are claimed, and pods without identity kept off them: what ran before the identity goes on. Nobody is
//! told apart by time: a pod that came in while we were about to claim is seen at the next look, and unclaims.

use crate::api::MAX_SECRETS;
use crate::model::{Identity, PlainPod, SecretOwners};
use std::collections::BTreeMap;

/// Most pods that are named for one Secret.
const NAMED: usize = 3;

/// Whose the Secrets of a namespace are: what its GovernedNamespace says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Secrets that are an identity's alone, each with its name.
    pub claimed: BTreeMap<String, String>,
    /// Secrets of identities that pods without identity name, each with these pods.
    pub in_use: BTreeMap<String, String>,
}

/// What is to be said of the Secrets that have an owner, given the pods without identity that have not finished. Of too
/// many those of the oldest identities.
#[must_use]
pub fn claims(owners: &SecretOwners, pods: &[PlainPod]) -> Claims {
    let mut users = BTreeMap::<&str, Vec<&str>>::new();
    for pod in pods {
        for secret in pod.secrets.iter().filter(|s| owners.of(s).is_some()) {
            users.entry(secret).or_default().push(&pod.name);
        }
    }
    let mut owned: Vec<_> = owners.all().collect();
    owned.sort_by_key(|(secret, owner)| (*owner, *secret));
    let mut claims = Claims::default();
    for (secret, owner) in owned.into_iter().take(MAX_SECRETS) {
        match users.get_mut(secret) {
            Some(pods) => drop(claims.in_use.insert(secret.to_owned(), some_of(pods))),
            None => drop(claims.claimed.insert(secret.to_owned(), owner.identity.clone())),
        }
    }
    claims
}

/// The first of them, and how many more.
fn some_of(pods: &mut [&str]) -> String {
    pods.sort_unstable();
    let more = match pods.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("{}{more}", pods[..pods.len().min(NAMED)].join(", "))
}

/// How far the Secrets of an identity are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusive<'a> {
    /// All of them are.
    Yes,
    /// Pods without identity name one.
    InUse {
        /// The Secret.
        secret: &'a str,
        /// The pods.
        pods: &'a str,
    },
    /// One was not looked at yet.
    NotYet {
        /// The Secret.
        secret: &'a str,
    },
    /// One is beyond what a GovernedNamespace holds.
    TooMany {
        /// The Secret.
        secret: &'a str,
    },
}

impl Claims {
    /// What they say of an identity; what another identity owns is not its question.
    #[must_use]
    pub fn of<'a>(&'a self, identity: &'a Identity) -> Exclusive<'a> {
        let secrets = || identity.spec.secrets.iter().map(|s| s.name.as_str());
        if let Some((secret, pods)) = secrets().find_map(|s| Some((s, self.in_use.get(s)?))) {
            return Exclusive::InUse { secret, pods };
        }
        match secrets().find(|s| !self.claimed.contains_key(*s)) {
            None => Exclusive::Yes,
            Some(secret) if self.claimed.len() + self.in_use.len() >= MAX_SECRETS => {
                Exclusive::TooMany { secret }
            }
            Some(secret) => Exclusive::NotYet { secret },
        }
    }

    /// Identities whose Secrets these and `before` say different things of.
    #[must_use]
    pub fn differ(&self, before: &Self, owners: &SecretOwners) -> Vec<String> {
        let concerned = owners.all().filter(|(secret, _)| {
            self.claimed.get(*secret) != before.claimed.get(*secret)
                || self.in_use.get(*secret) != before.in_use.get(*secret)
        });
        let mut identities: Vec<_> = concerned.map(|(_, owner)| owner.identity.clone()).collect();
        identities.sort_unstable();
        identities.dedup();
        identities
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identity(name: &str, created: &str, secrets: &[String]) -> Identity {
        let secrets: Vec<_> =
            secrets.iter().map(|s| json!({"name": s, "rotateBy": "2030-01-01T00:00:00Z"})).collect();
        let object = json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "generation": 1, "creationTimestamp": created},
            "spec": {"owner": {"kind": "User", "name": "jane"}, "expiresAt": "2030-01-01T00:00:00Z",
                "justification": "Answers questions.", "secrets": secrets}});
        Identity::from_object(&serde_json::from_value(object).unwrap()).unwrap()
    }

    fn names(secrets: &[&str]) -> Vec<String> {
        secrets.iter().map(|&s| s.to_owned()).collect()
    }

    fn pod(name: &str, secrets: &[&str]) -> PlainPod {
        PlainPod { name: name.to_owned(), secrets: names(secrets).into_iter().collect() }
    }

    #[test]
    fn a_secret_is_claimed_when_the_last_pod_without_identity_that_names_it_is_gone() {
        let bot = identity("bot", "2026-01-01T00:00:00Z", &names(&["crm", "erp"]));
        let owners = SecretOwners::among([&bot]);
        let mut pods: Vec<_> = ["e", "d", "c", "b", "a"].map(|name| pod(name, &["crm", "other"])).to_vec();
        let seen = claims(&owners, &pods);
        assert_eq!(seen.claimed, BTreeMap::from([("erp".to_owned(), "bot".to_owned())]));
        assert_eq!(seen.in_use, BTreeMap::from([("crm".to_owned(), "a, b, c and 2 more".to_owned())]));
        assert_eq!(seen.of(&bot), Exclusive::InUse { secret: "crm", pods: "a, b, c and 2 more" });
        pods.truncate(1);
        assert_eq!(claims(&owners, &pods).in_use["crm"], "e");
        let alone = claims(&owners, &[]);
        assert_eq!((alone.claimed.len(), alone.in_use.len()), (2, 0));
        assert_eq!(alone.of(&bot), Exclusive::Yes);
        assert_eq!(Claims::default().of(&bot), Exclusive::NotYet { secret: "crm" });
    }

    #[test]
    fn a_secret_of_nobody_is_neither_claimed_nor_told() {
        let owners = SecretOwners::among(&[]);
        assert_eq!(claims(&owners, &[pod("a", &["crm"])]), Claims::default());
        assert_eq!(Claims::default().of(&identity("bot", "2026-01-01T00:00:00Z", &[])), Exclusive::Yes);
    }

    #[test]
    fn of_two_identities_the_older_claims() {
        let old = identity("zoe", "2026-01-01T00:00:00Z", &names(&["crm"]));
        let new = identity("abe", "2026-01-02T00:00:00Z", &names(&["crm"]));
        for both in [[&old, &new], [&new, &old]] {
            assert_eq!(claims(&SecretOwners::among(both), &[]).claimed["crm"], "zoe");
        }
    }

    #[test]
    fn of_too_many_the_oldest_have_theirs() {
        let many: Vec<_> = (0..MAX_SECRETS).map(|i| format!("s{i:04}")).collect();
        let old = identity("old", "2026-01-01T00:00:00Z", &many[..MAX_SECRETS - 1]);
        let new = identity("new", "2026-01-02T00:00:00Z", &names(&["a", "b"]));
        let owners = SecretOwners::among([&new, &old]);
        let seen = claims(&owners, &[pod("p", &["s0000"])]);
        assert_eq!(seen.claimed.len() + seen.in_use.len(), MAX_SECRETS);
        assert_eq!(seen.of(&new), Exclusive::TooMany { secret: "b" });
    }

    #[test]
    fn those_are_looked_at_of_whose_secrets_something_else_is_said() {
        let [a, b] = ["a", "b"].map(|n| identity(n, "2026-01-01T00:00:00Z", &names(&[n])));
        let owners = SecretOwners::among([&a, &b]);
        let (before, after) = (claims(&owners, &[pod("p", &["a"])]), claims(&owners, &[]));
        assert_eq!(after.differ(&before, &owners), ["a"]);
        assert_eq!(after.differ(&after, &owners), Vec::<String>::new());
        assert_eq!(after.differ(&Claims::default(), &owners), ["a", "b"]);
    }
}

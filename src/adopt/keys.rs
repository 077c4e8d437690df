//! The Secret keys that containers use, and where they find them.

use perpro_core::api::SecretKeyGrant;
use std::collections::{BTreeMap, BTreeSet};

/// The names of a Secret's keys. Never their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    Keys(BTreeSet<String>),
    /// It does not exist.
    Missing,
    /// Nobody knows, and why.
    Unknown(String),
}

/// Secrets by name; one that is not among them is unknown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(pub(crate) BTreeMap<String, Secret>);

impl Secrets {
    pub(super) fn of(&self, name: &str) -> Secret {
        let not_asked = || Secret::Unknown("its keys were not looked at".to_owned());
        self.0.get(name).cloned().unwrap_or_else(not_asked)
    }
}

/// One key in one container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Use {
    container: String,
    secret: String,
    key: String,
    /// The variable that the identity lists it for.
    env: Option<String>,
}

/// All keys, in the order in which the pod names them.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Use>);

impl Keys {
    fn entry(&mut self, container: &str, secret: &str, key: &str) -> &mut Use {
        let is = |u: &Use| u.container == container && u.secret == secret && u.key == key;
        let at = self.0.iter().position(is).unwrap_or_else(|| {
            self.0.push(Use {
                container: container.to_owned(),
                secret: secret.to_owned(),
                key: key.to_owned(),
                env: None,
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// The container has the key in a file.
    pub(super) fn in_file(&mut self, container: &str, secret: &str, key: &str) {
        self.entry(container, secret, key);
    }

    /// The container has the key in a variable. Whether the identity lists it there; it lists one variable of a key, and
    /// one key of a variable.
    pub(super) fn in_env(&mut self, container: &str, secret: &str, key: &str, env: &str) -> bool {
        let taken = self.0.iter().any(|u| u.container == container && u.env.as_deref() == Some(env));
        let entry = self.entry(container, secret, key);
        if entry.env.is_none() && !taken && is_variable(env) {
            entry.env = Some(env.to_owned());
        }
        entry.env.as_deref() == Some(env)
    }

    /// The Secrets that they are of.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for u in &self.0 {
            if !names.contains(&u.secret.as_str()) {
                names.push(u.secret.as_str());
            }
        }
        names
    }

    /// What the identity lists for a container. A key that is in files only has a file of the identity's own too, as one
    /// without any place can't be listed.
    pub(super) fn of(&self, container: &str) -> Vec<SecretKeyGrant> {
        let own = self.0.iter().filter(|u| u.container == container);
        own.map(|u| SecretKeyGrant {
            secret: u.secret.clone(),
            key: u.key.clone(),
            env: u.env.clone(),
            path: u.env.is_none().then(|| path(&u.secret, &u.key)),
        })
        .collect()
    }
}

/// Whether an identity can list a key under this variable.
pub(super) fn is_variable(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first)
        && name.len() <= 253
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// A file of that key alone: no part of a path begins with a dot.
fn path(secret: &str, key: &str) -> String {
    let key = key.strip_prefix('.').map_or_else(|| key.to_owned(), |rest| format!("_{rest}"));
    format!("{secret}/{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_listed_once_with_its_first_variable_or_a_file() {
        let mut keys = Keys::default();
        assert!(keys.in_env("a", "s", "k", "K"));
        assert!(!keys.in_env("a", "s", "k", "L"));
        assert!(!keys.in_env("a", "s", "l", "K"));
        assert!(!keys.in_env("a", "s", "m", "1"));
        keys.in_file("a", "s", "k");
        keys.in_file("a", "t", ".hidden");
        keys.in_file("b", "s", "k");
        let told = |c: &str| {
            let each =
                keys.of(c).into_iter().map(|k| format!("{} {} {:?} {:?}", k.secret, k.key, k.env, k.path));
            each.collect::<Vec<_>>()
        };
        assert_eq!(
            told("a"),
            [
                "s k Some(\"K\") None",
                "s l None Some(\"s/l\")",
                "s m None Some(\"s/m\")",
                "t .hidden None Some(\"t/_hidden\")",
            ]
        );
        assert_eq!(told("b"), ["s k None Some(\"s/k\")"]);
        assert_eq!(keys.secrets(), ["s", "t"]);
    }
}

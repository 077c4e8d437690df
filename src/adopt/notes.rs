//! What is told to whoever reads what is written.

use std::collections::{BTreeMap, BTreeSet};

/// What is told, each thing once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) told: Vec<String>,
    /// What is said beside a Secret in the identity.
    pub(super) beside: BTreeMap<String, Vec<String>>,
}

impl Notes {
    pub(super) fn tell(&mut self, words: String) {
        if !self.told.contains(&words) {
            self.told.push(words);
        }
    }

    pub(super) fn beside(&mut self, secret: &str, words: String) {
        let all = self.beside.entry(secret.to_owned()).or_default();
        if !all.contains(&words) {
            all.push(words);
        }
    }

    /// A Secret was taken as a whole, and its keys are listed.
    pub(super) fn whole(&mut self, secret: &str, container: &str, by: &str, keys: &BTreeSet<String>) {
        self.beside(
            secret,
            "The workload takes it whole: take out the keys that the agent does not need.".to_owned(),
        );
        let keys = keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.tell(format!(
            "container \"{container}\" takes all of Secret \"{secret}\" by {by}; it has the keys {keys}: all are listed, and \
             the agent probably needs fewer"
        ));
    }

    pub(super) fn absent(&mut self, secret: &str, container: &str) {
        self.tell(format!(
            "Secret \"{secret}\" is optional for container \"{container}\" and does not exist: it is left out"
        ));
    }

    pub(super) fn unknown(&mut self, secret: &str, container: &str, by: &str, why: &str) {
        self.tell(format!(
            "container \"{container}\" takes all of Secret \"{secret}\" by {by}, and its keys can't be listed: {why}"
        ));
    }
}

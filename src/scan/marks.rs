//! Who answers for a workload, until when and why: in perpro's words and in those that others use.

use super::agents::Marks;

/// Labels and annotations that name an owner, in the order in which they are believed. Backstage's id leads to an entry
/// of its catalogue, which has an owner.
const OWNERS: [&str; 5] = [
    "perpro.dev/owner",
    "a8r.io/owner",
    "backstage.io/kubernetes-owner",
    "owner",
    "backstage.io/kubernetes-id",
];
/// Those that say when it ends: perpro, kube-janitor, Kyverno's cleanup.
const ENDS: [&str; 4] = ["perpro.dev/expires-at", "janitor/expires", "janitor/ttl", "cleanup.kyverno.io/ttl"];
/// Those that say what it is for.
const PURPOSES: [&str; 3] = ["perpro.dev/justification", "a8r.io/description", "kubernetes.io/description"];

/// What is said of it, as far as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// Who, and where that stands.
    pub(super) owner: Option<String>,
    pub(super) ends: bool,
    pub(super) purpose: bool,
}

impl Answers {
    /// What labels or annotations say.
    pub(super) fn of(marks: &Marks) -> Self {
        let said = |keys: &[&str]| {
            keys.iter().find_map(|key| {
                let value = marks.get(*key).filter(|v| !v.trim().is_empty())?;
                Some(format!("{value} ({key})"))
            })
        };
        Self { owner: said(&OWNERS), ends: said(&ENDS).is_some(), purpose: said(&PURPOSES).is_some() }
    }

    /// Adds what another place says.
    pub(super) fn or(&mut self, other: Self) {
        self.owner = self.owner.take().or(other.owner);
        self.ends |= other.ends;
        self.purpose |= other.purpose;
    }

    /// What nobody said.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let parts =
            [(self.owner.is_none(), "owner"), (!self.ends, "expiry"), (!self.purpose, "justification")];
        parts.into_iter().filter_map(|(missing, what)| missing.then_some(what)).collect()
    }
}

//! What somebody is told who applies a workload whose pods are refused, or would be: warnings, short and few.

use super::admit::Verdict;
use super::check::{Pod, World, check, misplaced};
use super::refusal::{Reason, Refusal};
use crate::names;
use jiff::Timestamp;
use serde_json::Value;

/// Most findings of one workload that are told.
const MOST: usize = 8;
/// Longest text of a warning, in characters. API servers cut warnings to that once all of a request's exceed 4,096
/// (k8s.io/apiserver `truncateItemRunes`, `truncateAtTotalRunes`), ours or not.
const LONGEST: usize = 256;

/// What admission says of a pod of this template. `enforced`: whether the namespace is governed at all; as long as it only
/// warns, a pod that names an identity is refused by policy.
#[must_use]
pub fn verdict(pod: Pod<'_>, enforced: bool, world: &World, now: Timestamp) -> Verdict {
    let outcome = check(pod, world, now).unwrap_or_default();
    let mut verdict = outcome.verdict;
    if outcome.identity.is_none() {
        // Admission says no more of a pod without identity.
        verdict.refusals.truncate(1);
        verdict.warnings.clear();
    }
    if !enforced && !pod.written["metadata"]["labels"][names::IDENTITY_LABEL].is_null() {
        let reason = Reason::NotGoverned { namespace: pod.namespace.to_owned() };
        let path = format!("metadata.labels[{}]", names::IDENTITY_LABEL);
        verdict.refusals.insert(0, Refusal::at(path, reason));
    }
    verdict
}

/// The verdict as warnings, the most important first. `below`: where the template lies in what is applied.
#[must_use]
pub fn warnings(verdict: &Verdict, below: &str) -> Vec<String> {
    let (mut told, mut more) = (Vec::new(), 0);
    for refusal in verdict.refusals.iter().chain(&verdict.warnings) {
        if told.len() == MOST {
            more += 1;
            continue;
        }
        let text = text(refusal, below);
        if !told.contains(&text) {
            told.push(text);
        }
    }
    if more > 0 {
        told.push(format!("perpro: {more} more; \"perpro check\" on the manifest tells all of them"));
    }
    told
}

/// What is to be told of labels of a workload that its pods do not have. `below`: where the template lies in it.
#[must_use]
pub fn misplaced_labels(workload: &Value, below: &str) -> Vec<String> {
    let at = |at: &[&str]| at.iter().fold(workload, |value, field| &value[*field]);
    let found = misplaced(below, |place, label| at(place)["metadata"]["labels"][label].clone());
    found.iter().map(|refusal| text(refusal, "")).collect()
}

/// First what to do, then where; without the place if there is no room for both.
fn text(refusal: &Refusal, below: &str) -> String {
    let Refusal { path, reason } = refusal;
    // A header of HTTP holds no control characters: API servers drop a warning with one.
    let told = printable(&format!("perpro {}: {reason}", refusal.code()));
    // What is wrong with a pod as a whole.
    let path = if path == "object" { "" } else { path.as_str() };
    let place = [below, path].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(".");
    let whole = format!("{told} ({})", printable(&place));
    if whole.chars().count() <= LONGEST {
        return whole;
    }
    if told.chars().count() <= LONGEST {
        return told;
    }
    told.chars().take(LONGEST - 3).chain("...".chars()).collect()
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::check::Governance;
    use serde_json::json;

    fn told(found: &[Refusal], below: &str) -> Vec<String> {
        warnings(&Verdict { refusals: found.to_vec(), warnings: vec![] }, below)
    }

    fn whole(secret: &str, at: usize) -> Refusal {
        let reason = Reason::WholeSecret {
            container: Some("agent".to_owned()),
            secret: secret.to_owned(),
            by: "envFrom",
            identity: "feedback-reader".to_owned(),
        };
        Refusal::at(format!("spec.containers[0].envFrom[{at}]"), reason)
    }

    #[test]
    fn a_warning_says_what_to_do_and_then_where() {
        assert_eq!(
            told(&[whole("llm-keys", 1)], "spec.template"),
            [
                "perpro AID012: container \"agent\" takes all of Secret \"llm-keys\" by envFrom; list the keys it needs \
                 under secretKeys of AgentIdentity \"feedback-reader\", and remove this envFrom (spec.template.spec.containers[0].envFrom[1])"
            ]
        );
        let unreadable = Reason::Unreadable { error: "no".to_owned() };
        let said = told(&[Refusal::at("object", unreadable)], "spec.template");
        assert!(said[0].ends_with("no (spec.template)"), "{said:?}");
        assert_eq!(told(&[], "spec.template"), Vec::<String>::new());
    }

    #[test]
    fn a_warning_stays_short_and_loses_its_place_before_its_sentence() {
        let one = |secret: &str| told(&[whole(secret, 0)], "spec.template").remove(0);
        let sentence = "by envFrom; list the keys it needs under secretKeys of AgentIdentity \"feedback-reader\", and remove this envFrom";
        assert!(one(&"s".repeat(80)).ends_with(sentence), "{}", one(&"s".repeat(80)));
        let long = one(&"\u{e4}".repeat(253));
        assert!(long.chars().count() == LONGEST && long.ends_with("\u{e4}..."), "{long}");
    }

    #[test]
    fn many_findings_are_a_few_warnings_and_a_number() {
        let many: Vec<_> = (0..1000).map(|i| whole("llm-keys", i)).collect();
        let all = told(&many, "spec.template");
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all[MOST], "perpro: 992 more; \"perpro check\" on the manifest tells all of them");
        assert_eq!(told(&many[..MOST], "spec.template").len(), MOST);
        assert_eq!(told(&[whole("a", 0), whole("a", 0)], "").len(), 1, "the same is said once");
        let odd =
            Verdict { refusals: vec![whole("a", 0)], warnings: vec![Refusal::at("spec", Reason::DryRun)] };
        assert!(warnings(&odd, "")[1].starts_with("perpro AID0"), "what is odd comes after what is refused");
    }

    #[test]
    fn nothing_that_somebody_wrote_breaks_the_header_of_a_warning() {
        let reason = Reason::ImageNotAllowed {
            container: "agent".to_owned(),
            image: "a\r\nb\u{7f}".to_owned(),
            identity: "bot".to_owned(),
        };
        let told = told(&[Refusal::at("spec\u{0}", reason)], "");
        assert!(!told[0].contains(char::is_control) && told[0].contains("\"a  b \""), "{told:?}");
    }

    /// The codes that a pod with these labels earns where the namespace enforces, and where it only warns.
    fn codes(labels: &Value) -> [Vec<&'static str>; 2] {
        let template = json!({"metadata": {"labels": labels},
            "spec": {"hostPID": true, "containers": [{"name": "agent", "image": "i"}]}});
        [true, false].map(|enforced| {
            let now = "2026-06-01T12:00:00Z".parse().unwrap();
            let pod =
                Pod { written: &template, namespace: "ns", governance: Governance::All, partial: false };
            let verdict = verdict(pod, enforced, &World::new(vec![], true), now);
            verdict.refusals.iter().map(Refusal::code).collect()
        })
    }

    #[test]
    fn where_a_namespace_only_warns_the_label_of_an_identity_comes_too_early_and_all_else_is_told_too() {
        let missing = vec!["AID002", "AID004"];
        let early = [vec!["AID010"], missing.clone()].concat();
        assert_eq!(codes(&json!({names::IDENTITY_LABEL: "bot"})), [missing, early]);
        assert_eq!(codes(&json!({})), [["AID001"], ["AID001"]]);
        assert_eq!(codes(&json!({names::AGENT_LABEL: "true"})), [["AID001"], ["AID001"]]);
    }
}

//! What the definitions of our kinds refuse, said in Rust: for objects that no API server has seen yet.
//!
//! An API server reads the schemas and the CEL in `crds/`. Both are generated from [`crate::api`]: [`schema`] walks
//! the same schema; [`rules`] says in Rust what the CEL says, under the same codes. A test compares their lists.

mod rules;
mod schema;

use super::path::find_mut;
use super::refusal::{Reason, Refusal};
use super::{grant, policy};
use crate::api::{AgentIdentity, AgentPolicy, definitions};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use serde::Deserialize;
use serde_json::Value;

/// The schemas of our kinds.
#[derive(Clone, Debug)]
pub struct Definitions(Vec<CustomResourceDefinition>);

impl Default for Definitions {
    fn default() -> Self {
        Self(definitions())
    }
}

/// What can be said of an object by its definition alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<K> {
    /// The object, if it can be read at all.
    pub object: Option<K>,
    /// All that its definition refuses of it.
    pub refusals: Vec<Refusal>,
}

impl Definitions {
    /// An AgentIdentity as somebody wrote it.
    #[must_use]
    pub fn identity(&self, written: &Value) -> Judged<AgentIdentity> {
        self.judge("AgentIdentity", written, |i| grant::is_bounded(&i.spec), rules::of_identity)
    }

    /// An AgentPolicy as somebody wrote it.
    #[must_use]
    pub fn policy(&self, written: &Value) -> Judged<AgentPolicy> {
        self.judge("AgentPolicy", written, |p| policy::is_bounded(&p.spec), rules::of_policy)
    }

    fn judge<K: for<'de> Deserialize<'de>>(
        &self,
        kind: &str,
        written: &Value,
        is_bounded: fn(&K) -> bool,
        rules: fn(&K) -> Vec<Refusal>,
    ) -> Judged<K> {
        let mut refusals = Vec::new();
        match self.spec(kind) {
            Some(schema) if written["spec"].is_object() => {
                schema::walk(schema, &written["spec"], "spec", &mut refusals);
            }
            _ => refusals.push(unreadable("spec", "it has no spec")),
        }
        match K::deserialize(written) {
            Ok(object) => {
                // Rules compare much with much: of what the schema has refused for its size they are not asked.
                if refusals.is_empty() || is_bounded(&object) {
                    refusals.extend(rules(&object));
                }
                Judged { object: Some(object), refusals }
            }
            Err(error) => {
                // The schema has said more exactly what is wrong, unless it stands outside of the spec.
                if refusals.is_empty() {
                    refusals.push(unreadable("metadata", &error.to_string()));
                }
                // An API server judges each field by itself, so dates that can't be read hide nothing else.
                if let Some(object) = with_dates(written, &refusals).filter(is_bounded) {
                    refusals.extend(rules(&object));
                }
                Judged { object: None, refusals }
            }
        }
    }

    fn spec(&self, kind: &str) -> Option<&JSONSchemaProps> {
        let definition = self.0.iter().find(|d| d.spec.names.kind == kind)?;
        let version = definition.spec.versions.first()?;
        version.schema.as_ref()?.open_api_v3_schema.as_ref()?.properties.as_ref()?.get("spec")
    }
}

/// The object with some date in place of each that was refused, if it can be read then.
fn with_dates<K: for<'de> Deserialize<'de>>(written: &Value, refusals: &[Refusal]) -> Option<K> {
    const DATES: [&str; 2] = [".expiresAt", ".rotateBy"];
    let mut written = written.clone();
    for Refusal { path, .. } in refusals.iter().filter(|r| DATES.iter().any(|date| r.path.ends_with(date))) {
        *find_mut(&mut written, path)? = "2100-01-01T00:00:00Z".into();
    }
    K::deserialize(&written).ok()
}

fn unreadable(path: &str, error: &str) -> Refusal {
    Refusal::at(path, Reason::Unreadable { error: error.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn identity(change: Value) -> Value {
        let mut spec = json!({"owner": {"kind": "User", "name": "jane@example.com"}, "expiresAt": "2036-01-01T00:00:00Z",
            "justification": "Reads feedback.", "secrets": [{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}],
            "containers": [{"name": "agent", "secretKeys": [{"secret": "crm", "key": "k", "env": "K"}]}]});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"apiVersion": "perpro.dev/v1alpha1", "kind": "AgentIdentity", "metadata": {"name": "bot"}, "spec": spec})
    }

    fn told(refusals: &[Refusal]) -> Vec<String> {
        refusals.iter().map(|r| format!("{} {}", r.code(), r.path)).collect()
    }

    fn keys(keys: Value) -> Value {
        json!({"containers": [{"name": "agent", "secretKeys": keys}]})
    }

    fn secrets(names: &[&str]) -> Value {
        let secret = |name: &&str| json!({"name": name, "rotateBy": "2036-01-01T00:00:00Z"});
        json!({"secrets": names.iter().map(secret).collect::<Vec<_>>()})
    }

    #[rstest]
    #[case::nothing(json!({}), &[])]
    #[case::no_owner(json!({"owner": null}), &["AID028 spec.owner"])]
    #[case::another_kind_of_owner(json!({"owner": {"kind": "Robot", "name": "r"}}), &["AID028 spec.owner.kind"])]
    #[case::a_field_too_many(json!({"ownr": 1}), &["AID028 spec.ownr"])]
    #[case::a_short_reason(json!({"justification": "short"}), &["AID028 spec.justification", "AID042 spec.justification"])]
    #[case::a_blank_reason(json!({"justification": "            "}), &["AID042 spec.justification"])]
    #[case::a_reason_in_lines(json!({"justification": "Reads feedback\nand more"}), &["AID042 spec.justification"])]
    #[case::a_date_without_time(json!({"expiresAt": "2036-01-01"}), &["AID028 spec.expiresAt"])]
    #[case::no_date(json!({"expiresAt": "2036-13-01T00:00:00Z"}), &["AID028 spec.expiresAt"])]
    #[case::no_date_hides_the_rest(json!({"expiresAt": "soon", "owner": {"kind": "User", "name": "jane "}, "secrets": [{"name": "crm", "rotateBy": "later"}]}), &["AID028 spec.expiresAt", "AID028 spec.secrets[0].rotateBy", "AID041 spec.owner.name"])]
    #[case::never(json!({"expiresAt": "2200-01-01T00:00:00Z"}), &["AID046 spec.expiresAt"])]
    #[case::the_first_year_there_is_not(json!({"expiresAt": "0000-01-01T00:00:00Z"}), &["AID046 spec.expiresAt"])]
    #[case::long_ago(json!({"expiresAt": "1969-12-31T23:59:59Z"}), &["AID046 spec.expiresAt"])]
    #[case::in_the_past(json!({"expiresAt": "1970-01-01T00:00:00Z"}), &[])]
    #[case::the_last_day_there_is(json!({"expiresAt": "9999-12-31T23:59:59Z"}), &["AID046 spec.expiresAt"])]
    #[case::a_blank_at_the_end(json!({"owner": {"kind": "User", "name": "jane "}}), &["AID041 spec.owner.name"])]
    #[case::invisible(json!({"owner": {"kind": "User", "name": "ja\u{200b}ne"}}), &["AID041 spec.owner.name"])]
    #[case::a_letter_that_draws_nothing(json!({"owner": {"kind": "User", "name": "jane\u{3164}"}}), &["AID041 spec.owner.name"])]
    #[case::a_letter_that_only_joins_others(json!({"owner": {"kind": "User", "name": "jane\u{1107f}"}}), &["AID041 spec.owner.name"])]
    #[case::a_note_without_a_head(json!({"owner": {"kind": "User", "name": "jane\u{1d159}"}}), &["AID041 spec.owner.name"])]
    #[case::a_place_for_an_object(json!({"justification": "Reads feedback\u{fffc}"}), &["AID042 spec.justification"])]
    #[case::nothing_but_such_letters(json!({"justification": "\u{3164}\u{115f}\u{1160}\u{ffa0}\u{2800}\u{3164}\u{3164}\u{3164}\u{3164}\u{3164}"}), &["AID042 spec.justification"])]
    #[case::a_variation_that_nobody_sees(json!({"owner": {"kind": "User", "name": "jane\u{fe0f}"}}), &["AID041 spec.owner.name"])]
    #[case::contacts(json!({"contacts": ["#bots", "ja\u{7}ne", "joe ", "\u{202e}eoj", "\u{ffa0}"]}), &["AID041 spec.contacts[1]", "AID041 spec.contacts[2]", "AID041 spec.contacts[3]", "AID041 spec.contacts[4]"])]
    #[case::names_of_the_world(json!({"contacts": ["\u{5f20}\u{4f1f}", "J\u{fc}rgen O'Neil", "\u{ae40}\u{3000}\u{bbfc}\u{c218}"]}), &[])]
    #[case::a_list_for_text(json!({"suspended": "yes"}), &["AID028 spec.suspended"])]
    #[case::twice(json!({"secrets": [{"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}, {"name": "crm", "rotateBy": "2036-01-01T00:00:00Z"}]}), &["AID028 spec.secrets[1]"])]
    #[case::contact_twice(json!({"contacts": ["a", "a"]}), &["AID028 spec.contacts[1]"])]
    #[case::no_name_of_a_secret(secrets(&["crm", "a.b-c.0", "UPPER/..", "a..b", "-a", "a-.b"]), &["AID028 spec.secrets[2].name", "AID028 spec.secrets[3].name", "AID028 spec.secrets[4].name", "AID028 spec.secrets[5].name"])]
    #[case::no_name_of_a_container(json!({"containers": [{"name": "a-0"}, {"name": "a b"}, {"name": "a.b"}, {"name": "A"}, {"name": "a-"}]}), &["AID028 spec.containers[1].name", "AID028 spec.containers[2].name", "AID028 spec.containers[3].name", "AID028 spec.containers[4].name"])]
    #[case::unowned(keys(json!([{"secret": "erp", "key": "k", "env": "K"}])), &["AID043 spec.containers[0].secretKeys[0]"])]
    #[case::nowhere(keys(json!([{"secret": "crm", "key": "k"}])), &["AID044 spec.containers[0].secretKeys[0]"])]
    #[case::same_place(keys(json!([{"secret": "crm", "key": "k", "env": "K"}, {"secret": "crm", "key": "l", "env": "K"}])), &["AID045 spec.containers[0].secretKeys[1].env"])]
    #[case::no_variable(keys(json!([{"secret": "crm", "key": "k", "env": "1K"}])), &["AID028 spec.containers[0].secretKeys[0].env"])]
    #[case::out_of_the_folder(keys(json!([{"secret": "crm", "key": "k", "path": "../k"}])), &["AID028 spec.containers[0].secretKeys[0].path"])]
    #[case::a_wildcard(json!({"permissions": [{"apiGroups": [""], "resources": ["pods/*"], "verbs": ["get"]}]}), &["AID030 spec.permissions[0]"])]
    #[case::a_verb(json!({"permissions": [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}]}), &["AID031 spec.permissions[0]"])]
    #[case::no_verb(json!({"permissions": [{"apiGroups": [""], "resources": ["pods"]}]}), &["AID028 spec.permissions[0]"])]
    fn an_identity_is_refused_for_what_its_definition_says(#[case] change: Value, #[case] expected: &[&str]) {
        let judged = Definitions::default().identity(&identity(change));
        assert_eq!(told(&judged.refusals), expected);
    }

    #[test]
    fn rules_are_not_asked_of_what_is_larger_than_its_schema_allows() {
        let many: Vec<_> = (0..2_000).map(|_| json!({"secret": "erp", "key": "k"})).collect();
        let refusals = Definitions::default().identity(&identity(keys(json!(many)))).refusals;
        assert!(
            !refusals.is_empty() && refusals.iter().all(|r| r.code() == "AID028"),
            "{:?}",
            told(&refusals)
        );
    }

    #[test]
    fn too_many_permissions_and_too_long_names_are_seen() {
        let many = |n: usize| (0..n).map(|i| format!("r{i}")).collect::<Vec<_>>();
        let mut written = identity(json!({"permissions": [
            {"apiGroups": [""], "resources": many(16), "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
            {"apiGroups": [""], "resources": many(15), "verbs": ["get", "list", "watch", "create", "update", "patch"]}]}));
        written["metadata"]["name"] = json!("a.b");
        let refusals = Definitions::default().identity(&written).refusals;
        assert_eq!(told(&refusals), ["AID040 metadata.name", "AID035 spec.permissions"]);
    }

    #[rstest]
    #[case::nothing(json!({}), &[])]
    #[case::a_pattern(json!({"namespaces": ["team-*"]}), &["AID050 spec.namespaces[0]"])]
    #[case::a_star_among_others(json!({"namespaces": ["a", "*"]}), &["AID050 spec.namespaces"])]
    #[case::a_star_alone(json!({"namespaces": ["*"]}), &[])]
    #[case::none(json!({"namespaces": []}), &["AID028 spec.namespaces"])]
    #[case::too_short_a_token(json!({"kubernetesTokenSeconds": 60}), &["AID028 spec.kubernetesTokenSeconds"])]
    #[case::an_elevated_wildcard(json!({"elevatedPermissions": [{"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}]}), &["AID051 spec.elevatedPermissions[0]"])]
    #[case::an_audience_of_the_api_server(json!({"injectors": [{"name": "a", "images": ["i"], "volumes": ["v"], "audiences": ["x", "https://kubernetes.default.svc"]}]}), &["AID058 spec.injectors[0].audiences"])]
    #[case::no_audience(json!({"injectors": [{"name": "a", "images": ["i"], "volumes": ["v"], "audiences": []}]}), &["AID028 spec.injectors[0].audiences"])]
    #[case::an_injector_of_any_image(json!({"injectors": [{"name": "a", "volumes": ["v"], "audiences": ["x"]}]}), &["AID028 spec.injectors[0]"])]
    #[case::an_injector_twice(json!({"injectors": [istio(), istio()]}), &["AID028 spec.injectors[1]"])]
    #[case::a_code_without_exception(json!({"exceptions": [exception(json!({"codes": ["AID004", "AID011"]}))]}), &["AID058 spec.exceptions[0].codes"])]
    #[case::no_workload(json!({"exceptions": [exception(json!({"workload": "bot"}))]}), &["AID028 spec.exceptions[0].workload"])]
    #[case::no_end(json!({"exceptions": [exception(json!({"expiresAt": null}))]}), &["AID028 spec.exceptions[0].expiresAt"])]
    #[case::an_exception_for_ever(json!({"exceptions": [exception(json!({"expiresAt": "2200-01-01T00:00:00Z"}))]}), &["AID046 spec.exceptions[0].expiresAt"])]
    #[case::an_exception_to_the_last_day(json!({"exceptions": [exception(json!({"expiresAt": "9999-12-31T23:59:59Z"}))]}), &["AID046 spec.exceptions[0].expiresAt"])]
    #[case::injectors_and_exceptions(json!({"injectors": [istio()], "exceptions": [exception(json!({}))]}), &[])]
    fn a_policy_is_refused_for_what_its_definition_says(#[case] change: Value, #[case] expected: &[&str]) {
        let mut spec = json!({"namespaces": ["ns"]});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let written = json!({"metadata": {"name": "p"}, "spec": spec});
        assert_eq!(told(&Definitions::default().policy(&written).refusals), expected);
    }

    fn istio() -> Value {
        json!({"name": "istio-proxy", "images": ["docker.io/istio/"], "volumes": ["istio-token"], "audiences": ["istio-ca"]})
    }

    fn exception(change: Value) -> Value {
        let mut exception = json!({"name": "nfs", "namespace": "ns", "workload": "Deployment/bot", "codes": ["AID013"],
            "owner": "storage-team", "reason": "Moves off NFS.", "expiresAt": "2026-08-30T00:00:00Z"});
        exception.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        exception
    }

    #[test]
    fn every_rule_of_a_definition_is_said_here_too() {
        let text = serde_json::to_string(&definitions()).unwrap();
        let coded = text.split("\"message\":\"AID").skip(1).map(|rest| format!("AID{}", &rest[..3]));
        let rules = include_str!("rules.rs");
        let missing: BTreeSet<_> = coded.filter(|code| !rules.contains(code.as_str())).collect();
        assert_eq!(missing, BTreeSet::new());
        let uncoded = text.matches("\"message\":\"").count() - text.matches("\"message\":\"AID").count();
        assert_eq!(uncoded, 0);
    }
}

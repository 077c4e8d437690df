//! The workload, and what goes with it, as a file has them.

use super::super::check::Facts;
use super::found::Found;
use crate::adopt::{Known, Secret, Target, account, secrets_to_look_at};
use crate::manifest::{self, Node, Object};
use anyhow::{Context, bail};
use perpro_core::decide::definition::Definitions;
use perpro_core::names;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

/// Namespace of what names none, as with kubectl.
const NAMESPACE: &str = "default";

/// The file, or standard input.
pub(super) fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("can't read standard input")?;
        return Ok(bytes);
    }
    fs::read(file).with_context(|| format!("can't read {}", file.display()))
}

/// The workload that is meant, or the only one, with all that is beside it. Of Secrets only the names of their keys.
pub(super) fn read(bytes: &[u8], target: Option<Target>, namespace: Option<&str>) -> anyhow::Result<Found> {
    let manifest = manifest::read(bytes);
    if let Some(problem) = manifest.problems.first() {
        bail!("can't read line {} of the file: {}", problem.line, problem.what);
    }
    let (target, object) = the_one(&manifest.objects, target)?;
    let own = object.namespace().or(namespace).unwrap_or(NAMESPACE).to_owned();
    if let Some(asked) = namespace.filter(|asked| *asked != own) {
        bail!("{target} says namespace \"{own}\", not \"{asked}\"");
    }
    let mut known = Known::default();
    let definitions = Definitions::default();
    for object in &manifest.objects {
        let here = object.namespace().is_none_or(|n| n == own);
        match (object.group(), object.kind.as_str()) {
            ("", "Secret") => {
                let name = object.name().filter(|_| here);
                known.secrets.0.extend(name.map(|name| (name.to_owned(), Secret::Keys(keys(object)))));
            }
            (names::GROUP, "AgentIdentity") => known.other_identities |= here,
            (names::GROUP, "AgentPolicy") => {
                known.policies.extend(definitions.policy(&object.node.to_json()).object);
            }
            _ => known.objects.push(object.node.to_json()),
        }
    }
    for name in secrets_to_look_at(&object, target.kind) {
        let missing = || Secret::Unknown("it is not in the file".to_owned());
        known.secrets.0.entry(name).or_insert_with(missing);
    }
    known.rbac_unknown = unbound(&known.objects, account(&object, target.kind), &own);
    let facts = Facts { policies: known.policies.clone(), ..Facts::default() };
    Ok(Found { target, object, namespace: own, known, facts, notes: Vec::new(), whole: false })
}

/// Why what the account holds is not known, if no binding of the file names it.
fn unbound(objects: &[Value], account: &str, namespace: &str) -> Option<String> {
    let bindings = objects.iter().filter(|o| o["kind"] == "RoleBinding" || o["kind"] == "ClusterRoleBinding");
    let subjects = bindings.flat_map(|b| b["subjects"].as_array().into_iter().flatten());
    let namesakes = subjects.filter(|s| s["kind"] == "ServiceAccount" && s["name"] == account);
    let namespaces: Vec<_> = namesakes.map(|s| s["namespace"].as_str().unwrap_or(namespace)).collect();
    match namespaces.first() {
        None => Some("no binding in the file names it".to_owned()),
        Some(_) if namespaces.contains(&namespace) => None,
        Some(other) => Some(format!(
            "the bindings in the file name one of namespace \"{other}\": render it for \"{namespace}\""
        )),
    }
}

/// The workload that is meant.
fn the_one(objects: &[Object], target: Option<Target>) -> anyhow::Result<(Target, Object)> {
    let all: Vec<_> = objects.iter().filter_map(|o| Some((Target::of(o)?, o))).collect();
    let meant: Vec<_> =
        all.iter().filter(|(t, _)| target.as_ref().is_none_or(|target| t == target)).collect();
    match (meant.as_slice(), target) {
        ([(target, object)], _) => Ok((target.clone(), (*object).clone())),
        ([], Some(target)) => bail!("there is no {target} in the file"),
        ([], None) => bail!("there is no workload in the file"),
        (several, Some(target)) => bail!("{target} is {} times in the file", several.len()),
        (several, None) => {
            let names: Vec<_> = several.iter().map(|(t, _)| t.to_string()).collect();
            bail!("the file has several workloads, so name one: {}", names.join(", "))
        }
    }
}

/// The names of a Secret's keys.
fn keys(secret: &Object) -> BTreeSet<String> {
    let of = |field| secret.node.get(field).map(Node::fields).unwrap_or_default();
    of("data").iter().chain(of("stringData")).map(|f| f.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bot}\nspec: {template: {spec: {serviceAccountName: bot, \
        containers: [{name: a, image: i, envFrom: [{secretRef: {name: s}}, {secretRef: {name: t}}]}]}}}\n";
    const SECRET: &str =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {b: dmFsdWU=}\nstringData: {a: value}\n";

    fn found(documents: &[&str], target: &str, namespace: Option<&str>) -> Result<Found, String> {
        let target = (!target.is_empty()).then(|| Target::parse(&[target.to_owned()]).unwrap());
        read(documents.join("---\n").as_bytes(), target, namespace).map_err(|e| e.to_string())
    }

    #[test]
    fn of_a_secret_in_the_file_only_the_names_of_its_keys_are_kept() {
        let found = found(&[DEPLOYMENT, SECRET], "", None).unwrap();
        assert_eq!(
            (found.target.to_string().as_str(), found.namespace.as_str()),
            ("deployment/bot", "default")
        );
        assert_eq!(found.known.secrets.0["s"], Secret::Keys(["a".to_owned(), "b".to_owned()].into()));
        assert_eq!(found.known.secrets.0["t"], Secret::Unknown("it is not in the file".to_owned()));
        let kept = format!("{:?}", found.known);
        assert!(!kept.contains("value") && !kept.contains("dmFsdWU"), "{kept}");
    }

    #[rstest]
    #[case::another(&[DEPLOYMENT], "deploy/x", None, "there is no deployment/x in the file")]
    #[case::none(&[SECRET], "", None, "there is no workload in the file")]
    #[case::twice(&[DEPLOYMENT, DEPLOYMENT], "deploy/bot", None, "deployment/bot is 2 times in the file")]
    #[case::several(&[DEPLOYMENT, "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"], "", None, "name one: deployment/bot, pod/p")]
    #[case::a_template(&["a: {{ .Values.a }}\n"], "", None, "can't read line 1 of the file")]
    #[case::elsewhere(&["apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: a}\n"], "", Some("b"), "pod/p says namespace \"a\", not \"b\"")]
    fn a_file_without_the_one_workload_is_told(
        #[case] documents: &[&str],
        #[case] target: &str,
        #[case] namespace: Option<&str>,
        #[case] expected: &str,
    ) {
        let Err(told) = found(documents, target, namespace) else { panic!("it was found") };
        assert!(told.contains(expected), "{told}");
    }

    #[rstest]
    #[case::none("", Some("no binding in the file names it"))]
    #[case::here("{kind: ServiceAccount, name: bot, namespace: ns}", None)]
    #[case::elsewhere(
        "{kind: ServiceAccount, name: bot, namespace: x}",
        Some("name one of namespace \"x\": render it for \"ns\"")
    )]
    fn what_an_account_holds_is_known_where_a_binding_names_it(
        #[case] subject: &str,
        #[case] expected: Option<&str>,
    ) {
        let binding = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: b}}\nsubjects: [{subject}]\n"
        );
        let found = found(&[DEPLOYMENT, &binding], "", Some("ns")).unwrap();
        let told = found.known.rbac_unknown;
        assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()));
    }
}

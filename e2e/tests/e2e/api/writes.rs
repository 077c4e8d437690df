//! Four lists say what perpro may write, and they are one: the program's own, RBAC as installed,
//! the policy for our own writes, and what `theft` tries.

use crate::common::World;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{Api, ListParams};
use perpro_e2e::install::NAMESPACE;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const PROCESSES: [&str; 3] = ["webhook", "controller", "certs"];

/// (process, verb, resource as `kubectl auth can-i` prints it).
type Lines = BTreeSet<(String, String, String)>;

/// What the program says that it writes.
fn of_the_program() -> Lines {
    let own = std::env::current_exe().unwrap();
    let program = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|d| d.join("perpro"))
        .find(|p: &std::path::PathBuf| Path::is_file(p));
    let output = Command::new(program.unwrap()).arg("writes").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    // People write with credentials of their own.
    let ours = text.lines().skip(1).filter(|line| !line.starts_with("person "));
    let lines = ours.map(|line| {
        let [process, _write, verb, resource] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("four columns: {line}");
        };
        (process.to_owned(), verb.to_owned(), resource.to_owned())
    });
    lines.collect()
}

/// What RBAC grants the accounts of our processes beyond reading and asking.
async fn of_rbac(world: &World) -> Lines {
    let client = &world.client;
    let all = ListParams::default();
    let mut lines = Lines::new();
    let mut grant = |subjects: Option<Vec<Subject>>, rules: &[PolicyRule]| {
        for subject in subjects.iter().flatten() {
            if subject.kind != "ServiceAccount" || subject.namespace.as_deref() != Some(NAMESPACE) {
                continue;
            }
            let Some(process) = subject.name.strip_prefix("perpro-").filter(|p| PROCESSES.contains(p)) else {
                continue;
            };
            lines.extend(rules.iter().flat_map(|rule| writes(process, rule)));
        }
    };
    for binding in Api::<ClusterRoleBinding>::all(client.clone()).list(&all).await.unwrap().items {
        if binding.subjects.iter().flatten().any(|s| s.namespace.as_deref() == Some(NAMESPACE)) {
            let role = Api::<ClusterRole>::all(client.clone()).get(&binding.role_ref.name).await.unwrap();
            grant(binding.subjects, &role.rules.unwrap_or_default());
        }
    }
    for binding in Api::<RoleBinding>::all(client.clone()).list(&all).await.unwrap().items {
        if binding.subjects.iter().flatten().any(|s| s.namespace.as_deref() == Some(NAMESPACE)) {
            let RoleRef { kind, name, .. } = &binding.role_ref;
            let rules = if kind == "Role" {
                let roles =
                    Api::<Role>::namespaced(client.clone(), binding.metadata.namespace.as_deref().unwrap());
                roles.get(name).await.unwrap().rules
            } else {
                Api::<ClusterRole>::all(client.clone()).get(name).await.unwrap().rules
            };
            grant(binding.subjects, &rules.unwrap_or_default());
        }
    }
    lines
}

fn writes(process: &str, rule: &PolicyRule) -> Lines {
    let mut lines = Lines::new();
    for group in rule.api_groups.iter().flatten() {
        // Access reviews are questions.
        if ["authorization.k8s.io", "authentication.k8s.io"].contains(&group.as_str()) {
            continue;
        }
        for resource in rule.resources.iter().flatten() {
            for verb in rule.verbs.iter().filter(|v| !["get", "list", "watch"].contains(&v.as_str())) {
                lines.insert((process.to_owned(), verb.clone(), spelled(group, resource)));
            }
        }
    }
    lines
}

fn spelled(group: &str, resource: &str) -> String {
    let (resource, sub) = resource.split_once('/').map_or((resource, None), |(r, s)| (r, Some(s)));
    let dot = if group.is_empty() { "" } else { "." };
    let slash = sub.map(|s| format!("/{s}")).unwrap_or_default();
    format!("{resource}{dot}{group}{slash}")
}

/// What the policy lets them do: admission knows neither patch nor the verbs of RBAC alone.
async fn of_the_policy(world: &World) -> Lines {
    let policies = Api::<ValidatingAdmissionPolicy>::all(world.client.clone());
    let policy = policies.get("perpro-own-writes").await.unwrap();
    let variables = policy.spec.and_then(|s| s.variables).unwrap();
    let listed = &variables.iter().find(|v| v.name == "listed").unwrap().expression;
    let json = listed.split_once(" in ").and_then(|(_, rest)| rest.split_once("[?")).unwrap().0;
    let listed: BTreeMap<String, Vec<[String; 4]>> = serde_json::from_str(json).unwrap();
    let mut lines = Lines::new();
    for (user, writes) in listed {
        let process = user.strip_prefix(&format!("system:serviceaccount:{NAMESPACE}:perpro-")).unwrap();
        // The hook's Job does what the CronJob's does.
        let process = process.strip_suffix("-hook").unwrap_or(process);
        for [group, resource, sub, operation] in writes {
            let resource = if sub.is_empty() { resource } else { format!("{resource}/{sub}") };
            lines.insert((process.to_owned(), operation, spelled(&group, &resource)));
        }
    }
    lines
}

fn as_operations(lines: &Lines) -> Lines {
    let operation = |verb: &str| match verb {
        "create" => Some("CREATE"),
        "update" | "patch" => Some("UPDATE"),
        "delete" => Some("DELETE"),
        "bind" | "escalate" => None,
        other => panic!("no policy knows {other}"),
    };
    let lines = lines.iter().filter_map(|(process, verb, resource)| {
        // The end is made under the account of the controller.
        let account = if process == "uninstall" { "controller" } else { process };
        Some((account.to_owned(), operation(verb)?.to_owned(), resource.clone()))
    });
    lines.collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_program_rbac_and_the_policy_list_the_same_writes() {
    let world = World::new("").await;
    let program = of_the_program();
    assert!(program.len() > 10, "{program:?}");
    // The hook's Role for the end is there only while it runs.
    let lasting: Lines = program.iter().filter(|(process, ..)| process != "uninstall").cloned().collect();
    assert_eq!(of_rbac(&world).await, lasting, "RBAC and the program differ");
    assert_eq!(of_the_policy(&world).await, as_operations(&program), "the policy and the program differ");
}

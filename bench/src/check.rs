//! `perpro check` over a tree of manifests, beside its own parser alone on the same files.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use granit_parser::Parser;
use serde_json::{Value, json};

use perpro_e2e::cache::Cache;
use perpro_e2e::progress;

use crate::objects::{self, SIZES};
use crate::report::{Finding, Limit, Report};

/// Applications in the tree, each a folder of its own.
const APPLICATIONS: usize = 400;
/// Rounds, and those of a smoke run.
const ROUNDS: (usize, usize) = (9, 1);

/// Runs the benchmark.
///
/// # Errors
/// When something does not work, or the tree is not clean: a finding costs more.
pub(super) fn run(cache: &Cache, smoke: bool) -> Result<Report> {
    let tree = cache.clusters().join("bench-check");
    let result = measure(&tree, smoke);
    // At worst the next run writes over it.
    let _ = fs::remove_dir_all(&tree);
    Ok(Report { bench: "check", smoke, findings: result? })
}

fn measure(tree: &Path, smoke: bool) -> Result<Vec<Finding>> {
    let applications = if smoke { APPLICATIONS / 20 } else { APPLICATIONS };
    fs::create_dir_all(tree).context("cannot write the tree")?;
    let mut files = vec![tree.join("policy.yaml")];
    fs::write(&files[0], serde_yaml::to_string(&objects::policy())?)?;
    for nth in 0..applications {
        let folder = tree.join(format!("app-{nth}"));
        fs::create_dir_all(&folder).context("cannot write the tree")?;
        for (name, documents) in application(nth) {
            let documents: Result<Vec<_>, _> = documents.iter().map(serde_yaml::to_string).collect();
            let path = folder.join(name);
            fs::write(&path, documents?.join("---\n"))?;
            files.push(path);
        }
    }
    let perpro = std::env::current_exe()?.with_file_name("perpro");
    let check = || -> Result<()> {
        let output = Command::new(&perpro).arg("check").arg(tree).stderr(Stdio::inherit()).output();
        let output = String::from_utf8_lossy(&output.context("cannot start perpro")?.stdout).into_owned();
        let expected = format!(
            "{} files, {} pods of which {applications} are agents, 0 findings\n",
            files.len(),
            3 * applications
        );
        if output != expected { bail!("it said {output:?} instead of {expected:?}") } else { Ok(()) }
    };
    let parse = || -> Result<usize> {
        let mut size = 0;
        for path in &files {
            let text = fs::read_to_string(path)?;
            size += text.len();
            for event in Parser::new_from_str(&text) {
                black_box(event?);
            }
        }
        Ok(size)
    };
    // The first reading of a file is the disk's.
    let megabytes = parse()? as f64 / 1e6;
    let mut rounds = Vec::new();
    for nth in 0..if smoke { ROUNDS.1 } else { ROUNDS.0 } {
        progress::say(&format!("round {}", nth + 1));
        let ours = rate(megabytes, check)?;
        let floor = rate(megabytes, || parse().map(drop))?;
        rounds.push((ours, floor));
    }
    Ok(vec![Finding::ratio("check of a tree", "MB/s", &rounds, Limit::AtLeast(0.5))])
}

/// Megabytes a second.
fn rate(megabytes: f64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok(megabytes / begin.elapsed().as_secs_f64())
}

/// The files of an application: an agent with what belongs to it, a tool beside it, and two programs that are none.
fn application(nth: usize) -> Vec<(&'static str, Vec<Value>)> {
    let name = format!("bot-{nth}");
    let namespace = format!("team-{}", nth % 20);
    let placed = |mut object: Value| {
        object["metadata"]["namespace"] = json!(namespace);
        object
    };
    let workload = |kind: &str, name: &str, pod: Value| {
        let template = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
        placed(json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app.kubernetes.io/name": "bench"}}, "template": template}}))
    };
    let settings: serde_json::Map<_, _> = (0..40)
        .map(|i| (format!("setting-{i}"), json!(format!("https://service-{i}.example.com/v1"))))
        .collect();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app.kubernetes.io/name": "bench"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    let config =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": settings});
    vec![
        ("identity.yaml", vec![placed(objects::identity(&name))]),
        ("agent.yaml", vec![workload("Deployment", &name, objects::agent(&name, &name, SIZES[nth % 2]))]),
        (
            "others.yaml",
            vec![
                workload("Deployment", "web", objects::pod("web")),
                workload("StatefulSet", "store", objects::pod("store")),
                placed(service),
                placed(config),
            ],
        ),
    ]
}

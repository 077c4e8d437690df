//! What a person sees, and that it is what the webhook says.

mod beside;
mod carried;
mod credentials;
mod programs;
mod summary;

use super::*;
use input::File;
use judge::judge;
use perpro_core::catalogue::{self, Example, FIXTURE, Source};
use rstest::rstest;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

fn input(files: &[(&str, &str)]) -> Input {
    let file = |(name, text): &(&str, &str)| File::new((*name).to_owned(), Ok(text.as_bytes().to_vec()));
    Input { files: files.iter().map(file).collect() }
}

/// What is printed of these files.
fn told(files: &[(&str, &str)]) -> String {
    let input = input(files);
    let report = judge(&input, &Facts::default(), "default", None, now());
    text::problems(&report).iter().map(|p| format!("{p}\n")).collect::<String>() + &text::render(&report)
}

/// Codes of what is refused and of what is only warned of, with their lines.
fn found(files: &[(&str, &str)], namespace: &str, enforce: Option<Governance>) -> [Vec<(String, u32)>; 2] {
    let input = input(files);
    let report = judge(&input, &Facts::default(), namespace, enforce, now());
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    [false, true].map(|warning| {
        let of = report.findings.iter().filter(|f| f.warning == warning);
        of.map(|f| (f.refusal.code().to_owned(), f.lines.first)).collect()
    })
}

const IDENTITY: &str = "\
apiVersion: perpro.dev/v1alpha1
kind: AgentIdentity
metadata: {name: feedback-reader}
spec:
  owner: {kind: User, name: jane@example.com}
  expiresAt: \"2027-01-01T00:00:00Z\"
  justification: Reads feedback.
";

const DEPLOYMENT: &str = "\
# Reads feedback.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: feedback-reader
spec:
  template:
    metadata:
      labels:
        perpro.dev/identity: feedback-reader
    spec:
      containers:
      - name: agent
        image: agent:1
        envFrom:
        - secretRef: {name: llm-keys}
      hostPID: true
";

#[test]
fn a_finding_says_where_what_and_what_to_do() {
    assert_eq!(
        told(&[("id.yaml", IDENTITY), ("deploy.yaml", DEPLOYMENT)]),
        "deploy.yaml:16  AID012  container \"agent\" takes all of Secret \"llm-keys\" by envFrom\n   \
            16 |         - secretRef: {name: llm-keys}\n      \
               = list the keys it needs under secretKeys of AgentIdentity \"feedback-reader\", and remove this envFrom\n\
         deploy.yaml:17  AID004  remove hostPID: it lets an agent reach credentials of the node or of other containers\n   \
            17 |       hostPID: true\n\
         2 files, 1 pod, 2 findings\n"
    );
}

#[test]
fn what_others_wrote_moves_no_cursor_and_begins_no_line() {
    let image = DEPLOYMENT.replace("name: llm-keys", "name: \"x\\e[31mRED\\n::error::injected\"");
    let told = told(&[("a\u{1b}.yaml", &image), ("b\n::error::.yaml", "a: [")]);
    assert!(told.contains("\\u{1b}[31mRED\\n::error::injected"), "{told}");
    assert!(!told.contains('\u{1b}') && !told.contains("\n::error"), "{told}");
}

#[test]
fn without_its_identity_a_pod_is_told_what_no_identity_allows() {
    let told = told(&[("deploy.yaml", DEPLOYMENT)]);
    let end = "note: AgentIdentity default/feedback-reader is not among the files, so what it lists was not compared; \
        give its file too, or --cluster\n1 file, 1 pod, 2 findings\n";
    assert!(told.contains("  AID012  ") && told.contains("  AID004  ") && told.ends_with(end), "{told}");
}

#[test]
fn lines_are_those_of_the_source_however_it_is_written() {
    let windows = DEPLOYMENT.replace('\n', "\r\n");
    let expected = [vec![("AID012".to_owned(), 16), ("AID004".to_owned(), 17)], vec![]];
    for text in [DEPLOYMENT, &windows] {
        assert_eq!(found(&[("id.yaml", IDENTITY), ("d.yaml", text)], "default", None), expected);
    }
    let json = "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Pod\",\n  \"metadata\": {\"labels\": {\"perpro.dev/agent\": \"true\"}},\n  \"spec\": {\"containers\": []}\n}\n";
    assert_eq!(found(&[("pod.json", json)], "default", None)[0], [("AID001".to_owned(), 4)]);
    let both = format!("{IDENTITY}---\n{DEPLOYMENT}");
    let lines = found(&[("all.yaml", &both)], "default", None);
    assert_eq!(lines[0], [("AID012".to_owned(), 24), ("AID004".to_owned(), 25)]);
}

#[test]
fn what_an_api_cannot_read_is_told_at_its_line() {
    let port = DEPLOYMENT.replace("image: agent:1", "image: 1");
    assert_eq!(found(&[("d.yaml", &port)], "default", None)[0], [("AID028".to_owned(), 14)]);
    // An API server reads these.
    let amounts = DEPLOYMENT.replace(
        "image: agent:1",
        "image: agent:1\n        resources: {limits: {cpu: 1, memory: 1e9}, requests: {cpu: .5}}",
    );
    assert_eq!(found(&[("d.yaml", &amounts)], "default", None)[0].len(), 2);
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let told = told(&[("chart.yaml", "a: {{ .Values.a }}\n"), ("d.yaml", DEPLOYMENT)]);
    assert!(told.starts_with("chart.yaml:1  can't be read: it is a template; render it first"), "{told}");
    assert!(told.ends_with("2 files, 1 pod, 2 findings, 1 unreadable\n"), "{told}");
}

#[test]
fn a_namespace_among_the_manifests_says_how_it_is_governed() {
    let namespace = |enforce: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {{perpro.dev/enforce: {enforce}}}}}\n"
        )
    };
    let plain = DEPLOYMENT.replace("perpro.dev/identity: feedback-reader", "app: a");
    let of = |enforce: &str, asked| {
        found(&[("ns.yaml", &namespace(enforce)), ("d.yaml", &plain)], "default", asked)[0].clone()
    };
    let all = [("AID001".to_owned(), 9), ("AID012".to_owned(), 16), ("AID004".to_owned(), 17)];
    assert_eq!(of("all", None), all);
    assert_eq!(of("agents", None), []);
    assert_eq!(of("agents", Some(Governance::All)), all);
    assert_eq!(found(&[("d.yaml", DEPLOYMENT)], "kube-system", None)[0], [("AID010".to_owned(), 10)]);
}

/// A policy that excepts what [`DEPLOYMENT`] has, for this workload.
fn excepting(workload: &str) -> String {
    format!(
        "apiVersion: perpro.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: p}}\nspec:\n  namespaces: [default]\n  exceptions:\n  \
         - {{name: tracing, namespace: default, workload: {workload}, codes: [AID004], owner: platform,\n     \
             reason: Until the tracer is gone., expiresAt: \"2026-11-11T12:00:00Z\"}}\n"
    )
}

#[test]
fn an_exception_for_a_workload_is_a_warning_at_what_it_lets_pass() {
    let of = |workload: &str| {
        found(
            &[("id.yaml", IDENTITY), ("p.yaml", &excepting(workload)), ("d.yaml", DEPLOYMENT)],
            "default",
            None,
        )
    };
    let (secret, hole) = (("AID012".to_owned(), 16), ("AID004".to_owned(), 17));
    assert_eq!(of("Deployment/feedback-reader"), [vec![secret.clone()], vec![("AID066".to_owned(), 17)]]);
    assert_eq!(of("Job/feedback-reader"), [vec![secret, hole], vec![]]);
    let told = told(&[("p.yaml", &excepting("Deployment/feedback-reader")), ("d.yaml", DEPLOYMENT)]);
    assert!(
        told.contains("exception \"tracing\" of \"platform\" ends in 10 days, at 2026-11-11T12:00:00Z"),
        "{told}"
    );
}

#[test]
fn an_exception_that_is_stored_and_has_ended_is_a_warning() {
    let policy = excepting("Deployment/a").replace("2026-11-11", "2026-10-11");
    let input = input(&[("p.yaml", &policy)]);
    let stored = serde_yaml::from_str(&policy).unwrap();
    let of = |policies| {
        let facts = Facts { policies, ..Facts::default() };
        let report = judge(&input, &facts, "default", None, now());
        report.findings.iter().map(|f| (f.refusal.code(), f.warning)).collect::<Vec<_>>()
    };
    assert_eq!(of(vec![]), [("AID059", false)]);
    assert_eq!(of(vec![stored]), [("AID059", true)]);
}

#[rstest]
#[case::a_policy_that_is_elsewhere("", &[])]
#[case::too_long("  expiresAt: \"2028-06-01T00:00:00Z\"\n", &["AID047 warning"])]
#[case::over("  expiresAt: \"2020-06-01T00:00:00Z\"\n", &["AID048"])]
fn without_a_policy_only_what_no_policy_allows_is_refused(#[case] change: &str, #[case] expected: &[&str]) {
    let mut identity = IDENTITY.to_owned();
    if !change.is_empty() {
        identity = identity.replace("  expiresAt: \"2027-01-01T00:00:00Z\"\n", change);
    }
    let [refused, warned] = found(&[("id.yaml", &identity)], "default", None);
    let all = refused.into_iter().map(|r| r.0).chain(warned.into_iter().map(|w| format!("{} warning", w.0)));
    assert_eq!(all.collect::<Vec<_>>(), expected);
}

/// Codes whose wrong manifest is said by the API server alone: by policies, about objects that make no pods.
const OF_POLICIES: [&str; 3] = ["AID083", "AID094", "AID099"];

#[test]
fn check_says_of_every_example_of_the_catalogue_what_the_api_server_says() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: agents, labels: {perpro.dev/enforce: all}}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {app: none}}\n";
    let mut compared = BTreeSet::new();
    let mut differ = Vec::new();
    for entry in catalogue::all() {
        let Example::Manifests { wrong, right } = entry.example else { continue };
        if OF_POLICIES.contains(&entry.code) {
            continue;
        }
        let mut of = |what: &str, manifest: &str| {
            // As the examples assume: what the fixture has of that name is replaced, or is there before.
            let files = [("ns.yaml", namespace), ("fixture.yaml", FIXTURE), ("it.yaml", manifest)];
            let input = input(&files);
            let governed = Some([("agents".to_owned(), Governance::All)].into());
            let facts = Facts { governed, ..Facts::default() };
            let report = judge(&input, &facts, "agents", None, now());
            let mine = report.findings.iter().filter(|f| f.file == "it.yaml");
            let codes: Vec<_> = mine.map(|f| (f.refusal.code(), f.warning)).collect();
            compared.insert(entry.code);
            let expected = match (what, entry.from[0]) {
                ("right", _) => codes.is_empty(),
                (_, Source::Warning) => {
                    codes.first() == Some(&(entry.code, true)) && codes.iter().all(|c| c.1)
                }
                _ => codes.iter().find(|c| !c.1) == Some(&(entry.code, false)),
            };
            if !expected {
                differ.push(format!("{} {what}: {codes:?}", entry.code));
            }
        };
        of("wrong", wrong);
        of("right", right);
    }
    assert_eq!(differ, Vec::<String>::new());
    assert!(compared.len() > 40, "{compared:?}");
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn the_examples_are_clean_but_for_those_that_are_to_be_refused() {
    let clean = Input::read(&[examples()], &[examples().join("refused")]);
    let report = judge(&clean, &Facts::default(), NAMESPACE, None, now());
    assert_eq!(text::problems(&report).concat() + &text::render(&report), "10 files, 3 pods, 0 findings\n");
    let refused = Input::read(&[examples()], &[]);
    let report = judge(&refused, &Facts::default(), NAMESPACE, None, now());
    let codes: Vec<_> = report.findings.iter().map(|f| f.refusal.code()).collect();
    assert_eq!(codes, ["AID012", "AID001", "AID021"]);
}

#[test]
fn folders_are_searched_and_links_that_lead_back_do_not_hang() {
    let root = std::env::temp_dir().join(format!("perpro-check-{}", std::process::id()));
    let make = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    make("a/b/pod.yml", "a: 1");
    make("a/pod.json", "{}");
    make("a/.git/config.yaml", "a: 1");
    make("a/notes.txt", "a: [");
    make("left-out/pod.yaml", "a: [");
    std::os::unix::fs::symlink(&root, root.join("a/b/back")).unwrap();
    std::os::unix::fs::symlink(root.join("nowhere"), root.join("a/gone.yaml")).unwrap();
    let read = Input::read(&[root.clone(), root.join("missing.yaml")], &[root.join("left-out")]);
    let names: Vec<_> =
        read.files.iter().map(|f| f.name.strip_prefix(root.to_str().unwrap()).unwrap()).collect();
    assert_eq!(names, ["/a/b/pod.yml", "/a/pod.json", "/missing.yaml"]);
    assert_eq!(read.files[2].manifest.problems.len(), 1);
    fs::remove_dir_all(&root).unwrap();
}

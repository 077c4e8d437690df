//! What programs are given.

use super::*;
use serde_json::Value;
use std::io::Write;
use std::os::fd::AsRawFd;

#[test]
fn a_program_is_told_the_same() {
    let input = input(&[("dir with/d.yaml", DEPLOYMENT), ("no.yaml", "a: [")]);
    let report = judge(&input, &Facts::default(), "default", None, now());
    let json = json::render(&report);
    let finding = &json["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["code"], &finding["path"]),
        (&16.into(), &"AID012".into(), &"spec.template.spec.containers[0].envFrom[0]".into())
    );
    assert_eq!(json["unknownIdentities"][0], "default/feedback-reader");
    let sarif = sarif::render(&report);
    let run = &sarif["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let result = &run["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(
        (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
        (&"dir%20with/d.yaml".into(), &16.into())
    );
    let index = result["ruleIndex"].as_u64().unwrap() as usize;
    assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
}

#[test]
fn a_fingerprint_stays_when_lines_move() {
    let fingerprints = |text: &str| {
        let input = input(&[("d.yaml", text)]);
        let sarif = sarif::render(&judge(&input, &Facts::default(), "default", None, now()));
        let results = sarif["runs"][0]["results"].as_array().unwrap().clone();
        results.iter().map(|r| r["partialFingerprints"].clone()).collect::<Vec<Value>>()
    };
    let all = fingerprints(DEPLOYMENT);
    assert_eq!(all, fingerprints(&format!("# more\n\n{DEPLOYMENT}")));
    assert_ne!(all[0], all[1]);
}

/// Where the results and notifications of SARIF say that they are.
fn places(report: &Report<'_>) -> Vec<Value> {
    let sarif = sarif::render(report);
    let run = &sarif["runs"][0];
    let notes = &run["invocations"][0]["toolExecutionNotifications"];
    let all = run["results"].as_array().unwrap().iter().chain(notes.as_array().unwrap());
    all.filter_map(|r| r.pointer("/locations/0/physicalLocation").cloned()).collect()
}

#[rstest]
#[case("./a/d.yaml", "a/d.yaml")]
#[case("a/./b/../d.yaml", "a/d.yaml")]
#[case("/x/../y/d.yaml", "file:///y/d.yaml")]
#[case("../x y/d.yaml", "file://ABOVE/x%20y/d.yaml")]
#[case("a/../../d.yaml", "file://ABOVE/d.yaml")]
fn a_file_has_one_uri_without_dots(#[case] name: &str, #[case] uri: &str) {
    let above = std::env::current_dir().unwrap().parent().unwrap().display().to_string();
    let input = input(&[(name, DEPLOYMENT)]);
    let report = judge(&input, &Facts::default(), "default", None, now());
    assert_eq!(places(&report)[0]["artifactLocation"]["uri"], uri.replace("ABOVE", &above));
}

#[test]
fn a_file_that_is_not_there_has_no_line() {
    let input = Input::read(&["missing.yaml".into()], &[]);
    let report = judge(&input, &Facts::default(), "default", None, now());
    assert!(places(&report)[0].get("region").is_none(), "{:?}", places(&report));
    assert_eq!(json::render(&report)["unreadable"][0]["line"], Value::Null);
    let said = text::problems(&report);
    assert!(said[0].starts_with("missing.yaml  can't be read: "), "{said:?}");
}

#[test]
fn no_two_findings_have_one_fingerprint() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: p, labels: {perpro.dev/agent: \"true\"}}\nspec: {containers: [{name: a, image: i}]}\n";
    let input = input(&[("d.yaml", &format!("{pod}---\n{pod}---\n{pod}"))]);
    let sarif = sarif::render(&judge(&input, &Facts::default(), "default", None, now()));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let fingerprints: BTreeSet<_> = results.iter().map(|r| r["partialFingerprints"].to_string()).collect();
    assert_eq!((results.len(), fingerprints.len()), (3, 3));
}

#[test]
fn a_pipe_of_the_shell_is_read() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(DEPLOYMENT.as_bytes()).unwrap();
    drop(writer);
    // As bash names what `<(helm template ...)` writes.
    let name = format!("/dev/fd/{}", reader.as_raw_fd());
    let input = Input::read(&[name.clone().into()], &[]);
    assert_eq!((input.files.len(), input.files[0].name.as_str()), (1, name.as_str()));
    assert!(input.files[0].text == DEPLOYMENT && input.files[0].manifest.problems.is_empty());
}

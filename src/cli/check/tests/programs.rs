//! What programs are given.

use super::*;
use serde_json::Value;

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

//! Credentials that stand in manifests are told and never shown.

use super::*;

/// A credential, in parts, so that it does not stand here.
fn token() -> String {
    ["ghp", "_", "q7Ht2LmZ9xVb", "4KdR8sWc", "1NfY6uJp", "3EgA5oTi"].concat()
}

/// The manifest with `value` as the value of a variable, as it is written.
fn with_value(value: &str) -> String {
    DEPLOYMENT.replace(
        "        envFrom:\n",
        &format!("        env:\n        - name: A\n          value: {value}\n        envFrom:\n"),
    )
}

#[test]
fn a_credential_is_told_and_never_shown() {
    let token = token();
    let text = with_value(&token);
    let told_as_text = told(&[("id.yaml", IDENTITY), ("d.yaml", &text)]);
    let shown = format!(
        "d.yaml:17  AID065  warning: move this value of container \"agent\" to a Secret, list its key in the AgentIdentity, \
         and replace the credential: it looks like a GitHub token, and whoever reads the pod has it\n   17 |           value: {}\n",
        "*".repeat(token.len())
    );
    assert!(told_as_text.contains(&shown), "{told_as_text}");
    let input = input(&[("d.yaml", &text)]);
    let report = judge(&input, &Facts::default(), "default", None, now());
    let programs = format!("{} {}", json::render(&report), sarif::render(&report));
    assert!(
        programs.contains("AID065") && programs.contains("spec.containers[0].env[A].value"),
        "{programs}"
    );
    assert!(!(told_as_text + &programs).contains(&token[4..]));
}

#[rstest]
#[case::quoted("\"TOKEN\"")]
#[case::in_a_flow("&x \'TOKEN\'")]
#[case::over_lines("|\n            first\n            TOKEN")]
#[case::folded(">-\n            TOKEN\n            more")]
#[case::escaped("\"\\x67hp_REST\"")]
#[case::escaped_in_the_middle("\"ghp_\\u0071REST\"")]
#[case::broken("\"ghp_\\\n            REST\"")]
fn however_it_is_written_nothing_of_a_credential_is_shown(#[case] value: &str) {
    let token = token();
    let rest = if value.contains("u0071") { &token[5..] } else { &token[4..] };
    let text = with_value(&value.replace("TOKEN", &token).replace("REST", rest));
    let told = told(&[("d.yaml", &text)]);
    assert!(told.contains("AID065") && !told.contains(&token[12..]), "{told}");
    // Other findings show the same lines.
    let one_line = yaml_on_one_line(&text);
    let told = self::told(&[("d.json", &one_line)]);
    assert!(told.contains("AID012") && !told.contains(&token[12..]), "{told}");
}

#[rstest]
#[case::as_compose_has_it("[\"DB_PASSWORD=SECRET\"]")]
#[case::as_a_map("{DB_PASSWORD: SECRET}")]
#[case::in_another_field("[{name: DB_PASSWORD, val: SECRET}]")]
#[case::in_another_case("[{name: DB_PASSWORD, Value: SECRET}]")]
#[case::instead_of_where_it_is_from("[{name: DB_PASSWORD, valueFrom: SECRET}]")]
fn the_value_of_a_variable_is_not_shown_where_it_is_written_another_way(#[case] env: &str) {
    const SECRET: &str = "Xy12abCD34efGH56ij78Kq";
    let env = format!("        env: {}\n        envFrom:\n", env.replace("SECRET", SECRET));
    let text = DEPLOYMENT.replace("        envFrom:\n", &env);
    let told_as_text = told(&[("id.yaml", IDENTITY), ("d.yaml", &text)]);
    assert!(["AID014", "AID028"].iter().any(|code| told_as_text.contains(code)), "{told_as_text}");
    let input = input(&[("id.yaml", IDENTITY), ("d.yaml", &text)]);
    let report = judge(&input, &Facts::default(), "default", None, now());
    let programs = format!("{} {}", json::render(&report), sarif::render(&report));
    assert!(!(told_as_text.clone() + &programs).contains(&SECRET[..8]), "{told_as_text}{programs}");
}

/// The same as JSON.
fn yaml_on_one_line(text: &str) -> String {
    let manifest = crate::manifest::read(text.as_bytes());
    manifest.objects[0].node.to_json().to_string()
}

#[test]
fn a_secret_key_of_aws_is_known_by_the_name_of_its_variable_and_masked_all_the_same() {
    let secret = ["q7Ht2LmZ9xVb4KdR8sWc", "1NfY6uJp3EgA5oTi0+/B"].concat();
    let text = with_value(&secret).replace("name: A\n", "name: AWS_SECRET_ACCESS_KEY\n");
    let told = told(&[("d.yaml", &text)]);
    assert!(
        told.contains("an AWS secret key") && told.contains(&"*".repeat(40)) && !told.contains(&secret[..8]),
        "{told}"
    );
}

#[test]
fn where_a_policy_refuses_it_a_credential_is_a_finding() {
    let policy = "apiVersion: perpro.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {name: p}\nspec: {namespaces: [default], literalCredentials: Refuse}\n";
    let text = with_value(&token());
    let of = |files: &[(&str, &str)]| {
        found(files, "default", None).map(|of| of.iter().any(|(code, line)| code == "AID065" && *line == 17))
    };
    assert_eq!(of(&[("d.yaml", &text)]), [false, true]);
    assert_eq!(of(&[("p.yaml", policy), ("d.yaml", &text)]), [true, false]);
}

/// A pod whose database has a word as its password, and other things of that name.
const WORD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {perpro.dev/identity: feedback-reader}}
spec:
  containers:
  - name: agent
    image: ghcr.io/acme/agent:1
    env:
    - name: DATABASE_URL
      value: postgresql://postgres:postgres@postgres-rw:5432/app
    envFrom:
    - secretRef: {name: postgres-admin}
";

#[test]
fn a_word_that_is_a_password_is_masked_where_it_is_one() {
    let told_of = told(&[("p.yaml", WORD)]);
    assert!(
        told_of.contains("\n   10 |       value: postgresql://postgres:********@postgres-rw:5432/app\n"),
        "{told_of}"
    );
    assert!(told_of.contains("\n   12 |     - secretRef: {name: postgres-admin}\n"), "{told_of}");
    // A longer one is no word that stands elsewhere by chance.
    let told = told(&[(
        "p.yaml",
        &WORD.replace("postgres-admin", "elephantgraveyard").replace(":postgres@", ":elephantgraveyard@"),
    )]);
    assert!(!told.contains("{name: elephant"), "{told}");
}

#[rstest]
#[case::broken("\"postgresql://app:post\\\n        gres@db/x\"", "gres@db")]
#[case::escaped("\"postgresql://app:\\x70ostgres@db/x\"", "ostgres@db")]
#[case::in_a_script("|\n        set -e\n        export U=postgresql://app:postgres@db/x", ":postgres@")]
fn however_it_is_written_a_word_that_is_a_password_is_not_shown(#[case] value: &str, #[case] secret: &str) {
    let text = WORD.replace("postgresql://postgres:postgres@postgres-rw:5432/app", value);
    let told = told(&[("p.yaml", &text)]);
    assert!(told.contains("AID065") && told.contains("AID012") && !told.contains(secret), "{told}");
}

#[rstest]
#[case::as_it_is(
    "|\n        set -e\n        # the postgres of all\n        export U=postgresql://app:postgres@db/x\n        exec agent",
    13
)]
#[case::a_token("|\n        set -e\n\n        export T=TOKEN\n        exec agent", 13)]
#[case::folded(">-\n        --verbose\n        --token=TOKEN\n        --all", 12)]
#[case::quoted("'--verbose\n        --token=TOKEN'", 11)]
#[case::elsewhere("\"--token=gh\\x70_REST\"", 10)]
fn a_credential_is_told_at_its_own_line(#[case] value: &str, #[case] line: u32) {
    let token = token();
    let value = value.replace("TOKEN", &token).replace("REST", &token[4..]);
    let text = WORD.replace("postgresql://postgres:postgres@postgres-rw:5432/app", &value);
    let input = input(&[("p.yaml", &text)]);
    let report = judge(&input, &Facts::default(), "default", None, now());
    let found = report.findings.iter().find(|f| f.refusal.code() == "AID065").unwrap();
    assert_eq!(found.lines.first, line, "{text}");
    let told = text::render(&report);
    assert!(!told.contains(&token[8..]) && !told.contains(":postgres@"), "{told}");
}

/// A pod with these variables, and nothing else to complain of.
fn with_env(env: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{perpro.dev/identity: feedback-reader}}}}\nspec:\n  containers:\n  - name: agent\n    \
         image: i\n    env:\n{env}"
    )
}

#[test]
fn of_two_variables_of_one_name_the_one_is_told_that_has_it() {
    let text = with_env(&format!("    - {{name: A, value: x}}\n    - {{name: A, value: {}}}\n", token()));
    assert_eq!(found(&[("p.yaml", &text)], "default", None)[1], [("AID065".to_owned(), 10)]);
    let key = "valueFrom: {secretKeyRef: {name: s, key: k}}";
    let text = with_env(&format!("    - {{name: A, value: x}}\n    - {{name: A, {key}}}\n"));
    assert_eq!(
        found(&[("id.yaml", IDENTITY), ("p.yaml", &text)], "default", None)[0],
        [("AID021".to_owned(), 10)]
    );
}

#[test]
fn the_value_of_a_variable_is_not_shown_though_it_has_no_known_form() {
    let told_of = told(&[(
        "p.yaml",
        &with_env(
            "    - {name: PIN, value: 847736291038}\n    - {name: FLAG, value: yes}\n    envFrom: [{secretRef: {name: s}}]\n",
        ),
    )]);
    assert!(
        told_of.starts_with(
            "p.yaml:9  AID028  send an object that its API can read: the value of a variable is text, so write it in quotes\n\
             p.yaml:10  AID028  send an object that its API can read: the value of a variable is text, so write it in quotes\n\
             p.yaml:11  AID012  "
        ),
        "{told_of}"
    );
    let grants = "  secrets: [{name: s, rotateBy: \"2027-01-01T00:00:00Z\"}]\n  containers: [{name: agent, secretKeys: [{secret: s, key: k, env: PIN}]}]\n";
    let told = told(&[
        ("id.yaml", &format!("{IDENTITY}{grants}")),
        ("p.yaml", &with_env("    - {name: PIN, value: \"847736291038\"}\n")),
    ]);
    assert!(told.contains("p.yaml:9  AID024  ") && !told.contains("847736"), "{told}");
}

#[test]
fn what_an_alias_brings_is_told_where_the_alias_stands() {
    let text = with_env(&format!(
        "    - &a {{name: A, value: {}}}\n    securityContext: &open {{privileged: true}}\n  - name: other\n    image: i\n    env:\n    - *a\n    \
         securityContext:\n      <<: *open\n",
        token()
    ));
    let of = [vec![("AID004", 10), ("AID004", 16)], vec![("AID065", 9), ("AID065", 14)]]
        .map(|of| of.into_iter().map(|(code, line)| (code.to_owned(), line)).collect::<Vec<_>>());
    assert_eq!(found(&[("p.yaml", &text)], "default", None), of);
    assert!(!told(&[("p.yaml", &text)]).contains(&token()[8..]));
}

#[test]
fn a_credential_that_a_probe_sends_or_runs_is_told_at_its_line_and_never_shown() {
    let token = token();
    let text = with_env(&format!(
        "    - {{name: A, value: x}}\n    livenessProbe:\n      httpGet:\n        port: 80\n        httpHeaders:\n        - name: X-Api-Key\n          \
         value: {}\n    readinessProbe:\n      exec:\n        command:\n        - sh\n        - -c\n        - |\n          set -e\n          curl -H \"X: {token}\" x\n",
        &token[4..].replace('_', "0")
    ));
    let of = [(15, "let this probe or hook"), (23, "move this value")];
    let told = told(&[("p.yaml", &text)]);
    for (line, words) in of {
        assert!(
            told.contains(&format!("p.yaml:{line}  AID065  warning: {words} of container \"agent\" ")),
            "{told}"
        );
    }
    assert!(told.contains(&format!("   15 |           value: {}\n", "*".repeat(token.len() - 4))), "{told}");
    assert!(!told.contains(&token[12..]), "{told}");
}

#[test]
fn the_value_of_a_header_is_not_shown_though_it_has_no_known_form_and_hides_nothing_else() {
    let probe = "    livenessProbe:\n      httpGet:\n        port: 80\n        httpHeaders:\n        - {name: X-Api-Key, value: 847736291038}\n";
    let told = told(&[(
        "p.yaml",
        &with_env(&format!(
            "    - {{name: A, value: x}}\n{probe}    envFrom: [{{secretRef: {{name: s}}}}]\n"
        )),
    )]);
    let expected = "p.yaml:14  AID028  send an object that its API can read: the value of a header is text, so write it in quotes\n\
         p.yaml:15  AID012  ";
    assert!(told.starts_with(expected) && !told.contains("847736"), "{told}");
}

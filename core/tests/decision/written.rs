//! What perpro wrote on a pod, and what somebody did to it since.

use crate::{codes, refused_when};
use rstest::rstest;
use serde_json::{Value, json};

fn remove(object: &mut Value, key: &str) {
    object.as_object_mut().unwrap().remove(key);
}

#[rstest]
#[case::account(|p: &mut Value| { for f in ["serviceAccountName", "serviceAccount"] { p["spec"][f] = json!("default"); } }, &["AID018", "AID018"])]
#[case::account_of_another_identity(|p: &mut Value| { for f in ["serviceAccountName", "serviceAccount"] { p["spec"][f] = json!("aid-rob-0123456789"); } }, &["AID018", "AID018"])]
#[case::no_account(|p: &mut Value| { for f in ["serviceAccountName", "serviceAccount"] { remove(&mut p["spec"], f); } }, &["AID018", "AID018"])]
#[case::old_name_of_the_field(|p: &mut Value| p["spec"]["serviceAccount"] = json!("default"), &["AID018", "AID018"])]
#[case::two_accounts_of_one_identity(|p: &mut Value| p["spec"]["serviceAccount"] = json!("aid-bot-9876543210"), &["AID018"])]
#[case::default_token(|p: &mut Value| p["spec"]["automountServiceAccountToken"] = json!(true), &["AID019"])]
#[case::default_token_unsaid(|p: &mut Value| remove(&mut p["spec"], "automountServiceAccountToken"), &["AID019"])]
#[case::no_gate(|p: &mut Value| remove(&mut p["spec"], "schedulingGates"), &["AID019"])]
#[case::another_gate(|p: &mut Value| p["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]), &["AID019"])]
#[case::no_uid(|p: &mut Value| remove(&mut p["metadata"]["annotations"], "perpro.dev/identity-uid"), &["AID019"])]
#[case::another_uid(|p: &mut Value| p["metadata"]["annotations"]["perpro.dev/identity-uid"] = json!("uid-2"), &["AID009"])]
#[case::no_generation(|p: &mut Value| remove(&mut p["metadata"]["annotations"], "perpro.dev/identity-generation"), &["AID019"])]
#[case::no_number(|p: &mut Value| p["metadata"]["annotations"]["perpro.dev/identity-generation"] = json!("x"), &["AID009"])]
#[case::label_of_another_identity(|p: &mut Value| p["metadata"]["labels"]["perpro.dev/identity"] = json!("rob"), &["AID009"])]
#[case::label(|p: &mut Value| p["metadata"]["labels"]["perpro.dev/owner"] = json!("jane"), &["AID009"])]
#[case::annotation(|p: &mut Value| p["metadata"]["annotations"]["perpro.dev/pod-uid"] = json!("1"), &["AID009"])]
#[case::mirror(|p: &mut Value| p["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("x"), &["AID017"])]
#[case::no_variables(|p: &mut Value| remove(&mut p["spec"]["containers"][0], "env"), &["AID023", "AID023"])]
#[case::no_files(|p: &mut Value| remove(&mut p["spec"]["containers"][0], "volumeMounts"), &["AID021", "AID011", "AID023", "AID023"])]
#[case::something_else_in_the_place_of_files(|p: &mut Value| {
    p["spec"]["volumes"] = json!([{"name": "perpro-keys-agent", "emptyDir": {}}, {"name": "perpro-token-agent", "emptyDir": {}}]);
}, &["AID025", "AID025"])]
#[case::nothing(|_: &mut Value| (), &[])]
#[case::a_note(|p: &mut Value| p["metadata"]["annotations"]["example.com/note"] = json!("x"), &[])]
#[case::it_says_that_it_is_an_agent(|p: &mut Value| p["metadata"]["labels"]["perpro.dev/agent"] = json!("true"), &[])]
#[case::a_gate_more(|p: &mut Value| p["spec"]["schedulingGates"].as_array_mut().unwrap().push(json!({"name": "example.com/wait"})), &[])]
#[case::the_old_name_unsaid(|p: &mut Value| remove(&mut p["spec"], "serviceAccount"), &[])]
fn what_perpro_wrote_on_a_pod_must_still_be_there(#[case] change: fn(&mut Value), #[case] expected: &[&str]) {
    assert_eq!(codes(&refused_when(change)), expected);
}

#[test]
fn what_is_in_the_place_of_what_is_listed_is_told_where_it_stands() {
    let told = refused_when(|pod| {
        let empty = |name: &str| json!({"name": name, "emptyDir": {}});
        pod["spec"]["volumes"] = ["data", "perpro-keys-agent", "perpro-token-agent"].map(empty).into();
        let agent = &mut pod["spec"]["containers"][0];
        // What is listed stands there no more, and others stand before it.
        agent["env"] = json!([{"name": "A", "value": "x"}, {"name": "CRM", "value": "x"}, {"name": "LLM", "value": "x"},
            {"name": "LLM", "value": "y"}]);
        let mounts = agent["volumeMounts"].as_array_mut().unwrap();
        mounts.insert(0, json!({"name": "data", "mountPath": "/data"}));
    });
    let places: Vec<_> = told.iter().filter_map(|told| Some(told.split_once(": ")?.0)).collect();
    assert_eq!(
        places,
        [
            "AID024 spec.containers[0].env[CRM]",
            "AID025 spec.containers[0].volumeMounts[1]",
            "AID024 spec.containers[0].env[2]",
            "AID025 spec.containers[0].volumeMounts[2]",
        ]
    );
}

//! What the catalogue shows to be right earns no finding that says otherwise.

use super::*;
use perpro_core::catalogue::{self, Example};
use serde::Deserialize;

#[test]
fn a_pod_that_the_catalogue_shows_to_be_right_holds_no_more_than_its_own_keys() {
    let mut pods = 0;
    for entry in catalogue::all() {
        let Example::Manifests { right, .. } = entry.example else { continue };
        for document in serde_yaml::Deserializer::from_str(right) {
            let object = Value::deserialize(document).unwrap();
            if object["kind"] == "Pod" {
                pods += 1;
                let (_, found) = Scene::default().pod(object).found(Crack::BroadKeys);
                assert_eq!(found, Vec::<String>::new(), "{}", entry.code);
            }
        }
    }
    assert!(pods > 20, "{pods}");
}

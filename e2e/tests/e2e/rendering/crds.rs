//! The chart of the kinds.

use crate::helm::{objects, rendered};
use serde_json::json;

#[test]
#[ignore = "needs helm"]
fn the_kinds_outlive_their_chart_unless_told_otherwise() {
    for (values, keep) in [(json!({}), json!("keep")), (json!({"crds": {"keep": false}}), json!(null))] {
        let definitions = objects(&rendered("perpro-crds", &values));
        assert!(definitions.len() >= 2);
        for definition in definitions {
            assert_eq!(definition["kind"], "CustomResourceDefinition");
            assert_eq!(
                definition["metadata"]["annotations"].get("helm.sh/resource-policy").unwrap_or(&json!(null)),
                &keep
            );
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn labels_and_annotations_reach_every_definition() {
    let values = json!({"commonLabels": {"team": "platform"}, "crds": {"annotations": {"argocd.argoproj.io/sync-wave": "-1"}}});
    for definition in objects(&rendered("perpro-crds", &values)) {
        assert_eq!(definition["metadata"]["labels"]["team"], "platform");
        assert_eq!(definition["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"], "-1");
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
}

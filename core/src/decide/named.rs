//! Which Secrets does a pod name, in whatever field? Asked of pods without identity, which hold what they like: what
//! they name is nobody's alone.

use super::credentials::{What, in_env, in_volume};
use super::pod::AgentPod;
use k8s_openapi::api::core::v1::{LocalObjectReference, Volume};
use std::collections::{BTreeMap, BTreeSet};

/// The names of these Secrets. The policy `perpro-plain-pods` looks into the same fields; a test compares.
#[must_use]
pub fn named_secrets(pod: &AgentPod) -> BTreeSet<String> {
    naming(pod).into_keys().collect()
}

/// The same, each with the path of the first field that names it.
pub(super) fn naming(pod: &AgentPod) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut add = |path: String, secret: String| {
        found.entry(secret).or_insert(path);
    };
    let mut holds = |path, what| {
        if let What::SecretKey { secret, .. } | What::WholeSecret { secret, .. } = what {
            add(path, secret);
        }
    };
    pod.containers().iter().flat_map(in_env).for_each(|credential| holds(credential.path, credential.what));
    // Each volume once, mounted or not: items times mounts would be the square of a pod's size.
    for (path, volume) in pod.volumes() {
        in_volume(path, volume, &mut holds);
    }
    for (path, volume) in pod.volumes() {
        of_the_driver(volume).into_iter().for_each(|secret| add(path.to_string(), secret));
    }
    for (i, secret) in pod.spec.image_pull_secrets.iter().flatten().enumerate() {
        add(format!("spec.imagePullSecrets[{i}]"), secret.name.clone());
    }
    found.remove("");
    found
}

/// The Secret with which the driver of a volume logs in.
pub(super) fn of_the_driver(volume: &Volume) -> Option<String> {
    // Named in full: a new source stops the build until it is classified.
    let Volume {
        name: _,
        // Seen by `credentials`.
        secret: _,
        projected: _,
        azure_file,
        cephfs,
        cinder,
        csi,
        flex_volume,
        iscsi,
        rbd,
        scale_io,
        storageos,
        // They name no Secret; what a PersistentVolume brings is beyond the pod's view.
        aws_elastic_block_store: _,
        azure_disk: _,
        config_map: _,
        downward_api: _,
        empty_dir: _,
        ephemeral: _,
        fc: _,
        flocker: _,
        gce_persistent_disk: _,
        git_repo: _,
        glusterfs: _,
        host_path: _,
        image: _,
        nfs: _,
        persistent_volume_claim: _,
        photon_persistent_disk: _,
        portworx_volume: _,
        quobyte: _,
        vsphere_volume: _,
    } = volume;
    let referred: [Option<&LocalObjectReference>; 8] = [
        cephfs.as_ref().and_then(|v| v.secret_ref.as_ref()),
        cinder.as_ref().and_then(|v| v.secret_ref.as_ref()),
        csi.as_ref().and_then(|v| v.node_publish_secret_ref.as_ref()),
        flex_volume.as_ref().and_then(|v| v.secret_ref.as_ref()),
        iscsi.as_ref().and_then(|v| v.secret_ref.as_ref()),
        rbd.as_ref().and_then(|v| v.secret_ref.as_ref()),
        scale_io.as_ref().map(|v| &v.secret_ref),
        storageos.as_ref().and_then(|v| v.secret_ref.as_ref()),
    ];
    let azure = azure_file.as_ref().map(|v| v.secret_name.clone());
    referred.into_iter().flatten().map(|r| r.name.clone()).next().or(azure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodSpec;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn named(spec: Value) -> Vec<String> {
        let pod = AgentPod::parse(&json!({ "spec": spec }).to_string()).unwrap();
        named_secrets(&pod).into_iter().collect()
    }

    #[rstest]
    #[case::env("containers", json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "k"}}}]}))]
    #[case::env_from("initContainers", json!({"envFrom": [{"secretRef": {"name": "crm"}}]}))]
    #[case::in_a_debug_container("ephemeralContainers", json!({"envFrom": [{"secretRef": {"name": "crm"}}]}))]
    fn a_container_names_the_secrets_of_its_environment(#[case] list: &str, #[case] container: Value) {
        let mut spec = json!({"containers": [{"name": "main"}]});
        let mut container = container;
        container["name"] = json!("a");
        spec[list] = json!([container]);
        assert_eq!(named(spec), ["crm"]);
    }

    #[rstest]
    fn a_volume_names_the_secret_that_it_holds_or_that_its_driver_logs_in_with(
        #[values(
            json!({"secret": {"secretName": "crm"}}), json!({"secret": {"secretName": "crm", "items": [{"key": "k", "path": "p"}]}}),
            json!({"projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "crm"}}]}}),
            json!({"azureFile": {"secretName": "crm", "shareName": "x"}}), json!({"cephfs": {"monitors": [], "secretRef": {"name": "crm"}}}),
            json!({"cinder": {"volumeID": "v", "secretRef": {"name": "crm"}}}), json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "crm"}}}),
            json!({"flexVolume": {"driver": "d", "secretRef": {"name": "crm"}}}),
            json!({"iscsi": {"iqn": "q", "lun": 0, "targetPortal": "t", "secretRef": {"name": "crm"}}}),
            json!({"rbd": {"image": "i", "monitors": [], "secretRef": {"name": "crm"}}}),
            json!({"scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "crm"}}}), json!({"storageos": {"secretRef": {"name": "crm"}}})
        )]
        source: Value,
    ) {
        let mut volume = source;
        volume["name"] = json!("v");
        assert_eq!(named(json!({"containers": [{"name": "a"}], "volumes": [volume]})), ["crm"]);
    }

    #[test]
    fn the_first_field_that_names_a_secret_is_told() {
        let spec = json!({"imagePullSecrets": [{"name": "x"}, {"name": "pull"}],
            "containers": [{"name": "a"}, {"name": "b", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "k"}}}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "crm"}}, {"name": "w", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "csi"}}}]});
        let pod = AgentPod::parse(&json!({ "spec": spec }).to_string()).unwrap();
        let expected = [
            ("crm", "spec.containers[1].env[A]"),
            ("csi", "spec.volumes[1]"),
            ("pull", "spec.imagePullSecrets[1]"),
            ("x", "spec.imagePullSecrets[0]"),
        ];
        let named = naming(&pod);
        assert_eq!(named.iter().map(|(s, p)| (s.as_str(), p.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn whatever_is_no_secret_is_not_named() {
        let spec = json!({"imagePullSecrets": [{"name": "pull"}, {}],
            "containers": [{"name": "a", "envFrom": [{"configMapRef": {"name": "c"}}], "env": [{"name": "A", "value": "b"}]}],
            "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, {"name": "e", "emptyDir": {}}]});
        assert_eq!(named(spec), ["pull"]);
    }

    #[test]
    fn very_many_items_and_mounts_take_no_time() {
        let mounts: Vec<_> = (0..5_000).map(|i| json!({"name": "v", "mountPath": format!("/{i}")})).collect();
        let items: Vec<_> = (0..5_000).map(|i| json!({"key": "k", "path": format!("{i}")})).collect();
        let spec = json!({"containers": [{"name": "a", "volumeMounts": mounts}],
            "volumes": [{"name": "v", "secret": {"secretName": "crm", "items": items}}]});
        let pod = AgentPod::known(serde_json::from_value::<PodSpec>(spec).unwrap());
        assert_eq!(named_secrets(&pod).len(), 1);
    }
}

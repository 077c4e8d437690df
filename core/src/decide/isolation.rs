//! Where the walls of a pod have holes: through to the node, or between its containers.

use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use k8s_openapi::api::core::v1::{PodSpec, SecurityContext, Volume, WindowsSecurityContextOptions};

/// Capabilities that reach no credential: those of Pod Security's baseline, less MKNOD, by which a container reaches
/// devices of its node; and one that only keeps memory from being swapped out.
const HARMLESS_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Most characters that are told of a capability's name.
const LONGEST_NAME: usize = 32;

/// Every hole, each at its field.
#[must_use]
pub fn holes(pod: &AgentPod) -> Vec<Refusal> {
    let mut found = in_spec(&pod.spec);
    for container in pod.containers() {
        if let Some(context) = container.security {
            let path = container.path;
            found.extend(
                in_security_context(context)
                    .into_iter()
                    .map(|(field, reason)| Refusal::at(format!("{path}.securityContext.{field}"), reason)),
            );
        }
    }
    for (path, volume) in pod.volumes() {
        found.extend(
            foreign_source(volume).map(|(kind, reason)| Refusal::at(format!("{path}.{kind}"), reason)),
        );
    }
    found
}

fn in_spec(spec: &PodSpec) -> Vec<Refusal> {
    // Named in full: a new field stops the build until it is classified.
    let PodSpec {
        host_ipc,
        host_network,
        host_pid,
        share_process_namespace,
        node_name,
        security_context,
        ephemeral_containers,
        // Decided by `admit` and `credentials`.
        automount_service_account_token: _,
        containers: _,
        init_containers: _,
        image_pull_secrets: _,
        scheduling_gates: _,
        service_account: _,
        service_account_name: _,
        volumes: _,
        // Where, when and how much; names and addresses: no credential. Devices by
        // resourceClaims are granted by their own admission.
        active_deadline_seconds: _,
        affinity: _,
        dns_config: _,
        dns_policy: _,
        enable_service_links: _,
        eviction_responders: _,
        host_aliases: _,
        host_users: _,
        hostname: _,
        hostname_override: _,
        node_selector: _,
        os: _,
        overhead: _,
        preemption_policy: _,
        priority: _,
        priority_class_name: _,
        readiness_gates: _,
        resource_claims: _,
        resources: _,
        restart_policy: _,
        runtime_class_name: _,
        scheduler_name: _,
        scheduling_group: _,
        set_hostname_as_fqdn: _,
        subdomain: _,
        termination_grace_period_seconds: _,
        tolerations: _,
        topology_spread_constraints: _,
    } = spec;
    let host = |set: &Option<bool>, what| {
        (*set == Some(true)).then(|| Refusal::at(format!("spec.{what}"), Reason::HostAccess { what }))
    };
    let windows = security_context.as_ref().and_then(|c| c.windows_options.as_ref());
    [
        host(host_network, "hostNetwork"),
        host(host_pid, "hostPID"),
        host(host_ipc, "hostIPC"),
        host(share_process_namespace, "shareProcessNamespace"),
        windows.and_then(in_windows_options).map(|what| {
            Refusal::at(format!("spec.securityContext.windowsOptions.{what}"), Reason::HostAccess { what })
        }),
        node_name
            .as_ref()
            .filter(|n| !n.is_empty())
            .map(|_| Refusal::at("spec.nodeName", Reason::PresetNode)),
        ephemeral_containers.as_ref().filter(|c| !c.is_empty()).map(|_| {
            let what = "ephemeralContainers";
            Refusal::at("spec.ephemeralContainers", Reason::HostAccess { what })
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn in_security_context(context: &SecurityContext) -> Vec<(&'static str, Reason)> {
    let SecurityContext {
        privileged,
        capabilities,
        proc_mount,
        windows_options,
        // How tightly the container itself runs is Pod Security's business.
        allow_privilege_escalation: _,
        app_armor_profile: _,
        read_only_root_filesystem: _,
        run_as_group: _,
        run_as_non_root: _,
        run_as_user: _,
        se_linux_options: _,
        seccomp_profile: _,
    } = context;
    let mut found = Vec::new();
    if *privileged == Some(true) {
        found.push(("privileged", Reason::HostAccess { what: "privileged" }));
    }
    let added = capabilities.iter().flat_map(|c| c.add.iter().flatten());
    let harmful = added.filter(|c| !HARMLESS_CAPABILITIES.contains(&c.strip_prefix("CAP_").unwrap_or(c)));
    // Whoever writes a pod names them as they like.
    let names: Vec<_> = harmful.map(|c| c.chars().take(LONGEST_NAME).collect()).collect();
    if !names.is_empty() {
        found.push(("capabilities.add", Reason::Capabilities { names }));
    }
    if proc_mount.as_deref().is_some_and(|p| p != "Default") {
        found.push(("procMount", Reason::HostAccess { what: "procMount" }));
    }
    if let Some(what) = windows_options.as_ref().and_then(in_windows_options) {
        found.push(("windowsOptions", Reason::HostAccess { what }));
    }
    found
}

/// The option by which a Windows container gets the node, or an account of the domain.
fn in_windows_options(options: &WindowsSecurityContextOptions) -> Option<&'static str> {
    let WindowsSecurityContextOptions {
        host_process,
        gmsa_credential_spec,
        gmsa_credential_spec_name,
        run_as_user_name: _,
    } = options;
    if *host_process == Some(true) {
        Some("hostProcess")
    } else if gmsa_credential_spec.is_some() {
        Some("gmsaCredentialSpec")
    } else if gmsa_credential_spec_name.is_some() {
        Some("gmsaCredentialSpecName")
    } else {
        None
    }
}

/// The source of a volume that is not the pod's own, with why it is refused.
fn foreign_source(volume: &Volume) -> Option<(&'static str, Reason)> {
    // Named in full: a new source stops the build until it is classified.
    let Volume {
        name: _,
        // Seen by `credentials`.
        secret: _,
        projected: _,
        // Seen by `listed`.
        image: _,
        // The pod's own data, public configuration, and claims: what a
        // PersistentVolume brings is beyond the pod's view.
        config_map: _,
        downward_api: _,
        empty_dir: _,
        ephemeral: _,
        persistent_volume_claim: _,
        host_path,
        aws_elastic_block_store,
        azure_disk,
        azure_file,
        cephfs,
        cinder,
        csi,
        fc,
        flex_volume,
        flocker,
        gce_persistent_disk,
        git_repo,
        glusterfs,
        iscsi,
        nfs,
        photon_persistent_disk,
        portworx_volume,
        quobyte,
        rbd,
        scale_io,
        storageos,
        vsphere_volume,
    } = volume;
    if host_path.is_some() {
        return Some(("hostPath", Reason::HostAccess { what: "hostPath" }));
    }
    [
        ("awsElasticBlockStore", aws_elastic_block_store.is_some()),
        ("azureDisk", azure_disk.is_some()),
        ("azureFile", azure_file.is_some()),
        ("cephfs", cephfs.is_some()),
        ("cinder", cinder.is_some()),
        ("csi", csi.is_some()),
        ("fc", fc.is_some()),
        ("flexVolume", flex_volume.is_some()),
        ("flocker", flocker.is_some()),
        ("gcePersistentDisk", gce_persistent_disk.is_some()),
        ("gitRepo", git_repo.is_some()),
        ("glusterfs", glusterfs.is_some()),
        ("iscsi", iscsi.is_some()),
        ("nfs", nfs.is_some()),
        ("photonPersistentDisk", photon_persistent_disk.is_some()),
        ("portworxVolume", portworx_volume.is_some()),
        ("quobyte", quobyte.is_some()),
        ("rbd", rbd.is_some()),
        ("scaleIO", scale_io.is_some()),
        ("storageos", storageos.is_some()),
        ("vsphereVolume", vsphere_volume.is_some()),
    ]
    .into_iter()
    .find_map(|(kind, set)| set.then_some((kind, Reason::VolumeType { kind })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn found(spec: Value) -> Vec<String> {
        let mut whole = json!({"containers": [{"name": "a"}]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let pod = AgentPod::parse(&json!({ "spec": whole }).to_string()).unwrap();
        holes(&pod).iter().map(|r| format!("{} {}", r.code(), r.path)).collect()
    }

    #[rstest]
    #[case::host_network(json!({"hostNetwork": true}), "AID004 spec.hostNetwork")]
    #[case::host_pid(json!({"hostPID": true}), "AID004 spec.hostPID")]
    #[case::host_ipc(json!({"hostIPC": true}), "AID004 spec.hostIPC")]
    #[case::shared_processes(json!({"shareProcessNamespace": true}), "AID004 spec.shareProcessNamespace")]
    #[case::preset_node(json!({"nodeName": "n"}), "AID003 spec.nodeName")]
    #[case::host_path(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), "AID004 spec.volumes[0].hostPath")]
    #[case::privileged(json!({"containers": [{"name": "a", "securityContext": {"privileged": true}}]}), "AID004 spec.containers[0].securityContext.privileged")]
    #[case::ptrace(json!({"initContainers": [{"name": "b", "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}]}), "AID004 spec.initContainers[0].securityContext.capabilities.add")]
    #[case::ptrace_spelled_long(json!({"containers": [{"name": "b", "securityContext": {"capabilities": {"add": ["CAP_SYS_PTRACE"]}}}]}), "AID004 spec.containers[0].securityContext.capabilities.add")]
    #[case::devices(json!({"containers": [{"name": "a", "securityContext": {"capabilities": {"add": ["CHOWN", "MKNOD"]}}}]}), "AID004 spec.containers[0].securityContext.capabilities.add")]
    #[case::every_capability(json!({"containers": [{"name": "a", "securityContext": {"capabilities": {"add": ["ALL"]}}}]}), "AID004 spec.containers[0].securityContext.capabilities.add")]
    #[case::proc_mount(json!({"containers": [{"name": "a", "securityContext": {"procMount": "Unmasked"}}]}), "AID004 spec.containers[0].securityContext.procMount")]
    #[case::host_process(json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}), "AID004 spec.securityContext.windowsOptions.hostProcess")]
    #[case::domain_account(json!({"containers": [{"name": "a", "securityContext": {"windowsOptions": {"gmsaCredentialSpecName": "s"}}}]}), "AID004 spec.containers[0].securityContext.windowsOptions")]
    #[case::domain_account_of_the_pod(json!({"securityContext": {"windowsOptions": {"gmsaCredentialSpec": "{}"}}}), "AID004 spec.securityContext.windowsOptions.gmsaCredentialSpec")]
    #[case::ephemeral(json!({"ephemeralContainers": [{"name": "e"}]}), "AID004 spec.ephemeralContainers")]
    fn refuses(#[case] spec: Value, #[case] expected: &str) {
        assert_eq!(found(spec), [expected]);
    }

    #[rstest]
    fn refuses_every_volume_whose_driver_may_hold_a_credential(
        #[values(
            ("awsElasticBlockStore", json!({"volumeID": "v"})), ("azureDisk", json!({"diskName": "d", "diskURI": "u"})),
            ("azureFile", json!({"secretName": "s", "shareName": "x"})), ("cephfs", json!({"monitors": [], "secretRef": {"name": "s"}})),
            ("cinder", json!({"volumeID": "v", "secretRef": {"name": "s"}})), ("csi", json!({"driver": "d", "nodePublishSecretRef": {"name": "s"}})),
            ("fc", json!({})), ("flexVolume", json!({"driver": "d", "secretRef": {"name": "s"}})), ("flocker", json!({})),
            ("gcePersistentDisk", json!({"pdName": "p"})), ("gitRepo", json!({"repository": "r"})),
            ("glusterfs", json!({"endpoints": "e", "path": "p"})), ("iscsi", json!({"iqn": "q", "lun": 0, "targetPortal": "t", "secretRef": {"name": "s"}})),
            ("nfs", json!({"path": "/", "server": "s"})), ("photonPersistentDisk", json!({"pdID": "p"})), ("portworxVolume", json!({"volumeID": "v"})),
            ("quobyte", json!({"registry": "r", "volume": "v"})), ("rbd", json!({"image": "i", "monitors": [], "secretRef": {"name": "s"}})),
            ("scaleIO", json!({"gateway": "g", "system": "s", "secretRef": {"name": "s"}})), ("storageos", json!({"secretRef": {"name": "s"}})),
            ("vsphereVolume", json!({"volumePath": "p"}))
        )]
        (kind, source): (&str, Value),
    ) {
        let volume = json!({"name": "v", kind: source});
        assert_eq!(found(json!({ "volumes": [volume] })), [format!("AID013 spec.volumes[0].{kind}")]);
    }

    #[test]
    fn capabilities_are_told_by_name() {
        let add = ["CHOWN", "NET_ADMIN", "MKNOD", "CAP_SYS_PTRACE", "BPF"];
        let spec = json!({"containers": [{"name": "a", "securityContext": {"capabilities": {"add": add}}}]});
        let pod = AgentPod::parse(&json!({ "spec": spec }).to_string()).unwrap();
        let told = holes(&pod)[0].reason.to_string();
        assert!(
            told.starts_with("remove capabilities \"NET_ADMIN\", \"MKNOD\", \"CAP_SYS_PTRACE\" and others: "),
            "{told}"
        );
        assert!(!told.contains("baseline"), "{told}");
    }

    #[test]
    fn leaves_a_pod_that_keeps_to_itself_alone() {
        let spec = json!({
            "hostPID": false, "shareProcessNamespace": false,
            "containers": [{"name": "a", "securityContext": {"privileged": false, "procMount": "Default",
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "IPC_LOCK"]}}}],
            "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "c"}}, {"name": "c", "image": {"reference": "r"}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "p"}}, {"name": "e", "ephemeral": {}}, {"name": "f", "downwardAPI": {}}]
        });
        assert_eq!(found(spec), Vec::<String>::new());
    }
}

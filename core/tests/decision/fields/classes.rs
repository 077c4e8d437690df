//! What each field of a pod is to its credentials. A field that none of these covers fails the test.

use Class::{Harmless, Named, Refused};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Refused with this code, wherever no identity lists what it brings.
    Refused(&'static str),
    /// It brings no credential, for this reason.
    Harmless(&'static str),
    /// The same, and other fields refer to it, so that it is not changed alone.
    Named(&'static str),
}

/// What stands for the three lists of containers.
pub const CONTAINER: &str = "container";

const AMOUNT: &str = "where, when and how much";
const NAMES: &str = "names and addresses";
const INSIDE: &str = "runs in the container with what that has; text is searched for literal credentials";
const OWN: &str = "the pod's own data";
const PUBLIC: &str = "public configuration";
const CONFINES: &str = "how tightly it runs is Pod Security's";
const DRIVER: Class = Refused("AID013");

/// Fields and what they are; the longest path that covers one counts.
pub const CLASSES: &[(&str, Class)] = &[
    ("container.args", Harmless(INSIDE)),
    ("container.command", Harmless(INSIDE)),
    ("container.env[].name", Harmless(NAMES)),
    ("container.env[].value", Harmless("text, which is searched for literal credentials")),
    ("container.env[].valueFrom.configMapKeyRef", Harmless(PUBLIC)),
    ("container.env[].valueFrom.fieldRef", Harmless(OWN)),
    ("container.env[].valueFrom.fileKeyRef", Refused("AID026")),
    ("container.env[].valueFrom.resourceFieldRef", Harmless(OWN)),
    ("container.env[].valueFrom.secretKeyRef", Refused("AID021")),
    ("container.envFrom[].configMapRef", Harmless(PUBLIC)),
    ("container.envFrom[].prefix", Harmless(NAMES)),
    ("container.envFrom[].secretRef", Refused("AID012")),
    ("container.image", Harmless("what runs; images have rules of their own")),
    ("container.imagePullPolicy", Harmless(AMOUNT)),
    ("container.lifecycle", Harmless(INSIDE)),
    ("container.livenessProbe", Harmless(INSIDE)),
    ("container.name", Named(NAMES)),
    ("container.ports[]", Harmless(NAMES)),
    ("container.readinessProbe", Harmless(INSIDE)),
    ("container.resizePolicy[]", Harmless(AMOUNT)),
    ("container.resources", Harmless(AMOUNT)),
    ("container.restartPolicy", Harmless(AMOUNT)),
    ("container.restartPolicyRules[]", Harmless(AMOUNT)),
    ("container.securityContext", Harmless(CONFINES)),
    ("container.securityContext.capabilities.add", Refused("AID004")),
    ("container.securityContext.privileged", Refused("AID004")),
    ("container.securityContext.procMount", Refused("AID004")),
    ("container.securityContext.windowsOptions.gmsaCredentialSpec", Refused("AID004")),
    ("container.securityContext.windowsOptions.gmsaCredentialSpecName", Refused("AID004")),
    ("container.securityContext.windowsOptions.hostProcess", Refused("AID004")),
    ("container.startupProbe", Harmless(INSIDE)),
    ("container.stdin", Harmless(INSIDE)),
    ("container.stdinOnce", Harmless(INSIDE)),
    ("container.targetContainerName", Refused("AID004")),
    ("container.terminationMessagePath", Harmless(INSIDE)),
    ("container.terminationMessagePolicy", Harmless(INSIDE)),
    ("container.tty", Harmless(INSIDE)),
    ("container.volumeDevices[]", Harmless("what a claim brings is beyond the pod's view")),
    ("container.volumeMounts[]", Harmless("what is mounted is seen at its volume")),
    ("container.workingDir", Harmless(INSIDE)),
    ("spec.activeDeadlineSeconds", Harmless(AMOUNT)),
    ("spec.affinity", Harmless(AMOUNT)),
    ("spec.automountServiceAccountToken", Refused("AID019")),
    ("spec.dnsConfig", Harmless(NAMES)),
    ("spec.dnsPolicy", Harmless(NAMES)),
    ("spec.enableServiceLinks", Harmless(NAMES)),
    ("spec.evictionResponders[]", Harmless(NAMES)),
    ("spec.hostAliases[]", Harmless(NAMES)),
    ("spec.hostIPC", Refused("AID004")),
    ("spec.hostNetwork", Refused("AID004")),
    ("spec.hostPID", Refused("AID004")),
    ("spec.hostUsers", Harmless(CONFINES)),
    ("spec.hostname", Harmless(NAMES)),
    ("spec.hostnameOverride", Harmless(NAMES)),
    ("spec.imagePullSecrets[].name", Refused("AID016")),
    ("spec.nodeName", Refused("AID003")),
    ("spec.nodeSelector", Harmless(AMOUNT)),
    ("spec.os", Harmless(AMOUNT)),
    ("spec.overhead", Harmless(AMOUNT)),
    ("spec.preemptionPolicy", Harmless(AMOUNT)),
    ("spec.priority", Harmless(AMOUNT)),
    ("spec.priorityClassName", Harmless(AMOUNT)),
    ("spec.readinessGates[]", Harmless(AMOUNT)),
    ("spec.resourceClaims[]", Harmless("devices are granted by their own admission")),
    ("spec.resources", Harmless(AMOUNT)),
    ("spec.restartPolicy", Harmless(AMOUNT)),
    ("spec.runtimeClassName", Harmless(CONFINES)),
    ("spec.schedulerName", Harmless(AMOUNT)),
    ("spec.schedulingGates[]", Harmless(AMOUNT)),
    ("spec.schedulingGroup", Harmless(AMOUNT)),
    ("spec.securityContext", Harmless(CONFINES)),
    ("spec.securityContext.windowsOptions.gmsaCredentialSpec", Refused("AID004")),
    ("spec.securityContext.windowsOptions.gmsaCredentialSpecName", Refused("AID004")),
    ("spec.securityContext.windowsOptions.hostProcess", Refused("AID004")),
    ("spec.serviceAccount", Refused("AID018")),
    ("spec.serviceAccountName", Refused("AID018")),
    ("spec.setHostnameAsFQDN", Harmless(NAMES)),
    ("spec.shareProcessNamespace", Refused("AID004")),
    ("spec.subdomain", Harmless(NAMES)),
    ("spec.terminationGracePeriodSeconds", Harmless(AMOUNT)),
    ("spec.tolerations[]", Harmless(AMOUNT)),
    ("spec.topologySpreadConstraints[]", Harmless(AMOUNT)),
    ("spec.volumes[].awsElasticBlockStore", DRIVER),
    ("spec.volumes[].azureDisk", DRIVER),
    ("spec.volumes[].azureFile", DRIVER),
    ("spec.volumes[].cephfs", DRIVER),
    ("spec.volumes[].cinder", DRIVER),
    ("spec.volumes[].configMap", Harmless(PUBLIC)),
    ("spec.volumes[].csi", DRIVER),
    ("spec.volumes[].downwardAPI", Harmless(OWN)),
    ("spec.volumes[].emptyDir", Harmless(OWN)),
    ("spec.volumes[].ephemeral", Harmless("what a claim brings is beyond the pod's view")),
    ("spec.volumes[].fc", DRIVER),
    ("spec.volumes[].flexVolume", DRIVER),
    ("spec.volumes[].flocker", DRIVER),
    ("spec.volumes[].gcePersistentDisk", DRIVER),
    ("spec.volumes[].gitRepo", DRIVER),
    ("spec.volumes[].glusterfs", DRIVER),
    ("spec.volumes[].hostPath", Refused("AID004")),
    ("spec.volumes[].image", Harmless("files of an image")),
    ("spec.volumes[].iscsi", DRIVER),
    ("spec.volumes[].name", Harmless(NAMES)),
    ("spec.volumes[].nfs", DRIVER),
    ("spec.volumes[].persistentVolumeClaim", Harmless("what a claim brings is beyond the pod's view")),
    ("spec.volumes[].photonPersistentDisk", DRIVER),
    ("spec.volumes[].portworxVolume", DRIVER),
    ("spec.volumes[].projected.defaultMode", Harmless(AMOUNT)),
    ("spec.volumes[].projected.defaultUser", Harmless(AMOUNT)),
    ("spec.volumes[].projected.sources[].clusterTrustBundle", Harmless("public certificates")),
    ("spec.volumes[].projected.sources[].configMap", Harmless(PUBLIC)),
    ("spec.volumes[].projected.sources[].downwardAPI", Harmless(OWN)),
    ("spec.volumes[].projected.sources[].podCertificate", Refused("AID027")),
    ("spec.volumes[].projected.sources[].secret", Refused("AID012")),
    ("spec.volumes[].projected.sources[].secret.items[]", Refused("AID021")),
    ("spec.volumes[].projected.sources[].serviceAccountToken", Refused("AID011")),
    ("spec.volumes[].quobyte", DRIVER),
    ("spec.volumes[].rbd", DRIVER),
    ("spec.volumes[].scaleIO", DRIVER),
    ("spec.volumes[].secret", Refused("AID012")),
    ("spec.volumes[].secret.items[]", Refused("AID021")),
    ("spec.volumes[].storageos", DRIVER),
    ("spec.volumes[].vsphereVolume", DRIVER),
];

/// What a field may be called that bears a credential. A path that covers many fields as harmless covers none of
/// these: each is classified by its own name.
const TELLING: [&str; 12] = [
    "account",
    "auth",
    "bearer",
    "cert",
    "credential",
    "keypath",
    "keyref",
    "keyring",
    "passphrase",
    "password",
    "secret",
    "token",
];

/// `path` with one name for the three lists of containers.
pub fn common(path: &str) -> String {
    let lists = ["spec.containers[]", "spec.initContainers[]", "spec.ephemeralContainers[]"];
    let rest = lists.iter().find_map(|list| path.strip_prefix(list));
    rest.map_or_else(|| path.to_owned(), |rest| format!("{CONTAINER}{rest}"))
}

/// Whether `path` is `above`, or lies in it.
pub fn lies_in(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What a field is, and by which path that is said.
pub fn classify(leaf: &str) -> Option<(&'static str, Class)> {
    let leaf = common(leaf);
    let covers = |(path, class): &(&str, Class)| {
        let Some(rest) = leaf.strip_prefix(path).filter(|_| lies_in(&leaf, path)) else { return false };
        let rest = rest.to_lowercase();
        matches!(class, Refused(_)) || !TELLING.iter().any(|word| rest.contains(word))
    };
    CLASSES.iter().copied().filter(covers).max_by_key(|(path, _)| path.len())
}

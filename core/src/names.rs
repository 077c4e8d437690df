//! Every label, annotation and name that perpro writes or reads, once.
//!
//! Charts repeat some of these; a test compares them. A string of ours that stands anywhere
//! else in the code is a defect.

/// API group of all our kinds, and the prefix of every mark.
pub const GROUP: &str = "perpro.dev";
/// Version of the kinds.
pub const VERSION: &str = "v1alpha1";
/// Field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "perpro";

/// Pod label: the AgentIdentity, in the pod's namespace, under which the pod runs.
pub const IDENTITY_LABEL: &str = "perpro.dev/identity";
/// Pod label: `"true"` declares an agent; without an identity it is refused.
pub const AGENT_LABEL: &str = "perpro.dev/agent";
/// Namespace label: `all` or `agents`.
pub const ENFORCE_LABEL: &str = "perpro.dev/enforce";
/// Namespace label: `all` or `agents`; who applies what `enforce` of that value would refuse is warned.
pub const WARN_LABEL: &str = "perpro.dev/warn";
/// Namespace label: `all` or `agents`; the audit log tells of pods that `enforce` of that value would refuse.
pub const AUDIT_LABEL: &str = "perpro.dev/audit";
/// Prefix of every label and annotation of ours.
pub const MARK_PREFIX: &str = "perpro.dev/";

/// Name of the GovernedNamespace in each governed namespace.
pub const GOVERNED: &str = "perpro";

/// Scheduling gate that holds an agent pod until the controller has bound it.
pub const GATE: &str = "perpro.dev/identity";

/// Annotation on pods and accounts: UID of the AgentIdentity.
pub const IDENTITY_UID: &str = "perpro.dev/identity-uid";
/// Annotation on pods and accounts: generation of the AgentIdentity at the decision.
pub const IDENTITY_GENERATION: &str = "perpro.dev/identity-generation";
/// Annotation on accounts: owner as `Kind:name`.
pub const OWNER: &str = "perpro.dev/owner";
/// Annotation on accounts: RFC 3339 time at which the identity ends.
pub const EXPIRES_AT: &str = "perpro.dev/expires-at";
/// Annotation on accounts: why the agent exists.
pub const JUSTIFICATION: &str = "perpro.dev/justification";
/// Annotation on AgentIdentities: the user who last widened it, as the API server names them.
pub const AUTHOR: &str = "perpro.dev/author";
/// Annotation on AgentIdentities: that user's groups, one a line: a comma may be part of a name.
pub const AUTHOR_GROUPS: &str = "perpro.dev/author-groups";
/// Annotation on accounts: RFC 3339 time since which the pod holds what its identity lists no more.
pub const STALE_SINCE: &str = "perpro.dev/stale-since";
/// Annotation on accounts: name of the pod that claimed it.
pub const CLAIMED_BY: &str = "perpro.dev/pod-name";
/// Annotation on accounts: UID of the pod that claimed it.
pub const CLAIMED_BY_UID: &str = "perpro.dev/pod-uid";
/// Annotation on webhook configurations, policies and their bindings: what the chart made of them, as JSON.
pub const RENDERED: &str = "perpro.dev/rendered";
/// Annotation that other tools read as the owner.
pub const A8R_OWNER: &str = "a8r.io/owner";

/// Recommended label: who manages the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Recommended label: what the object is a part of; for us the identity.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`MANAGED_BY`] on all we create.
pub const MANAGER: &str = "perpro";

/// Annotation that the kubelet sets on mirror pods (core/v1 `MirrorPodAnnotationKey`).
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Label that the Deployment controller sets on pods: the end of their ReplicaSet's name (apps/v1
/// `DefaultDeploymentUniqueLabelKey`).
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Annotation by which cert-manager knows which CA to write into a webhook configuration.
pub const CERT_MANAGER_CA: &str = "cert-manager.io/inject-ca-from";

/// Prefix of instance accounts, their bindings, and of Roles.
pub const ACCOUNT_PREFIX: &str = "aid-";
/// Random characters at the end of an instance account's name.
pub const ACCOUNT_SUFFIX_LEN: usize = 10;
/// Longest name of an AgentIdentity: with prefix and suffix a label value of 63.
pub const MAX_IDENTITY_NAME: usize = 48;

/// Where Secret keys with a `path` appear in a container.
pub const SECRETS_DIR: &str = "/run/secrets/perpro.dev";
/// Where client libraries look for a token (client-go `rest.InClusterConfig`).
pub const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// ConfigMap with the API server's CA in every namespace (kube-controller-manager).
pub const ROOT_CA_CONFIG_MAP: &str = "kube-root-ca.crt";
/// Prefix of the volume that carries one container's Secret keys.
pub const KEYS_VOLUME: &str = "perpro-keys-";
/// Prefix of the volume that carries one container's Kubernetes token.
pub const TOKEN_VOLUME: &str = "perpro-token-";

/// Namespace that is never governed, by name.
pub const KUBE_SYSTEM: &str = "kube-system";

/// Lower-case Crockford base32: no i, l, o, u.
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Label selector of the accounts, bindings and Roles that perpro makes.
#[must_use]
pub fn ours() -> String {
    format!("{IDENTITY_LABEL},{MANAGED_BY}={MANAGER}")
}

/// Name of a new instance account: `aid-<identity>-<suffix>`.
///
/// `random` must come from a cryptographic source: 50 bits of it keep names unguessable and
/// never reused.
#[must_use]
pub fn account_name(identity: &str, random: [u8; ACCOUNT_SUFFIX_LEN]) -> String {
    let suffix = random.iter().map(|b| char::from(CROCKFORD[usize::from(b & 31)]));
    format!("{ACCOUNT_PREFIX}{identity}-").chars().chain(suffix).collect()
}

/// Whether `account` has the form of an instance account of `identity`.
#[must_use]
pub fn is_account_of(account: &str, identity: &str) -> bool {
    account
        .strip_prefix(ACCOUNT_PREFIX)
        .and_then(|rest| rest.strip_prefix(identity))
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|s| s.len() == ACCOUNT_SUFFIX_LEN && s.bytes().all(|b| CROCKFORD.contains(&b)))
}

/// The identity in the name of an instance account.
#[must_use]
pub fn identity_of(account: &str) -> Option<&str> {
    let rest = account.strip_prefix(ACCOUNT_PREFIX)?;
    let identity = rest.get(..rest.len().checked_sub(ACCOUNT_SUFFIX_LEN + 1)?)?;
    is_account_of(account, identity).then_some(identity)
}

/// Whether `name` can be that of an AgentIdentity. Webhooks see labels before they are validated.
#[must_use]
pub fn is_identity_name(name: &str) -> bool {
    name.len() <= MAX_IDENTITY_NAME && is_dns_label(name)
}

/// Whether `name` is a DNS label (RFC 1123), as the API server wants for namespaces.
#[must_use]
pub fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether `name` is a DNS subdomain (RFC 1123), as the API server wants for pods.
#[must_use]
pub fn is_dns_subdomain(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let part = |p: &str| !p.is_empty() && p.bytes().all(inner) && !p.starts_with('-') && !p.ends_with('-');
    name.len() <= 253 && name.split('.').all(part)
}

/// Name of the Role of an identity. By UID, so that an identity made again under an old name
/// never inherits an old binding.
#[must_use]
pub fn role_name(identity_uid: &str) -> String {
    format!("{ACCOUNT_PREFIX}{identity_uid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_fits_a_label_and_names_its_identity() {
        let identity = "x".repeat(MAX_IDENTITY_NAME);
        let name = account_name(&identity, [0, 31, 32, 255, 7, 8, 9, 10, 11, 12]);
        assert_eq!(name.len(), 63);
        assert!(name.ends_with("-0z0z789abc"));
        assert!(is_account_of(&name, &identity));
        assert_eq!(identity_of(&name), Some(identity.as_str()));
    }

    #[test]
    fn a_label_that_is_no_name_never_reaches_a_path() {
        assert!(is_identity_name("feedback-reader") && is_identity_name(&"x".repeat(48)));
        for wrong in [
            "",
            "my bot",
            "bot/status",
            "../bot",
            "Bot",
            "bot.a",
            "-bot",
            "bot-",
            &"x".repeat(49),
            "b\u{f6}t",
        ] {
            assert!(!is_identity_name(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_pods_name_that_is_none_never_reaches_a_path() {
        assert!(["web-0", "web-0.a", &"x".repeat(253)].into_iter().all(is_dns_subdomain));
        for wrong in ["", ".", "..", "a..b", "a/b", "a/../b", "A", "-a", "a-", "a?b", &"x".repeat(254)] {
            assert!(!is_dns_subdomain(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn an_account_of_another_identity_is_told_apart() {
        let name = account_name("a-b", [1; 10]);
        assert!(!is_account_of(&name, "a"));
        assert!(!is_account_of(&name, "a-b-1111111111"));
        assert!(!is_account_of("aid-a-b-", "a-b"));
        assert!(!is_account_of("default", "a-b"));
        for wrong in ["default", "aid-", "aid-a", "aid-a-11111i1111", "aid-b\u{f6}t\u{f6}"] {
            assert_eq!(identity_of(wrong), None, "{wrong}");
        }
    }
}

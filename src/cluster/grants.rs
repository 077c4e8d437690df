//! What each write asks of RBAC, and which process makes it: the chart grants these and no others.

use super::Write;

/// One permission, as RBAC spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who needs it: webhook, controller, certs, uninstall or a person.
    pub(crate) process: &'static str,
    /// Verb.
    pub(crate) verb: &'static str,
    /// `resource.group/subresource`, as `kubectl auth can-i` prints it.
    pub(crate) resource: &'static str,
}

const WEBHOOK: &str = "webhook";
const CONTROLLER: &str = "controller";
const CERTS: &str = "certs";
/// It runs as the controller, and does what the controller does besides.
const UNINSTALL: &str = "uninstall";

/// Whoever runs a command, with credentials of their own: no account of ours has these.
const PERSON: &str = "person";

const ACCOUNTS: &str = "serviceaccounts";
const BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const GOVERNED: &str = "governednamespaces.perpro.dev";
const EVENTS: &str = "events.events.k8s.io";
const IDENTITIES: &str = "agentidentities.perpro.dev";
const LEASES: &str = "leases.coordination.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const ROLES: &str = "roles.rbac.authorization.k8s.io";
const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";

impl Write {
    /// What it asks for. Server-side apply is create and patch.
    pub(crate) fn grants(self) -> &'static [Grant] {
        const fn grant(process: &'static str, verb: &'static str, resource: &'static str) -> Grant {
            Grant { process, verb, resource }
        }
        match self {
            Self::MintAccount => const { &[grant(WEBHOOK, "create", ACCOUNTS)] },
            Self::ClaimAccount | Self::MarkStale => const { &[grant(CONTROLLER, "patch", ACCOUNTS)] },
            // The Role holds what the controller does not: `bind`.
            Self::Bind => {
                const { &[grant(CONTROLLER, "create", BINDINGS), grant(CONTROLLER, "bind", ROLES)] }
            }
            Self::Ungate => const { &[grant(CONTROLLER, "patch", "pods")] },
            Self::Unbind => const { &[grant(CONTROLLER, "delete", BINDINGS)] },
            Self::DeleteAccount => const { &[grant(CONTROLLER, "delete", ACCOUNTS)] },
            Self::DeletePod => const { &[grant(CONTROLLER, "delete", "pods")] },
            Self::ApplyRole => {
                const {
                    &[
                        grant(CONTROLLER, "create", ROLES),
                        grant(CONTROLLER, "patch", ROLES),
                        grant(CONTROLLER, "escalate", ROLES),
                    ]
                }
            }
            Self::ReportStatus => {
                const { &[grant(CONTROLLER, "patch", "agentidentities.perpro.dev/status")] }
            }
            Self::ClaimSecrets => {
                const { &[grant(CONTROLLER, "create", GOVERNED), grant(CONTROLLER, "patch", GOVERNED)] }
            }
            Self::ReleaseSecrets => const { &[grant(CONTROLLER, "delete", GOVERNED)] },
            Self::HoldLease => {
                const { &[grant(CONTROLLER, "create", LEASES), grant(CONTROLLER, "update", LEASES)] }
            }
            Self::PublishEvent => {
                const { &[grant(CONTROLLER, "create", EVENTS), grant(CONTROLLER, "patch", EVENTS)] }
            }
            Self::Prove => {
                const { &[grant(WEBHOOK, "create", ACCOUNTS), grant(CONTROLLER, "create", BINDINGS)] }
            }
            Self::StoreCertificate => {
                const { &[grant(CERTS, "create", "secrets"), grant(CERTS, "update", "secrets")] }
            }
            Self::CloseWebhook => const { &[grant(UNINSTALL, "delete", "services")] },
            Self::DeleteCertificate => const { &[grant(UNINSTALL, "delete", "secrets")] },
            Self::SuspendIdentity | Self::ResumeIdentity => const { &[grant(PERSON, "patch", IDENTITIES)] },
            Self::RevokeIdentity => const { &[grant(PERSON, "delete", IDENTITIES)] },
            Self::TrustCertificate => {
                const { &[grant(CERTS, "update", MUTATING), grant(CERTS, "update", VALIDATING)] }
            }
        }
    }
}

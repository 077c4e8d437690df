//! The writes by name, and dying at one of them: `PERPRO_CRASH_AT=claim:after`.
//!
//! Tests kill a process between any two writes with it. Whoever sets a process's environment
//! owns the process anyway, so it needs no other guard.

use anyhow::{Context, bail};

/// Environment variable that names a fault point: `WRITE:before` or `WRITE:after`.
const VARIABLE: &str = "PERPRO_CRASH_AT";

macro_rules! writes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// Every write to an API server.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Write { $($(#[$doc])* $variant),* }

        impl Write {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// Name of the fault point.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

writes! {
    /// Create an instance account. Webhook.
    MintAccount = "mint",
    /// Tie an account to its pod. Controller.
    ClaimAccount = "claim",
    /// Create the binding of an instance. Controller.
    Bind = "bind",
    /// Remove the scheduling gate. Controller.
    Ungate = "ungate",
    /// Write on an account since when its pod is stale. Controller.
    MarkStale = "mark-stale",
    /// Delete the binding of an instance. Controller, uninstall Job.
    Unbind = "unbind",
    /// Delete an instance account. Controller, uninstall Job.
    DeleteAccount = "delete-account",
    /// Delete an agent pod. Controller, uninstall Job.
    DeletePod = "delete-pod",
    /// Apply the Role of an identity, or empty it. Controller, uninstall Job.
    ApplyRole = "apply-role",
    /// Write the status of an identity. Controller.
    ReportStatus = "report-status",
    /// Write the GovernedNamespace of a namespace. Controller.
    ClaimSecrets = "claim-secrets",
    /// Delete it. Controller, uninstall Job.
    ReleaseSecrets = "release-secrets",
    /// Take or renew the leader's Lease. Controller, uninstall Job.
    HoldLease = "hold-lease",
    /// Publish an Event. Controller.
    PublishEvent = "publish-event",
    /// Ask, as a dry run, for what only a policy refuses. Webhook, controller.
    Prove = "prove",
    /// Write the Secrets of the certificate authority and the webhook. Certificate Job.
    StoreCertificate = "store-certificate",
    /// Put the CA into the webhook configurations. Certificate Job.
    TrustCertificate = "trust-certificate",
    /// Delete the Service by which API servers find the webhook. Uninstall Job.
    CloseWebhook = "close-webhook",
    /// Delete a Secret that the certificate Job wrote. Uninstall Job.
    DeleteCertificate = "delete-certificate",
    /// Set `suspended` of an identity. A person, with credentials of their own.
    SuspendIdentity = "suspend",
    /// Set it back. A person.
    ResumeIdentity = "resume",
    /// Delete an identity. A person.
    RevokeIdentity = "revoke",
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// The fault point that a test asked for, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults(Option<(Write, Moment)>);

impl Faults {
    /// Reads the variable.
    ///
    /// # Errors
    /// When it names no fault point: a test with a typo must not pass.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        std::env::var(VARIABLE).map_or_else(|_| Ok(Self::default()), |value| Self::parse(&value))
    }

    fn parse(value: &str) -> anyhow::Result<Self> {
        let (name, moment) = value
            .split_once(':')
            .with_context(|| format!("{VARIABLE}: write WRITE:before or WRITE:after"))?;
        let moment = match moment {
            "before" => Moment::Before,
            "after" => Moment::After,
            other => bail!("{VARIABLE}: \"{other}\" is neither before nor after"),
        };
        let write = Write::ALL.iter().find(|w| w.name() == name);
        let write = write.with_context(|| format!("{VARIABLE}: there is no write \"{name}\""))?;
        Ok(Self(Some((*write, moment))))
    }

    pub(super) fn before(self, write: Write) {
        self.reach(write, Moment::Before);
    }

    pub(super) fn after(self, write: Write) {
        self.reach(write, Moment::After);
    }

    fn reach(self, write: Write, moment: Moment) {
        if self.0 == Some((write, moment)) {
            eprintln!("perpro: crash asked for at {} {moment:?}", write.name());
            std::process::abort();
        }
    }
}

#[cfg(test)]
impl Write {
    /// Whether it goes out with a person's own credentials: no account of ours may make it.
    pub(crate) fn is_a_persons(self) -> bool {
        matches!(self, Self::SuspendIdentity | Self::ResumeIdentity | Self::RevokeIdentity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_stands_in_the_architecture_with_who_makes_it() {
        let page = include_str!("../../docs/architecture.md");
        for write in Write::ALL {
            let row = format!("| `{}` | ", write.name());
            let by = page.split_once(&row).map(|(_, rest)| rest.starts_with("a person |"));
            assert_eq!(by, Some(write.is_a_persons()), "{row}");
        }
    }

    #[test]
    fn names_a_write_and_a_moment() {
        assert_eq!(Faults::parse("claim:after").unwrap().0, Some((Write::ClaimAccount, Moment::After)));
        for wrong in ["claim", "claim:during", "clam:after"] {
            assert!(Faults::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_write_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Write::ALL.iter().map(|w| w.name()).collect();
        assert_eq!(names.len(), Write::ALL.len());
    }
}

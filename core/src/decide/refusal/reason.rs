//! The reasons and their codes.

use crate::model::IdentityEnd;

/// The reasons. `identity` is always the name of the AgentIdentity concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the code and the sentence of each variant stand in `code` and in `words`")]
pub enum Reason {
    NoIdentity,
    UnknownIdentity {
        identity: String,
        namespace: String,
    },
    BeingDeleted {
        identity: String,
    },
    PresetNode,
    HostAccess {
        what: &'static str,
    },
    Capabilities {
        names: Vec<String>,
    },
    Expired {
        identity: String,
        at: String,
    },
    Suspended {
        identity: String,
    },
    RotationOverdue {
        secret: String,
        identity: String,
        at: String,
    },
    TooManyInstances {
        namespace: String,
        limit: u32,
    },
    ForgedMark {
        mark: String,
    },
    UnlistedToken {
        container: Option<String>,
        audience: Option<String>,
        identity: String,
    },
    /// A token that an injector by the container's name does not let through.
    InjectorLacks {
        injector: String,
        policy: String,
        audience: String,
        lacking: Lacking,
    },
    WholeSecret {
        container: Option<String>,
        secret: String,
        by: &'static str,
        identity: String,
    },
    VolumeType {
        kind: &'static str,
    },
    UnknownField {
        field: String,
    },
    PullSecretNotAllowed {
        secret: String,
    },
    PullSecretOwned {
        secret: String,
        identity: String,
    },
    ForgedMirror,
    ForeignAccount {
        account: String,
        identity: String,
    },
    NotInjected {
        what: &'static str,
    },
    ImageNotAllowed {
        container: String,
        image: String,
        identity: String,
    },
    UnlistedSecretKey {
        container: Option<String>,
        secret: String,
        key: String,
        identity: String,
    },
    SharedSecret {
        secret: String,
        identity: String,
        owner: String,
    },
    ListedMissing {
        container: String,
        what: String,
        identity: String,
    },
    EnvTaken {
        container: String,
        env: String,
        secret: String,
        key: String,
    },
    MountTaken {
        container: String,
        path: String,
    },
    FromFile {
        container: String,
        env: String,
    },
    PodCertificate {
        container: Option<String>,
    },
    Unreadable {
        error: String,
    },
    TokenTooLong {
        container: Option<String>,
        limit: i64,
    },
    Wildcard,
    Verb {
        verb: String,
    },
    ClusterScoped {
        resource: String,
    },
    Elevated,
    OverCeiling {
        policies: Vec<String>,
    },
    NoPolicy,
    /// Another reason, and the permissions of one rule that it is about.
    OfPermission {
        what: String,
        reason: Box<Reason>,
    },
    AuthorLacks,
    AuthorCantRead {
        secret: String,
    },
    OwnerNotAllowed {
        kind: &'static str,
        policies: Vec<String>,
    },
    LivesTooLong {
        days: u32,
    },
    ExpiresInThePast,
    NoAuthor {
        identity: String,
    },
    NeverGranted {
        what: String,
        reason: Box<Reason>,
    },
    OnlyElevated {
        what: String,
    },
    NotElevated {
        what: String,
    },
    CutsIdentities {
        identities: Vec<String>,
    },
    EndsInstances {
        identity: String,
        end: IdentityEnd,
        /// More than none.
        instances: usize,
    },
    ImageOverCeiling {
        /// None for an image that is mounted as a volume.
        container: Option<String>,
        image: String,
        policies: Vec<String>,
    },
    NotTheirs {
        identity: String,
        /// Whether they own it, and the pod is older than its last change.
        changed: bool,
    },
    NotGoverned {
        namespace: String,
    },
    AuthorUnknown,
    WriteRefused {
        said: String,
    },
    TooManyCredentials {
        limit: usize,
    },
    BadIdentityName {
        name: String,
    },
    ListedContainerAbsent {
        container: String,
        identity: String,
    },
    AccountOverwritten {
        account: String,
    },
    DryRun,
    SkippedField {
        field: String,
    },
    /// The value itself is told nowhere.
    LiteralCredential {
        container: String,
        what: &'static str,
        /// The kubelet sends it, for a probe or hook, and can put no Secret in its place.
        is_sent: bool,
    },
    /// Another reason, for which an exception lets the pod pass all the same.
    Excepted {
        exception: String,
        owner: String,
        until: String,
        /// Days until it ends, when that is near.
        days_left: Option<i64>,
        reason: Box<Reason>,
    },
    NeverExcepted {
        codes: Vec<String>,
    },
    NeverInjected {
        audience: String,
    },
    ExceptionElsewhere {
        namespace: String,
    },
    ExceptionEnded {
        at: String,
    },
    ExceptionTooLong {
        days: u32,
    },
    IdentityName,
    OwnerName,
    ContactName,
    NoJustification,
    NoSuchKey {
        secret: String,
        key: String,
        /// The keys that the Secret has.
        has: Vec<String>,
    },
    LabelNotOnPods {
        label: &'static str,
        /// Where the template of the pods lies.
        template: String,
    },
    SecretNotOwned {
        secret: String,
    },
    KeyWithoutPlace {
        secret: String,
        key: String,
    },
    PlaceTwice {
        place: String,
    },
    NoEnd,
    TooManyPermissions,
    NamespacePattern,
    ElevatedWildcard,
    /// By a pod without identity.
    NamesOwned {
        secret: String,
        identity: String,
    },
    TokenOfAgent,
    TokenWithoutEnd,
    WebhookNotReady {
        why: String,
    },
    MintFailed {
        detail: String,
    },
}

/// What of a token the injector does not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// The image of its container.
    Image(String),
    /// The volume that it is in.
    Volume(String),
    /// Its audience.
    Audience,
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoIdentity => "AID001",
            Self::UnknownIdentity { .. } | Self::BeingDeleted { .. } => "AID002",
            Self::PresetNode => "AID003",
            Self::HostAccess { .. } | Self::Capabilities { .. } => "AID004",
            Self::Expired { .. } => "AID005",
            Self::Suspended { .. } => "AID006",
            Self::RotationOverdue { .. } => "AID007",
            Self::TooManyInstances { .. } => "AID008",
            Self::ForgedMark { .. } => "AID009",
            // AID010 is the policy perpro-pods in the chart.
            Self::UnlistedToken { .. } | Self::InjectorLacks { .. } => "AID011",
            Self::WholeSecret { .. } => "AID012",
            Self::VolumeType { .. } => "AID013",
            Self::UnknownField { .. } => "AID014",
            Self::PullSecretNotAllowed { .. } => "AID015",
            Self::PullSecretOwned { .. } => "AID016",
            Self::ForgedMirror => "AID017",
            Self::ForeignAccount { .. } => "AID018",
            Self::NotInjected { .. } => "AID019",
            Self::ImageNotAllowed { .. } => "AID020",
            Self::UnlistedSecretKey { .. } => "AID021",
            Self::SharedSecret { .. } => "AID022",
            Self::ListedMissing { .. } => "AID023",
            Self::EnvTaken { .. } => "AID024",
            Self::MountTaken { .. } => "AID025",
            Self::FromFile { .. } => "AID026",
            Self::PodCertificate { .. } => "AID027",
            Self::Unreadable { .. } => "AID028",
            Self::TokenTooLong { .. } => "AID029",
            Self::Wildcard => "AID030",
            Self::Verb { .. } => "AID031",
            Self::ClusterScoped { .. } => "AID032",
            Self::Elevated => "AID033",
            Self::OverCeiling { .. } => "AID034",
            // These are rules in the schemas of the kinds, said here of objects that are not applied yet.
            Self::TooManyPermissions => "AID035",
            Self::IdentityName => "AID040",
            Self::OwnerName | Self::ContactName => "AID041",
            Self::NoJustification => "AID042",
            Self::SecretNotOwned { .. } => "AID043",
            Self::KeyWithoutPlace { .. } => "AID044",
            Self::PlaceTwice { .. } => "AID045",
            Self::NoEnd => "AID046",
            Self::NamespacePattern => "AID050",
            Self::ElevatedWildcard => "AID051",
            Self::NoPolicy => "AID036",
            Self::OfPermission { reason, .. } => reason.code(),
            Self::AuthorLacks => "AID037",
            Self::AuthorCantRead { .. } => "AID038",
            Self::OwnerNotAllowed { .. } => "AID039",
            Self::LivesTooLong { .. } => "AID047",
            Self::ExpiresInThePast => "AID048",
            Self::NoAuthor { .. } => "AID049",
            Self::NeverGranted { .. } => "AID052",
            Self::OnlyElevated { .. } => "AID053",
            Self::NotElevated { .. } => "AID054",
            Self::CutsIdentities { .. } => "AID055",
            Self::EndsInstances { .. } => "AID056",
            Self::ImageOverCeiling { .. } => "AID057",
            Self::NeverExcepted { .. } | Self::NeverInjected { .. } | Self::ExceptionElsewhere { .. } => {
                "AID058"
            }
            Self::ExceptionEnded { .. } | Self::ExceptionTooLong { .. } => "AID059",
            Self::NotGoverned { .. } => "AID010",
            Self::AuthorUnknown => "AID092",
            // AID094 is the policy perpro-reserved in the chart.
            Self::NotTheirs { .. } => "AID095",
            Self::WriteRefused { .. } => "AID093",
            Self::BadIdentityName { .. } => "AID002",
            Self::TooManyCredentials { .. } => "AID070",
            Self::ListedContainerAbsent { .. } => "AID060",
            Self::AccountOverwritten { .. } => "AID061",
            Self::DryRun => "AID062",
            Self::SkippedField { .. } => "AID063",
            Self::LiteralCredential { .. } => "AID065",
            Self::Excepted { .. } => "AID066",
            Self::NoSuchKey { .. } => "AID067",
            Self::LabelNotOnPods { .. } => "AID068",
            // These are policies in the chart, said here of objects that are not applied yet.
            Self::TokenOfAgent | Self::TokenWithoutEnd => "AID088",
            Self::NamesOwned { .. } => "AID096",
            Self::WebhookNotReady { .. } => "AID090",
            Self::MintFailed { .. } => "AID091",
        }
    }
}

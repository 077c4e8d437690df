//! What a person is told: one sentence for each reason, which begins with what to do.

use super::{Lacking, Reason};
use crate::decide::exception::CODES;
use crate::decide::lifecycle::REVOKED_POD_GRACE;
use crate::model::IdentityEnd;
use crate::names;
use std::fmt;

/// `container "x"`, or what to say of a volume that no container mounts.
fn holder(container: Option<&str>) -> String {
    container.map_or_else(|| "a volume that no container mounts".to_owned(), |c| format!("container \"{c}\""))
}

/// What to do about a whole Secret, beside listing its keys: as long as it is there, it is all of it.
fn instead(by: &str) -> &'static str {
    match by {
        "envFrom" => "remove this envFrom",
        "a projected volume" => "remove this source or name them under its items",
        _ => "remove the volume or name them under its items",
    }
}

/// The first three names.
fn quoted(names: &[String]) -> String {
    let first: Vec<_> = names.iter().take(3).map(|n| format!("\"{n}\"")).collect();
    let more = if names.len() > 3 { " and others" } else { "" };
    format!("{}{more}", first.join(", "))
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity => write!(
                f,
                "say who owns this agent, until when and why: label {}=NAME of an AgentIdentity (owner, expiresAt, justification) in this namespace",
                names::IDENTITY_LABEL
            ),
            Self::UnknownIdentity { identity, namespace } => write!(
                f,
                "create AgentIdentity \"{identity}\" in namespace \"{namespace}\" (owner, expiresAt, justification), or name one that exists: it was not found"
            ),
            Self::BeingDeleted { identity } => write!(
                f,
                "name another identity, or create AgentIdentity \"{identity}\" again once it is gone: it is being deleted, and none of its pods starts (metadata.finalizers says what holds it)"
            ),
            Self::PresetNode => {
                f.write_str("remove nodeName and use nodeAffinity or nodeSelector: a pod with a node skips the scheduler, and with it the gate that binds its identity")
            }
            Self::HostAccess { what } => {
                write!(f, "remove {what}: it lets an agent reach credentials of the node or of other containers")
            }
            Self::Capabilities { names } => {
                let (noun, it) = if names.len() == 1 { ("capability", "it lets") } else { ("capabilities", "they let") };
                write!(f, "remove {noun} {}: {it} an agent reach credentials of the node or of other containers", quoted(names))
            }
            Self::Expired { identity, at } => {
                write!(f, "extend spec.expiresAt of AgentIdentity \"{identity}\": it expired at {at}")
            }
            Self::Suspended { identity } => {
                write!(f, "ask who suspended AgentIdentity \"{identity}\" and why: its pods start when spec.suspended is false again")
            }
            Self::RotationOverdue { secret, identity, at } => write!(
                f,
                "replace the value of Secret \"{secret}\" and set its rotateBy in AgentIdentity \"{identity}\": it was due at {at}"
            ),
            Self::TooManyInstances { namespace, limit } => write!(
                f,
                "stop agent pods in namespace \"{namespace}\" or ask for a higher maxInstances in its AgentPolicy: all {limit} are in use, or were minted for pods that failed in the last 5 minutes"
            ),
            Self::ForgedMark { mark } => {
                write!(f, "remove \"{mark}\": of those under {} only {} and {} are yours to set", names::MARK_PREFIX, names::IDENTITY_LABEL, names::AGENT_LABEL)
            }
            Self::UnlistedToken { container: Some(container), audience: None, identity } => write!(
                f,
                "set kubernetesAccess: Token for container \"{container}\" in AgentIdentity \"{identity}\", or remove its Kubernetes token"
            ),
            Self::UnlistedToken { container: None, audience: None, .. } => {
                f.write_str("remove the volume with the Kubernetes token: no container mounts it")
            }
            Self::UnlistedToken { container: Some(container), audience: Some(audience), .. } => write!(
                f,
                "remove the token for audience \"{audience}\" of container \"{container}\": no AgentIdentity can list it; for a sidecar that somebody else's webhook adds, have it listed under injectors of each AgentPolicy of the namespace"
            ),
            Self::UnlistedToken { container: None, audience: Some(audience), .. } => {
                write!(f, "remove the volume with the token for audience \"{audience}\": no container mounts it")
            }
            Self::InjectorLacks { injector, policy, audience, lacking } => match lacking {
                Lacking::Image(image) => write!(
                    f,
                    "use an image that AgentPolicy \"{policy}\" lists for injector \"{injector}\": with \"{image}\" the container gets nothing, the token for audience \"{audience}\" neither"
                ),
                Lacking::Volume(volume) => write!(
                    f,
                    "have AgentPolicy \"{policy}\" list volume \"{volume}\" for injector \"{injector}\", or remove its token for audience \"{audience}\""
                ),
                Lacking::Audience => write!(
                    f,
                    "have AgentPolicy \"{policy}\" list audience \"{audience}\" for injector \"{injector}\", or remove the token"
                ),
            },
            Self::WholeSecret { container: Some(container), secret, by, identity } => write!(
                f,
                "container \"{container}\" takes all of Secret \"{secret}\" by {by}; list the keys it needs under secretKeys of AgentIdentity \"{identity}\", and {}",
                instead(by)
            ),
            Self::WholeSecret { container: None, secret, .. } => {
                write!(f, "{} takes all of Secret \"{secret}\"; remove the volume", holder(None))
            }
            Self::VolumeType { kind: "csi" } => f.write_str(
                "remove the csi volume and list the keys that the agent needs under secretKeys, or ask for an exception in the AgentPolicy: its driver may hand out credentials that no identity lists",
            ),
            Self::VolumeType { kind } => write!(
                f,
                "replace the {kind} volume by a persistentVolumeClaim: its driver or node may hand out credentials that no identity lists"
            ),
            Self::UnknownField { field } => {
                write!(f, "remove \"{field}\": perpro does not know this field, and can't tell which credential it brings")
            }
            Self::PullSecretNotAllowed { secret } => write!(
                f,
                "remove pull Secret \"{secret}\" or add it to imagePullSecrets of the namespace's AgentPolicy"
            ),
            Self::PullSecretOwned { secret, identity } => write!(
                f,
                "use another pull Secret than \"{secret}\": it belongs to AgentIdentity \"{identity}\", and what an agent holds can't pull images too"
            ),
            Self::ForgedMirror => {
                write!(f, "remove annotation {}: only the kubelet sets it", names::MIRROR_POD)
            }
            Self::ForeignAccount { account, identity } => write!(
                f,
                "leave serviceAccountName to perpro: \"{account}\" is not an account minted for AgentIdentity \"{identity}\""
            ),
            Self::NotInjected { what } => write!(
                f,
                "let perpro's mutating webhook handle this pod: {what} is missing, so something skipped or undid it"
            ),
            Self::ImageNotAllowed { container, image, identity } => write!(
                f,
                "use an image that AgentIdentity \"{identity}\" lists for container \"{container}\", or list \"{image}\" under its images"
            ),
            Self::UnlistedSecretKey { container: Some(container), secret, key, identity } => write!(
                f,
                "list key \"{key}\" of Secret \"{secret}\" under secretKeys of container \"{container}\" in AgentIdentity \"{identity}\", or remove it"
            ),
            Self::UnlistedSecretKey { container: None, secret, key, .. } => {
                write!(f, "remove the volume with key \"{key}\" of Secret \"{secret}\": no container mounts it")
            }
            Self::SharedSecret { secret, identity, owner } => write!(
                f,
                "give AgentIdentity \"{identity}\" a Secret of its own: \"{secret}\" belongs to \"{owner}\", and a shared credential can't be traced"
            ),
            Self::ListedMissing { container, what, identity } => write!(
                f,
                "let nothing change the pod after perpro: container \"{container}\" lacks {what} that AgentIdentity \"{identity}\" lists"
            ),
            Self::EnvTaken { container, env, secret, key } => write!(
                f,
                "remove environment variable \"{env}\" of container \"{container}\": the identity sets it from key \"{key}\" of Secret \"{secret}\""
            ),
            Self::MountTaken { container, path } => write!(
                f,
                "remove the mount at {path} of container \"{container}\": the identity's credentials go there"
            ),
            Self::FromFile { container, env } => write!(
                f,
                "replace fileKeyRef of \"{env}\" in container \"{container}\" by a listed secretKey or a ConfigMap: it takes a value that another container wrote"
            ),
            Self::PodCertificate { container } => {
                write!(f, "remove the podCertificate of {}: v1alpha1 has no way to list one", holder(container.as_deref()))
            }
            Self::Unreadable { error } => write!(f, "send an object that its API can read: {error}"),
            Self::TokenTooLong { container, limit } => write!(
                f,
                "set expirationSeconds of the token of {} to at most {limit}, or leave the token to perpro",
                holder(container.as_deref())
            ),
            Self::Wildcard => f.write_str("name each API group, resource and verb: an agent's permissions hold no wildcard, nor a part of one"),
            Self::Verb { verb } => write!(
                f,
                "use get, list, watch, create, update, patch, delete or deletecollection: \"{verb}\" can't be granted to an agent"
            ),
            Self::ClusterScoped { resource } => {
                write!(f, "remove {resource}: permissions on cluster-scoped resources are not in v1alpha1")
            }
            Self::Elevated => {
                f.write_str("ask the platform team to list it under elevatedPermissions of every AgentPolicy that names this namespace: it is as good as a larger role")
            }
            Self::OverCeiling { policies } => write!(
                f,
                "ask the platform team to raise the ceiling: not within permissions of AgentPolicy {}",
                quoted(policies)
            ),
            Self::OfPermission { what, reason } => write!(f, "{reason} ({what})"),
            Self::AuthorLacks => {
                f.write_str("have somebody apply this who may do it themselves: nobody grants an agent more than they hold")
            }
            Self::AuthorCantRead { secret } => {
                write!(f, "have somebody apply this who may get Secret \"{secret}\" themselves: nobody hands out what they can't read")
            }
            Self::OwnerNotAllowed { kind, policies } => {
                write!(f, "name another owner: this {kind} is not among owners of AgentPolicy {}", quoted(policies))
            }
            Self::LivesTooLong { days } => {
                write!(f, "set an earlier expiresAt, and extend it when it comes near: identities live at most {days} days here")
            }
            Self::ExpiresInThePast => f.write_str("set expiresAt to when the agent is to end: this time has passed"),
            Self::NoAuthor { identity } => write!(
                f,
                "apply AgentIdentity \"{identity}\" again: nobody is recorded as its author, so nothing that it lists counts"
            ),
            Self::NeverGranted { what, reason } => {
                write!(f, "remove {what}: no agent can have it, whatever a policy says ({reason})")
            }
            Self::OnlyElevated { what } => {
                write!(f, "list {what} under elevatedPermissions if agents are to have it: here it counts for nothing")
            }
            Self::NotElevated { what } => {
                write!(f, "list {what} under permissions: it is an ordinary power, and here it counts for nothing")
            }
            Self::CutsIdentities { identities } => write!(
                f,
                "look at withheldPermissions in the status of {}: this policy takes permissions from them",
                quoted(identities)
            ),
            Self::EndsInstances { identity, end, instances } => {
                let (begin, end, undo) = match end {
                    IdentityEnd::Deleted => ("deleting", "", "create it again"),
                    IdentityEnd::Suspended => ("suspending", "", "resume it"),
                    IdentityEnd::Expired => ("setting expiresAt of", " to the past", "set a later one"),
                };
                let pods = match instances {
                    1 => "pod at once, and ends it".to_owned(),
                    many => format!("{many} pods at once, and ends them"),
                };
                write!(
                    f,
                    "{begin} AgentIdentity \"{identity}\"{end} takes the power of its {pods} within {REVOKED_POD_GRACE} s; {undo} to start new ones"
                )
            }
            Self::ImageOverCeiling { container, image, policies } => write!(
                f,
                "use an image that AgentPolicy {} lists for {}, or have \"{image}\" added to its images",
                quoted(policies),
                container.as_ref().map_or_else(|| "this volume".to_owned(), |name| format!("container \"{name}\""))
            ),
            Self::NotGoverned { namespace } => write!(
                f,
                "label namespace \"{namespace}\" with {}=all (or agents): nobody governs agents there",
                names::ENFORCE_LABEL
            ),
            Self::NotTheirs { identity, changed: true } => write!(
                f,
                "replace this pod, or have breakGlassGroups of the AgentPolicy name a group of yours: it is older than the last change of AgentIdentity \"{identity}\", whose owner gets into newer pods alone"
            ),
            Self::NotTheirs { identity, changed: false } => write!(
                f,
                "ask the owner of AgentIdentity \"{identity}\" to do this, or have breakGlassGroups of the AgentPolicy name a group of yours: whoever gets into an agent has what it has"
            ),
            Self::AuthorUnknown => {
                f.write_str("try again in a few seconds: the API server did not say what the author may do")
            }
            Self::WriteRefused { said } => {
                write!(f, "look at quotas and policies of the namespace, which refuse what perpro writes: {said}")
            }
            Self::NoPolicy => f.write_str("ask the platform team for an AgentPolicy that names this namespace: without one an identity has no API permission"),
            Self::TooManyCredentials { limit } => {
                write!(f, "use fewer containers, volumes, mounts, variables, items, labels or host aliases, and at most 64 tolerations: this pod has more than {limit} parts, and everybody waits while they are compared")
            }
            Self::BadIdentityName { name } => write!(
                f,
                "name an AgentIdentity of this namespace: {name:?} is no DNS label of at most {} characters",
                names::MAX_IDENTITY_NAME
            ),
            Self::IdentityName => write!(
                f,
                "name an AgentIdentity with a DNS label of at most {} characters: account names are made from it",
                names::MAX_IDENTITY_NAME
            ),
            Self::OwnerName => {
                f.write_str("name who answers for this agent as the API server does: no blank at either end, no control or invisible characters")
            }
            Self::ContactName => {
                f.write_str("write contacts without a blank at either end, and without control or invisible characters")
            }
            Self::NoJustification => {
                f.write_str("say in 10 to 512 characters, without control or invisible characters, why the agent needs what it gets")
            }
            Self::SecretNotOwned { secret } => {
                write!(f, "list Secret \"{secret}\" under spec.secrets, with the date to rotate it by: secretKeys names it")
            }
            Self::NoSuchKey { secret, key, has } => write!(
                f,
                "name a key that Secret \"{secret}\" has, or add \"{key}\" to it: it has {}, and without its key a container does not start",
                quoted(has)
            ),
            Self::LabelNotOnPods { label, template } => write!(
                f,
                "write label {label} under {template}.metadata.labels: here it is the workload's own, and its pods would run without it"
            ),
            Self::KeyWithoutPlace { secret, key } => write!(
                f,
                "say how the container gets key \"{key}\" of Secret \"{secret}\": set env, path, or both"
            ),
            Self::PlaceTwice { place } => write!(
                f,
                "give each key of a container an environment variable and a path of its own: \"{place}\" is there twice"
            ),
            Self::NoEnd => f.write_str("set a date from 1970 to 2199"),
            Self::TooManyPermissions => {
                f.write_str("list at most 200 permissions: this is what the rules expand to, one per group, resource, name and verb")
            }
            Self::NamespacePattern => {
                f.write_str("name namespaces exactly, or give '*' alone: patterns are not supported")
            }
            Self::ElevatedWildcard => {
                f.write_str("name each elevated group, resource and verb exactly, without wildcards")
            }
            Self::ListedContainerAbsent { container, identity } => {
                write!(f, "AgentIdentity \"{identity}\" lists container \"{container}\", which this pod does not have")
            }
            Self::AccountOverwritten { account } => {
                write!(f, "serviceAccountName \"{account}\" is replaced by an account of the pod's own")
            }
            Self::DryRun => f.write_str("dry run: the pod passes; its account, credentials and gate are added when it is created"),
            Self::SkippedField { field } => write!(f, "perpro does not know field \"{field}\" and leaves it as it is"),
            Self::LiteralCredential { container, what, is_sent } => {
                if *is_sent {
                    write!(f, "let this probe or hook of container \"{container}\" ask what needs no credential, or run a command that reads a listed key")?;
                } else {
                    write!(f, "move this value of container \"{container}\" to a Secret, list its key in the AgentIdentity")?;
                }
                write!(f, ", and replace the credential: it looks like {what}, and whoever reads the pod has it")
            }
            // An API server drops a warning with control characters, so none of what a policy says is told as it is.
            Self::Excepted { exception, owner, until, days_left, reason } => {
                match days_left {
                    Some(0) => write!(f, "exception {exception:?} of {owner:?} ends within a day, at {until}")?,
                    Some(days) => write!(f, "exception {exception:?} of {owner:?} ends in {days} days, at {until}")?,
                    None => write!(f, "exception {exception:?} of {owner:?} lets this pass until {until}")?,
                }
                write!(f, "; then {}: {reason}", reason.code())
            }
            Self::NeverExcepted { codes } => write!(
                f,
                "remove {} from codes: exceptions are for {} alone",
                quoted(codes),
                CODES.join(", ")
            ),
            Self::NeverInjected { audience } => write!(
                f,
                "name an audience that is not the API server's: tokens for {audience:?} are for what identities list under kubernetesAccess"
            ),
            Self::ExceptionElsewhere { namespace } => write!(
                f,
                "name a namespace that this policy bounds: it does not list \"{namespace}\", so the exception counts for nothing"
            ),
            Self::ExceptionEnded { at } => {
                write!(f, "remove this exception, or have somebody decide on it anew: it ended at {at}")
            }
            Self::ExceptionTooLong { days } => {
                write!(f, "set an earlier expiresAt, and extend it when it comes near: exceptions last at most {days} days")
            }
            Self::NamesOwned { secret, identity } => write!(
                f,
                "use another Secret than \"{secret}\", or run this pod under AgentIdentity \"{identity}\": it belongs to that, which is not Ready while other pods name it, and keeps them off it then"
            ),
            Self::TokenOfAgent => write!(
                f,
                "name another account: no Secret holds a token of an account that begins with \"{}\"",
                names::ACCOUNT_PREFIX
            ),
            Self::TokenWithoutEnd => f.write_str(
                "use a token that ends instead, by a projected volume or \"kubectl create token\": one in a Secret never does, and where agents are governed none is made",
            ),
            Self::WebhookNotReady { why } => write!(f, "try again in a few seconds: {why}; if it stays, the webhook's log says more"),
            Self::MintFailed { detail } => {
                write!(f, "look at quotas on service accounts: the pod's account can't be created: {detail}")
            },
        }
    }
}

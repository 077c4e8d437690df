//! Codes that are no verdict on the object: warnings, and what a refusal says when perpro itself
//! can't go on.

use super::{Entry, Example, Source, manifests};

const WARNING: &[Source] = &[Source::Warning];
const WEBHOOK: &[Source] = &[Source::Webhook];

/// AID060 to AID069, AID090 to AID093 and AID095.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "AID060",
        title: "The identity lists a container that the pod does not have",
        why: "A typo in a container's name means that the container gets nothing, and that shows only when the agent fails.",
        fix: "Compare the names in the pod template with those in the AgentIdentity. One identity for several workloads may list more than each has.",
        from: WARNING,
        example: manifests!("AID060"),
    },
    Entry {
        code: "AID061",
        title: "serviceAccountName is replaced",
        why: "An agent pod runs on an account of its own. The account that the manifest names, and what is bound to it, plays no part.",
        fix: "Remove serviceAccountName: one that does not exist is refused by the API server before perpro is asked. What the agent needs at the API server belongs under spec.permissions of its AgentIdentity.",
        from: WARNING,
        example: manifests!("AID061"),
    },
    Entry {
        code: "AID062",
        title: "Dry run: the pod passes, and nothing was made",
        why: "A dry run must leave nothing behind, so account, credentials and gate are not in the object that it prints.",
        fix: "Nothing is wrong. They are added when the pod is created.",
        from: WARNING,
        example: Example::None("Any pod that passes shows it with --dry-run=server."),
    },
    Entry {
        code: "AID063",
        title: "A field that perpro does not know, outside of containers and volumes",
        why: "A newer API server may know fields that this version of perpro does not. There it can bring no credential, so it stays as it is.",
        fix: "Upgrade perpro when you have upgraded Kubernetes.",
        from: WARNING,
        example: Example::None(
            "An API server drops fields that it does not know before anybody sees them; only one newer than perpro can show this.",
        ),
    },
    Entry {
        code: "AID065",
        title: "A credential stands in the text of the pod",
        why: "Whoever reads the pod, its workload, its manifest in git or a backup of any of them has the credential. No identity lists it, nobody rotates it, and nobody can tell who used it. It is found by the form that its issuer gives it, in environment variables, commands, arguments, and what probes and hooks run or send, and where a variable or header is called a secret and its value is no word; messages never repeat it. It is a warning, or a refusal where an AgentPolicy of the namespace says literalCredentials: Refuse.",
        fix: "Put it into a Secret that the AgentIdentity lists, with its key under secretKeys of the container; perpro sets the variable. The headers of a probe can come from no Secret: let it ask what needs no credential, or run a command that reads the variable. Then replace the credential at its issuer: it has been read by others. If it is none, write it in another form, or as a $(NAME) of a variable.",
        from: &[Source::Warning, Source::Webhook, Source::Event],
        example: manifests!("AID065"),
    },
    Entry {
        code: "AID066",
        title: "An exception lets the pod pass",
        why: "The pod would be refused for the code that the warning ends with. An AgentPolicy has an exception for its workload, which somebody answers for and which ends. In its last 14 days the warning says how many are left.",
        fix: "Mend what the warning says, or ask whom it names to extend the exception. Once it has ended new pods are refused; those that run go on.",
        from: WARNING,
        example: Example::None("An exception ends within 90 days, so no manifest that stays can have one."),
    },
    Entry {
        code: "AID067",
        title: "The identity lists a key that the Secret does not have",
        why: "The kubelet does not start a container whose key is missing: the pod is released, and waits with CreateContainerConfigError. perpro may read no Secret in the cluster, so admission can't say it; perpro check does where the Secret is among the files.",
        fix: "Compare the key with those of the Secret. `perpro instances` says which container waits for what.",
        from: WARNING,
        example: Example::None("Only perpro check says it, of files that hold the Secret too."),
    },
    Entry {
        code: "AID068",
        title: "The label stands on the workload, and not on its pods",
        why: "Pods have the labels of the template that they are made from. With the label on the Deployment alone they are no agents to anybody: they run without identity, on a shared account, where the namespace enforces `agents`, and are refused where it enforces `all`.",
        fix: "Write the label under spec.template.metadata.labels (of a CronJob: spec.jobTemplate.spec.template.metadata.labels).",
        from: WARNING,
        example: Example::None(
            "The examples are of a namespace that enforces all: there the pods are refused too (AID001).",
        ),
    },
    Entry {
        code: "AID090",
        title: "The webhook is starting",
        why: "It decides from identities that it has read. Until it has read all of them it refuses rather than guesses.",
        fix: "Wait: workload controllers try again by themselves. If it stays, the message names what the webhook can't read, or the policy that is not in force; its log says why.",
        from: WEBHOOK,
        example: Example::None("It depends on the state of the webhook."),
    },
    Entry {
        code: "AID091",
        title: "The pod's account can't be created",
        why: "Without an account of its own the pod would run on another one.",
        fix: "The message ends with what the API server said, most often a ResourceQuota on service accounts: raise it.",
        from: WEBHOOK,
        example: Example::None("It depends on quotas and on the state of the API server."),
    },
    Entry {
        code: "AID092",
        title: "The API server did not say what the author may do",
        why: "Whether the author holds what they grant is asked of the API server (SubjectAccessReview). Without an answer nothing is granted.",
        fix: "Try again. If it stays, read the webhook's log: it may not create subjectaccessreviews, or an authorizer does not answer.",
        from: WEBHOOK,
        example: Example::None("It depends on the state of the API server."),
    },
    Entry {
        code: "AID093",
        title: "The API server refuses what perpro's controller has to write",
        why: "A quota, another admission policy or missing rights keep the controller from making the Role, account or binding that the identity needs. Until it can, its pods wait.",
        fix: "The message ends with what the API server said. Raise the quota, or exempt perpro-controller from the policy that it names.",
        from: &[Source::Event],
        example: Example::None("It depends on quotas and policies of the cluster."),
    },
];

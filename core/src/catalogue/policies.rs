//! Codes of the chart's ValidatingAdmissionPolicies: they hold with perpro down too.

use super::{Entry, Example, Source, manifests};

/// Why no manifest shows a rule about updates.
const A_CHANGE: Example =
    Example::None("It is said of a change of an object that exists, which has no manifest.");

/// AID010, AID080 to AID089, AID094 and AID096 to AID099.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "AID010",
        title: "The pod names an identity where nobody governs agents",
        why: "There perpro is never asked, so the pod would silently run on the account that its template names, usually default. Whoever applies an identity there, or a workload that names one, is warned by perpro-ungoverned.",
        fix: "Label the namespace with perpro.dev/enforce=all (or agents), move the agent to one that is, or remove the pod's label. kube-system and perpro's own namespace are never governed.",
        from: &[Source::Policy("perpro-pods"), Source::Policy("perpro-ungoverned"), Source::Event],
        example: manifests!("AID010"),
    },
    Entry {
        code: "AID080",
        title: "A label or annotation under perpro.dev/ of a pod is changed",
        why: "What an agent pod is was decided when it was created. With a label that is added or stripped later, a pod would slip in or out of what was decided, through its status and its Binding too. An API server takes seconds to find a mark among tens of thousands of others, so their number is bounded.",
        fix: "Leave them as they are, and have no more than 1000 of others. To run under another identity, make a new pod.",
        from: &[Source::Policy("perpro-pod-updates"), Source::Policy("perpro-bindings")],
        example: A_CHANGE,
    },
    Entry {
        code: "AID081",
        title: "Somebody removes perpro's scheduling gate",
        why: "The gate holds the pod until its account is bound to exactly this pod. Without it the pod would start without its permissions, or without having been looked at again.",
        fix: "Wait, or find out what it waits for: `kubectl describe pod` and `perpro status`.",
        from: &[Source::Policy("perpro-pod-updates")],
        example: A_CHANGE,
    },
    Entry {
        code: "AID082",
        title: "The image of a running agent is changed",
        why: "Its credentials were given to the image that was admitted, not to whatever is put into its place.",
        fix: "Change the template of the workload; its new pods are decided on anew.",
        from: &[Source::Policy("perpro-pod-updates")],
        example: A_CHANGE,
    },
    Entry {
        code: "AID083",
        title: "A name or mark that is reserved for perpro's own objects",
        why: "Accounts, Roles and RoleBindings of agents begin with aid- and carry its marks. By them the controller knows what to end; a forged one could keep power alive, or point it at somebody else's pod. The Role of an identity is bound by perpro alone: it is empty while the identity is over, and whoever bound it then would have its permissions once it is resumed.",
        fix: "Choose a name that does not begin with aid-, leave out the marks, and bind a Role of your own. To end an agent, suspend or revoke its AgentIdentity.",
        from: &[Source::Policy("perpro-reserved")],
        example: manifests!("AID083"),
    },
    Entry {
        code: "AID084",
        title: "The author of a pod or template may not use the identity",
        why: "Whoever writes a pod or a workload's template decides what runs under the identity, also when only an image is swapped. So it needs the verb use on that AgentIdentity.",
        fix: "Ask for verb use on agentidentities.perpro.dev in the namespace, by resourceNames for just this identity, or have somebody apply it who has it.",
        from: &[Source::Policy("perpro-pods"), Source::Policy("perpro-use-templates")],
        example: Example::None("It depends on who applies it."),
    },
    Entry {
        code: "AID085",
        title: "The recorded author of an identity is not who wrote it",
        why: "The author is who must hold what the identity grants. If somebody could write another's name there while the webhook is away, they would borrow that person's powers.",
        fix: "Leave annotations perpro.dev/author and author-groups to the webhook. While it is down, only what narrows an identity passes, spec.suspended: true among it.",
        from: &[Source::Policy("perpro-author")],
        example: Example::None(
            "The webhook writes the author over what a manifest says; only with the webhook down it shows.",
        ),
    },
    Entry {
        code: "AID086",
        title: "An account of perpro or of an agent writes what it never writes",
        why: "RBAC says which kinds perpro's processes may write, this policy which shapes. It makes a stolen token of theirs good for nothing else, and an agent's account good only with the token of its own pod.",
        fix: "If you impersonate such an account, write as yourself. If it stands in perpro's log, chart and image are of different versions. If neither, somebody has the token: delete the pod that it belongs to.",
        from: &[Source::Policy("perpro-own-writes")],
        example: Example::None("It depends on who asks."),
    },
    Entry {
        code: "AID087",
        title: "Somebody asks for a token of an agent's account",
        why: "A token of the account is the agent, wherever it is used. The node that runs the pod needs one, bound to that pod, and it ends with the pod; anybody else would borrow the identity.",
        fix: "Run what needs the token as an agent pod, or give it an account of its own. A node that speaks as another user than system:node:NAME can't run agents.",
        from: &[Source::Policy("perpro-tokens")],
        example: Example::None(
            "A token request is made on an account, by a subresource; no manifest holds one.",
        ),
    },
    Entry {
        code: "AID088",
        title: "A Secret for the token of an agent, or of any account where agents are governed",
        why: "A token in a Secret never expires, is bound to no pod, and whoever reads the Secret has it. In governed namespaces credentials end.",
        fix: "Mount a projected volume with a serviceAccountToken, or ask for a token that ends with `kubectl create token`. Secrets that were there before the namespace was governed stay valid: delete them.",
        from: &[Source::Policy("perpro-token-secrets")],
        example: manifests!("AID088"),
    },
    Entry {
        code: "AID089",
        title: "A governed namespace is opted out, or its label is weakened",
        why: "The label is what governs agents. Without it new pods run on any account, and those that run lose their power; with agents instead of all, pods run that nobody owns.",
        fix: "Have somebody change it who holds the verb ungovern on namespaces.perpro.dev by a ClusterRoleBinding, as cluster-admin does; the chart has a role for it, perpro-ungovern. Deleting the namespace needs no such thing.",
        from: &[Source::Policy("perpro-namespaces")],
        example: A_CHANGE,
    },
    Entry {
        code: "AID094",
        title: "A binding has an agent's account among its subjects",
        why: "An agent has what its identity lists, under a ceiling, and loses it with its pod. A binding of one's own would give it more, without owner and end. The account can be spelled as a user too, and belongs to the groups of all service accounts.",
        fix: "List the permission in the AgentIdentity. Where others need a role, name their accounts, not system:serviceaccounts or the group of the whole namespace; the chart's value accountGroupRoles lists roles that such a group may have.",
        from: &[Source::Policy("perpro-reserved")],
        example: manifests!("AID094"),
    },
    Entry {
        code: "AID096",
        title: "A pod without identity names a Secret that belongs to an identity",
        why: "A Secret belongs to one identity, so that somebody answers for it and one can tell who used it. A pod without identity that names it, in its environment, in a volume or to pull images, would share it. The GovernedNamespace of the namespace lists these Secrets; one that such a pod already named when the identity came is not listed before the last of these pods is gone.",
        fix: "Give the pod a Secret of its own, or make it an agent by label perpro.dev/identity. `kubectl get gns perpro -o yaml` shows which Secrets of the namespace belong to whom.",
        from: &[Source::Policy("perpro-plain-pods")],
        example: Example::None(
            "Where every pod must have an identity such a pod is refused for that already, by AID001.",
        ),
    },
    Entry {
        code: "AID097",
        title: "A pod without identity names the account of an agent",
        why: "An account that begins with aid- was made for one pod, and has what that agent's identity lists. Another pod under it would be that agent.",
        fix: "Name another account, or run the pod under an identity by label perpro.dev/identity: then it is given an account of its own.",
        from: &[Source::Policy("perpro-own-writes")],
        example: Example::None("Accounts of agents have names that are made up for each pod."),
    },
    Entry {
        code: "AID098",
        title: "The nodes for an agent that waits at a gate are chosen by somebody else",
        why: "Kubernetes lets whoever may update a pod that waits at a scheduling gate narrow the nodes that it can run on, to a single one too. Whoever has that node has what the agent has: its Secrets and tokens. So it needs the verb use on the AgentIdentity, as writing the pod does.",
        fix: "Set nodeSelector, affinity and tolerations in the template of the workload. For a controller that sets them on pods that wait, such as a queue, ask for verb use on agentidentities.perpro.dev in the namespace.",
        from: &[Source::Policy("perpro-pod-updates")],
        example: A_CHANGE,
    },
    Entry {
        code: "AID099",
        title: "The ConfigMap by which agents know the API server",
        why: "kube-root-ca.crt has the certificate authority that programs check the API server's certificate with. With another one in it, an agent would send its token to whoever that authority vouches for; and once it is immutable, Kubernetes can't put it right.",
        fix: "Leave it out of manifests, backups and restores: Kubernetes makes it in every namespace, and makes it again when it is deleted. Put an authority of your own into a ConfigMap of another name.",
        from: &[Source::Policy("perpro-root-ca")],
        example: manifests!("AID099"),
    },
];

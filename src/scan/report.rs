//! What is told: eight rows, the agents that nobody labelled, who could get at agents, what could not be read.

use super::agents::Certainty;
use super::workload::Ref;

/// One of the eight ways in which agents borrow identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Crack {
    SharedCredentials = 1,
    WideRoles,
    LongLivedKeys,
    Unmapped,
    NoOnBehalfOf,
    NoDelegation,
    BroadKeys,
    Untraceable,
}

impl Crack {
    pub(crate) const ALL: [Self; 8] = [
        Self::SharedCredentials,
        Self::WideRoles,
        Self::LongLivedKeys,
        Self::Unmapped,
        Self::NoOnBehalfOf,
        Self::NoDelegation,
        Self::BroadKeys,
        Self::Untraceable,
    ];

    /// From 1 to 8.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::SharedCredentials => "shared credentials",
            Self::WideRoles => "wide roles",
            Self::LongLivedKeys => "long-lived keys",
            Self::Unmapped => "nobody answers for it",
            Self::NoOnBehalfOf => "acts for no person",
            Self::NoDelegation => "standing power",
            Self::BroadKeys => "more than its own keys",
            Self::Untraceable => "not told apart in the log",
        }
    }

    /// What is counted, in a sentence for somebody who has never heard of it.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::SharedCredentials => {
                "An agent uses a Secret or a service account that other workloads use too: what one of them leaks, all lose."
            }
            Self::WideRoles => {
                "An agent's account has wildcards, reads Secrets, reaches every namespace, or can take more rights than it \
                 was given."
            }
            Self::LongLivedKeys => {
                "An agent holds keys that nobody has to replace by a date, or a token of Kubernetes that is valid for a year."
            }
            Self::Unmapped => {
                "Of an agent it is not written who owns it, until when it may run, or why it exists."
            }
            Self::NoOnBehalfOf => {
                "An agent's credentials name no person, so nobody can tell for whom it acted."
            }
            Self::NoDelegation => {
                "An agent has keys or rights of its own at all times, whether or not somebody asked it."
            }
            Self::BroadKeys => {
                "A container of an agent gets whole Secrets, or reaches its node or the processes beside it."
            }
            Self::Untraceable => {
                "Several workloads call the API server under one account's name, which its audit log can't tell apart."
            }
        }
    }

    /// What would close it.
    pub(crate) fn closed_by(self) -> &'static str {
        match self {
            Self::SharedCredentials => "an AgentIdentity per agent: an account per pod, Secrets of its own",
            Self::WideRoles => "permissions of an AgentIdentity, under an AgentPolicy; no wildcards",
            Self::LongLivedKeys => "a date by which each Secret is replaced (rotateBy); tokens of minutes",
            Self::Unmapped => "owner, expiresAt and justification, which an AgentIdentity must have",
            Self::NoOnBehalfOf => "nothing yet: tokens that name the person are not there in this version",
            Self::NoDelegation => "nothing yet: power by a person's leave is not there in this version",
            Self::BroadKeys => "the keys that each container lists (secretKeys), and nothing of the node",
            Self::Untraceable => "an account per pod",
        }
    }

    /// Whether something that is there today closes it.
    pub(crate) fn can_be_closed(self) -> bool {
        !matches!(self, Self::NoOnBehalfOf | Self::NoDelegation)
    }
}

/// One crack.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) crack: Crack,
    /// Agents that have it.
    pub(crate) agents: usize,
    /// Workloads that have it, agents among them; `None` where it is no fault of others.
    pub(crate) workloads: Option<usize>,
    /// The worst first.
    pub(crate) findings: Vec<Finding>,
}

/// What is wrong with one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) at: Ref,
    pub(crate) what: String,
    /// The higher the worse; comparable within a crack.
    pub(crate) weight: usize,
}

/// An agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) at: Ref,
    pub(crate) certainty: Certainty,
    pub(crate) why: String,
    pub(crate) owner: Option<String>,
    pub(crate) pods: usize,
}

/// Who can do something to agents.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    /// Stable name, for programs.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// Subject, and what it can and whence.
    pub(crate) holders: Vec<(String, String)>,
    /// Subjects of Kubernetes itself that can, too.
    pub(crate) built_in: usize,
}

/// A service account that nothing runs under.
#[derive(Clone, Debug)]
pub(crate) struct Unused {
    pub(crate) at: Ref,
    /// The roles that it has all the same.
    pub(crate) roles: Vec<String>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) agents: Vec<Agent>,
    pub(crate) workloads: usize,
    pub(crate) pods: usize,
    /// Agents for whom no owner is named.
    pub(crate) unowned: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) unused: Vec<Unused>,
    /// What could not be read, so that numbers are too low.
    pub(crate) gaps: Vec<String>,
    /// What the numbers leave out.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Agents that nobody labelled as such.
    pub(crate) fn unlabelled(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().filter(|a| a.certainty != Certainty::Declared)
    }
}

/// What there is, in a sentence.
pub(crate) fn headline(report: &Report) -> String {
    let (agents, workloads) = (report.agents.len(), plural(report.workloads, "workload"));
    if agents == 0 {
        return format!("No AI agents seen among {workloads}.");
    }
    let labelled = match report.unlabelled().count() {
        0 => "All are labelled as agents".to_owned(),
        n if n == agents => "Nobody labelled any of them".to_owned(),
        n => format!("Nobody labelled {n} of them"),
    };
    let owned = match report.unowned {
        0 => "an owner is named for each".to_owned(),
        n if n == agents => "no owner is named for any".to_owned(),
        n => format!("no owner is named for {n}"),
    };
    format!("{} among {workloads}. {labelled}, and {owned}.", plural(agents, "AI agent"))
}

/// What to do next, the most urgent first.
pub(crate) fn next_steps(report: &Report) -> Vec<String> {
    let row = |crack: Crack| report.rows.iter().find(|r| r.crack == crack);
    let has = |crack: Crack| row(crack).is_some_and(|r| r.agents > 0);
    let worst = |crack: Crack| row(crack)?.findings.first().map(|f| f.at.to_string());
    let mut steps = Vec::new();
    if !report.gaps.is_empty() {
        steps.push("Scan again with the rights that docs/scan.md lists: numbers are too low.".to_owned());
    }
    if let Some(at) = worst(Crack::WideRoles) {
        steps.push(format!("Narrow the roles of agents' accounts, {at} first."));
    }
    if let Some(at) = worst(Crack::BroadKeys) {
        steps
            .push(format!("Give each container the keys that it needs and nothing of its node, {at} first."));
    }
    if let Some(at) = worst(Crack::SharedCredentials) {
        steps.push(format!(
            "Give each agent a service account and keys of its own, and replace what was shared, {at} first."
        ));
    }
    if report.unowned > 0 {
        let agents = plural(report.unowned, "agent");
        steps.push(format!(
            "Find an owner for {agents}: somebody who answers, until when and why. What nobody wants can go."
        ));
    }
    if has(Crack::Unmapped) {
        steps.push(
            "Write an AgentIdentity for each, label its pods perpro.dev/identity=NAME and its namespace \
             perpro.dev/enforce=all: then the cluster refuses what takes more."
                .to_owned(),
        );
    }
    let idle = report.unused.iter().filter(|u| !u.roles.is_empty()).count();
    if idle > 0 {
        steps
            .push(format!("Take the roles from {} that no pod runs under.", plural(idle, "service account")));
    }
    steps
}

/// `1 agent`, `2 agents`.
pub(super) fn plural(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

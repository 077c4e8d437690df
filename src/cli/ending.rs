//! Waiting until an identity's instances have lost their power, and saying what is left.

use super::instance::{Instance, Instances};
use super::output::{Table, count, print};
use super::subject::Subject;
use crate::cluster::{Cluster, Selection, describe, is_forbidden};
use perpro_core::names;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two looks at what is there.
const INTERVAL: Duration = Duration::from_millis(250);
/// Longest wait for the list of instances before the power is taken: it must not hold that up.
const LOOK: Duration = Duration::from_secs(3);

/// An identity whose power ends.
pub(super) struct Ending<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    name: &'a str,
    /// Static Secrets that its processes may have read.
    secrets: Vec<String>,
}

impl<'a> Ending<'a> {
    pub(super) fn of(cluster: &'a Cluster, subject: &'a Subject) -> Self {
        let secrets = subject.object.spec.secrets.iter().map(|s| s.name.clone()).collect();
        Self { cluster, namespace: &subject.namespace, name: &subject.name, secrets }
    }

    /// Its instances that have power now; `None` when they can't be listed in time, which must not keep anybody from
    /// ending it.
    pub(super) async fn live(&self) -> Option<usize> {
        let listed = tokio::time::timeout(LOOK, self.instances()).await;
        let listed = listed.ok().and_then(Result::ok)?;
        Some(listed.iter().filter(|i| i.claimed).count())
    }

    async fn instances(&self) -> kube::Result<Vec<Instance>> {
        let which = Selection { namespace: Some(self.namespace), identity: Some(self.name) };
        Ok(Instances::list(self.cluster, &which).await?.instances)
    }

    /// Waits until none of its instances has power, and says what it ended and what still runs. Fails when
    /// some still have power at the deadline, or nobody knows. Who may not see them has done their part.
    pub(super) async fn wait(&self, before: Option<usize>, deadline: Instant) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let mut ended = before.unwrap_or_default();
        loop {
            let now = match self.instances().await {
                Ok(now) => now,
                Err(error) if is_forbidden(&error) => {
                    print(&unseen(&error))?;
                    return Ok(ExitCode::SUCCESS);
                }
                Err(error) if Instant::now() >= deadline => {
                    print(&unseen(&error))?;
                    return Ok(ExitCode::FAILURE);
                }
                Err(_) => {
                    tokio::time::sleep(INTERVAL).await;
                    continue;
                }
            };
            let live: Vec<_> = now.iter().filter(|i| i.claimed).collect();
            if live.is_empty() {
                print(&gone(ended, started.elapsed(), &now, &self.secrets))?;
                return Ok(ExitCode::SUCCESS);
            }
            // The first list may have come too late, or not at all.
            ended = ended.max(live.len());
            if Instant::now() >= deadline {
                print(&left(self.namespace, self.name, &live, started.elapsed()))?;
                return Ok(ExitCode::FAILURE);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// What is said when power is gone.
fn gone(ended: usize, after: Duration, now: &[Instance], secrets: &[String]) -> String {
    let mut text = match ended {
        0 => "no instance had power\n".to_owned(),
        n => format!("power of {} ended after {:.1} s\n", count(n, "instance"), after.as_secs_f64()),
    };
    let running: Vec<_> = now.iter().filter(|i| !is_finished(i)).collect();
    if !running.is_empty() {
        text += &format!("still there, without power, until their grace ends:\n{}", pods(&running));
    }
    if ended > 0 && !secrets.is_empty() {
        let secrets = secrets.join(", ");
        text +=
            &format!("what they have read stays valid: replace {secrets} in the systems that these open\n");
    }
    text
}

/// What is said where nobody can look.
fn unseen(error: &kube::Error) -> String {
    format!(
        "can't tell how many instances end, or when: {}\nwho may list pods and service accounts sees them with \
         `perpro instances`\n",
        describe(error)
    )
}

/// What is said when the controller did not do its part in time.
fn left(namespace: &str, name: &str, live: &[&Instance], after: Duration) -> String {
    format!(
        "{} still with power after {:.0} s:\n{}the controller ends it: `perpro status` says what is wrong with it\n\
         to end it without the controller: kubectl -n {namespace} delete pods -l {}={name}\n",
        count(live.len(), "instance"),
        after.as_secs_f64(),
        pods(live),
        names::IDENTITY_LABEL,
    )
}

fn is_finished(instance: &Instance) -> bool {
    matches!(instance.status.as_str(), "Succeeded" | "Failed")
}

fn pods(instances: &[&Instance]) -> String {
    let mut table = Table::new(&["POD", "ACCOUNT", "POWER", "STATUS", "NODE"]);
    for i in instances {
        let node = i.node.clone().unwrap_or_default();
        table.row([i.pod.clone(), i.account.clone(), i.power.as_str().to_owned(), i.status.clone(), node]);
    }
    table.render().lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::instance::Power;
    use super::*;

    fn instance(power: Power, status: &str) -> Instance {
        Instance {
            namespace: "support".into(),
            identity: "bot".into(),
            pod: "bot-1".into(),
            pod_uid: "u".into(),
            account: "aid-bot-0123456789".into(),
            power,
            claimed: power == Power::Live,
            status: status.into(),
            waiting: None,
            stale_since: None,
            node: Some("node".into()),
            created: None,
            owner: None,
            expires_at: None,
        }
    }

    #[test]
    fn the_end_is_told_with_what_outlives_it() {
        let now = [instance(Power::None, "Terminating"), instance(Power::None, "Succeeded")];
        let text = gone(2, Duration::from_millis(340), &now, &["crm".to_owned()]);
        assert_eq!(
            text,
            "power of 2 instances ended after 0.3 s\n\
             still there, without power, until their grace ends:\n  \
             POD     ACCOUNT              POWER   STATUS        NODE\n  \
             bot-1   aid-bot-0123456789   None    Terminating   node\n\
             what they have read stays valid: replace crm in the systems that these open\n"
        );
    }

    #[test]
    fn where_nothing_had_power_nothing_must_be_replaced() {
        assert_eq!(gone(0, Duration::ZERO, &[], &["crm".to_owned()]), "no instance had power\n");
    }

    #[test]
    fn who_still_has_power_is_named_with_the_way_to_end_it_by_hand() {
        let live = instance(Power::Live, "Running");
        let text = left("support", "bot", &[&live], Duration::from_secs(60));
        assert!(text.starts_with("1 instance still with power after 60 s:\n  POD "), "{text}");
        assert!(text.ends_with("kubectl -n support delete pods -l perpro.dev/identity=bot\n"), "{text}");
    }
}

//! One pass over one identity: observe, plan, and have it applied ([`super::apply`]).

use super::claims::Namespaces;
use super::queue::About;
use super::recent::Recent;
use super::rejected::Rejected;
use crate::cluster::{Cluster, Subject, refused};
use crate::snapshot::{Instances, Key, Snapshot, Touched};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use perpro_core::api::{AgentIdentityStatus, AgentPolicy};
use perpro_core::decide::admit::{self, Context};
use perpro_core::decide::ceiling::Ceiling;
use perpro_core::decide::grant::{self, Question};
use perpro_core::decide::lifecycle::{self, Observed, Plan};
use perpro_core::decide::pod::AgentPod;
use perpro_core::decide::refusal::Refusal;
use perpro_core::decide::status;
use perpro_core::model::{Account, Author, Binding, Identity, PodFacts, SecretOwners};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

/// Chains of one pass that are applied at once.
const CHAINS: usize = 16;
/// When an instance is looked at again whose writes did not find the world as it was seen.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Everything a pass needs.
pub(super) struct Controller {
    pub(super) cluster: Cluster,
    pub(super) snapshot: Snapshot,
    pub(super) instances: Instances,
    /// Says what else to look at.
    pub(super) touch: UnboundedSender<Touched>,
    pub(super) known: Namespaces,
    pub(super) rejected: Mutex<Rejected>,
    /// Accounts whose binding our watch may not have shown yet.
    pub(super) bound: Mutex<Recent<String>>,
    /// Pods, by UID, whose gate our watch may still show.
    pub(super) released: Mutex<Recent<String>>,
    /// Identities whose number of instances was written.
    counted: Mutex<Recent<Key>>,
}

/// What a pass saw, owned.
pub(super) struct World {
    governed: bool,
    pub(super) identity: Option<Identity>,
    owners: Arc<SecretOwners>,
    policies: Vec<Arc<AgentPolicy>>,
    pods: Vec<Arc<PodFacts>>,
    accounts: Vec<Arc<Account>>,
    bindings: Vec<Arc<Binding>>,
    now: Timestamp,
}

impl Controller {
    pub(super) fn new(
        cluster: Cluster,
        snapshot: Snapshot,
        instances: Instances,
        touch: UnboundedSender<Touched>,
    ) -> Self {
        Self {
            cluster,
            snapshot,
            instances,
            touch,
            known: Namespaces::default(),
            rejected: Mutex::default(),
            bound: Mutex::default(),
            released: Mutex::default(),
            counted: Mutex::default(),
        }
    }

    /// Every identity that is there or has left something behind.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        self.snapshot.keys().into_iter().chain(self.instances.keys()).collect()
    }

    /// Whether anything is left of what a pass was about, so that it is looked at again.
    pub(super) fn knows(&self, about: &About) -> bool {
        match about {
            About::Identity(key) => self.snapshot.has(key) || self.instances.has(key),
            About::Namespace(namespace) => self.minds(namespace),
        }
    }

    /// Brings the instances of one identity one step on; says when to look again.
    ///
    /// # Errors
    /// The first write or read that failed; independent ones have been tried.
    pub(super) async fn pass(&self, key: &Key) -> kube::Result<Option<Timestamp>> {
        let mut world = self.observe(key);
        let mut plan = self.plan(key, &world);
        let mut authorized = Ok(());
        if !plan.chains.is_empty() || world.unauthorized(key).is_some() {
            // Whatever gives or takes power is decided on the identity as it is, not as a watch
            // last saw it.
            world.identity = self.cluster.identity(&key.namespace, &key.identity).await?;
            authorized = self.authorize(key, &mut world).await;
            plan = self.plan(key, &world);
        }
        if self.instances.terminating(&key.namespace) {
            // Nothing can be created there, and the namespace controller deletes the rest.
            plan.role = None;
            plan.give_nothing();
        }
        if authorized.is_err() {
            // What the author holds is not known: nobody starts, and the Role stays as it is unless the
            // identity is over. Ends never wait for an answer.
            plan.give_nothing();
            plan.role = plan.role.filter(Vec::is_empty);
        }
        let world = &world;
        let role = match (&world.identity, plan.role.take()) {
            (Some(identity), Some(rules)) => self.cluster.apply_role(identity, &rules).await,
            _ => Ok(()),
        };
        if role.is_err() {
            // Nobody starts with a Role that is not written; ends never wait for it.
            plan.give_nothing();
            plan.role_refused = role.as_ref().err().and_then(refused);
            if let (Some(identity), Some(said)) = (&world.identity, &plan.role_refused) {
                self.tell_of_role(key, identity, said).await;
            }
        }
        let chains = plan.chains.drain(..).map(|chain| self.apply_chain(key, world, chain));
        let outcomes: Vec<_> = futures::stream::iter(chains).buffer_unordered(CHAINS).collect().await;
        let status = self.write_status(key, world, &plan).await;
        let due = status.as_ref().ok().copied().flatten();
        let mut wake_at = plan.wake_at.into_iter().chain(due).min();
        for outcome in outcomes {
            if let ControlFlow::Break(at) = outcome? {
                let again = at.unwrap_or(world.now + AGAIN);
                wake_at = Some(wake_at.map_or(again, |w| w.min(again)));
            }
        }
        authorized.and(role).and(status).map(|_| wake_at)
    }

    /// Asks what the identity's author holds, once per generation.
    async fn authorize(&self, key: &Key, world: &mut World) -> kube::Result<()> {
        let Some((author, questions)) = world.unauthorized(key) else { return Ok(()) };
        let denied = self.cluster.denied(&Subject::from(author), &key.namespace, questions).await?;
        let now = world.now;
        if let Some(identity) = &mut world.identity {
            identity.authorization = grant::authorize(identity, &denied, now);
            tracing::info!(
                namespace = key.namespace,
                identity = key.identity,
                generation = identity.generation,
                denied = denied.len(),
                "author checked"
            );
        }
        Ok(())
    }

    fn observe(&self, key: &Key) -> World {
        World {
            governed: self.instances.governed(&key.namespace),
            identity: self.snapshot.identity(key).map(|identity| Identity::clone(&identity)),
            owners: self.snapshot.secret_owners(&key.namespace),
            policies: self.snapshot.policies(),
            pods: self.instances.pods(key),
            accounts: self.snapshot.accounts(key),
            bindings: self.instances.bindings(key),
            now: Timestamp::now(),
        }
    }

    fn plan(&self, key: &Key, world: &World) -> Plan {
        let role = world.identity.as_ref().and_then(|i| self.instances.role_rules(i));
        let observed = Observed {
            name: &key.identity,
            governed: world.governed,
            identity: world.identity.as_ref(),
            ceiling: &world.ceiling(key),
            role: role.as_deref(),
            pods: world.pods.iter().map(AsRef::as_ref).collect(),
            accounts: world.accounts.iter().map(AsRef::as_ref).collect(),
            bindings: world.bindings.iter().map(AsRef::as_ref).collect(),
        };
        lifecycle::plan(&observed, world.now)
    }

    /// Writes the status, unless it is as it was; says when, if only the number of instances grew and can wait.
    async fn write_status(&self, key: &Key, world: &World, plan: &Plan) -> kube::Result<Option<Timestamp>> {
        let Some(identity) = &world.identity else { return Ok(None) };
        let previous = self.snapshot.status(key);
        let ceiling = world.ceiling(key);
        let claims = if world.governed { Some(self.claims(&key.namespace).await?) } else { None };
        let status =
            status::status(world.context(identity, &ceiling), claims.as_ref(), plan, previous.as_ref());
        if previous.as_ref() == Some(&status) {
            return Ok(None);
        }
        let news: Vec<_> = status::news(&status, previous.as_ref()).into_iter().cloned().collect();
        // Fewer is told at once: power that has ended must not look as if it went on.
        let more = previous.filter(|old| old.instances < status.instances);
        let counted = more.map(|old| AgentIdentityStatus { instances: status.instances, ..old });
        if counted.as_ref() == Some(&status)
            && let Some(due) = self.counted.lock().await.until(key, world.now)
        {
            return Ok(Some(due));
        }
        self.cluster.write_status(identity, &status).await?;
        self.tell_of_conditions(key, identity, &news).await;
        self.counted.lock().await.written(key.clone(), world.now);
        Ok(None)
    }
}

impl World {
    /// The author of a live identity, and what was not asked about them yet for its present spec.
    fn unauthorized(&self, key: &Key) -> Option<(&Author, Vec<Question>)> {
        let identity = self.identity.as_ref().filter(|i| i.authorized().is_none())?;
        let author = identity.author.as_ref()?;
        let over = self.ceiling(key).ended(identity, self.now).is_some();
        (!over).then(|| (author, grant::unanswered(identity)))
    }

    pub(super) fn ceiling(&self, key: &Key) -> Ceiling<'_> {
        Ceiling::of(&key.namespace, self.policies.iter().map(AsRef::as_ref))
    }

    fn context<'a>(&'a self, identity: &'a Identity, ceiling: &'a Ceiling<'a>) -> Context<'a> {
        Context { identity, owners: &self.owners, ceiling, now: self.now }
    }

    /// The webhook's decision, on the live pod; `None` when pod or identity are not those that
    /// were planned for, and the next pass is to look again.
    pub(super) fn refusals(&self, key: &Key, live: &AgentPod, planned: &PodFacts) -> Option<Vec<Refusal>> {
        let identity = self.identity.as_ref()?;
        let account = live.spec.service_account_name.as_deref().unwrap_or_default();
        if live.metadata.uid.as_ref() != Some(&planned.uid) || account != planned.account {
            return None;
        }
        let ceiling = self.ceiling(key);
        Some(admit::admit(live, self.context(identity, &ceiling)).refusals)
    }
}

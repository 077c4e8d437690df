//! Where agents run on borrowed identities: findings over a listing of a cluster. Pure: no client, no clock.
//!
//! [`listing`] takes objects one by one and keeps of each what the findings need; [`agents`] and [`words`] say which
//! workloads are agents, [`marks`] who answers for them, [`roles`] and [`holders`] what RBAC gives to whom, [`cracks`]
//! puts the eight questions, [`report`] is what is told, in [`phrases`].

mod agents;
mod cracks;
mod holders;
mod listing;
mod marks;
mod phrases;
mod report;
mod roles;
mod words;
mod workload;

pub(crate) use cracks::report;
pub(crate) use listing::Listing;
pub(crate) use report::{Crack, Report, headline, next_steps};
pub(crate) use workload::Ref;

#[cfg(test)]
mod tests;

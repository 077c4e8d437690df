//! What perpro promises to pods that really run, in namespaces with Pod Security `restricted`. Needs a cluster with a
//! node and perpro installed; `e2e/test` starts it.

mod credentials;
mod ending;
pub(crate) mod inside;
mod kinds;
mod namespaces;
mod operators;
mod releases;
mod rollout;
mod workloads;

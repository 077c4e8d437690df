//! What perpro promises at a real API server, without nodes: pods are stored, claimed and
//! released, and never run. Needs a cluster with perpro installed; `e2e/test` starts it.

mod accounts;
pub(crate) mod actors;
mod admission;
mod adopt;
mod authors;
mod charts;
mod check;
mod codes;
mod commands;
mod exceptions;
mod fields;
mod grants;
mod hanging;
mod identities;
mod injectors;
mod later;
mod lifecycle;
mod people;
mod policies;
mod quotas;
mod scan;
mod server;
mod sessions;
mod telemetry;
mod theft;
mod warnings;
mod writes;

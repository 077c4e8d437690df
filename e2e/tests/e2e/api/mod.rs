//! What perpro promises at a real API server, without nodes: pods are stored, claimed and
//! released, and never run. Needs a cluster with perpro installed; `e2e/test` starts it.

mod accounts;
mod actors;
mod admission;
mod authors;
mod charts;
mod codes;
mod commands;
mod grants;
mod identities;
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
mod writes;

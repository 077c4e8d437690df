//! What perpro promises at a real API server, without nodes: pods are stored, claimed and
//! released, and never run. Needs a cluster with perpro installed; `e2e/test` starts it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is its report")]

#[path = "../common/mod.rs"]
mod common;

mod admission;
mod identities;
mod lifecycle;
mod server;

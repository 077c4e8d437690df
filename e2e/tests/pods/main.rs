//! What perpro promises to pods that really run, in namespaces with Pod Security `restricted`. Needs a cluster with a
//! node and perpro installed; `e2e/test` starts it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is its report")]

#[path = "../common/mod.rs"]
mod common;

mod credentials;
mod ending;
mod inside;
mod workloads;

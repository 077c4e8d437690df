//! What perpro promises, at real parts. One program, so that the types of Kubernetes are compiled once: each module
//! is a stage of `e2e/test`, which starts what it needs and picks its tests by `MODULE::`, so no other module may be
//! called the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is its report")]

mod common;
mod helm;

mod api;
mod cluster;
mod crash;
mod removal;
mod rendering;
mod running;

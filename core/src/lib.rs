//! What an AI agent on Kubernetes may do: the decisions of perpro.
//!
//! Plain data and pure functions. Nothing here knows a client, a clock, randomness or async:
//! time, names and the state of the world are arguments. The webhook, the controller and the
//! command line ask the same functions, so they can't disagree.

pub mod api;
pub mod catalogue;
pub mod decide;
pub mod model;
pub mod names;
pub mod review;

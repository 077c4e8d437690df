//! The decisions.
//!
//! [`pod`] reads a pod and `container` each of its containers, [`credentials`], [`literal`] and [`isolation`] say what it holds and where its walls
//! have holes, [`inject`] writes what its identity lists, [`listed`] compares the two, [`admit`] is the whole decision,
//! [`ceiling`] bounds an identity by what [`powers`] can be had, [`exception`] and `injector` let pass what a policy
//! names, [`grant`] and [`widening`] say
//! who may write it, [`rehearse`] says of a pod what will be said of it once it has an account,
//! [`check`] and [`definition`] do so for objects that are not applied yet, [`advice`] for who applies
//! them, [`policy`] for the ceiling itself, [`lifecycle`] plans what happens to its instances, [`uninstall`] ends them all,
//! [`session`] says who may get into one, [`named`] which Secrets other pods name and [`exclusive`] which
//! are an identity's alone, and [`refusal`] holds every way to say no.

pub mod admit;
pub mod advice;
pub mod ceiling;
pub mod check;
mod container;
pub mod credentials;
pub mod definition;
pub mod exception;
pub mod exclusive;
pub mod grant;
pub mod image;
pub mod inject;
mod injector;
pub mod isolation;
pub mod lifecycle;
pub mod listed;
pub mod literal;
pub mod named;
mod path;
pub mod pod;
pub mod policy;
pub mod powers;
pub mod refusal;
pub mod rehearse;
mod rules;
pub mod session;
pub mod status;
mod times;
pub mod uninstall;
mod unknown;
mod unreadable;
pub mod widening;

//! The decisions.
//!
//! [`pod`] reads a pod, [`credentials`] and [`isolation`] say what it holds and where its walls
//! have holes, [`inject`] writes what its identity lists, [`admit`] compares the two,
//! [`ceiling`] bounds an identity by what [`powers`] can be had, [`lifecycle`] plans what happens to its instances, and
//! [`refusal`] holds every way to say no.

pub mod admit;
pub mod ceiling;
pub mod credentials;
pub mod image;
pub mod inject;
pub mod isolation;
pub mod lifecycle;
pub mod pod;
pub mod powers;
pub mod refusal;
pub mod status;

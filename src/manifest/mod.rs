//! Documents, and the pods in them with their lines. Pure: text in, trees out.
//!
//! What a pod may do is not decided here, and nothing here knows our kinds.

mod compose;
#[cfg(test)]
mod corpus;
mod edit;
mod fields;
mod node;
mod object;
mod pods;
mod scalar;
mod text;
mod yaml;

pub(crate) use node::{Data, Field, Lines, Node};
pub(crate) use object::Object;
pub(crate) use pods::templates;
pub(crate) use scalar::is_text;
pub(crate) use text::{Manifest, read};
pub(crate) use yaml::Problem;

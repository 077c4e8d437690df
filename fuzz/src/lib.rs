//! What of perpro reads the bytes of others, and what is asserted of it. The program has no library, so its sources
//! are read here as they are; in the ordinary tests the same checks read the corpus.

#[allow(dead_code, unused_imports, reason = "the program uses all of it")]
#[path = "../../src/manifest/mod.rs"]
mod manifest;
mod runtime;
mod webhook;

#[path = "../checks/manifest.rs"]
mod manifests;
#[path = "../checks/pod.rs"]
mod pods;

pub use manifests::check as manifest;
pub use pods::check as pod;
pub use webhook::check::check as review;

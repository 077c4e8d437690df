#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../src/runtime/lean.rs"]
pub(crate) mod lean;

//! The subcommands of `perpro-e2e`, one thin file each.

pub mod cluster;
pub mod demo;
pub mod test;

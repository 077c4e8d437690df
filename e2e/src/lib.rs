//! The end-to-end harness of perpro: a real Kubernetes cluster from package registries, the demo, and what runs the
//! tests. Never imported by the product.

pub mod cache;
pub mod cli;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod files;
pub mod images;
pub mod install;
pub mod packages;
pub mod programs;
pub mod progress;
pub mod suite;
pub mod wait;

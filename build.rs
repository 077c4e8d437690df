//! What the linker is told of the program.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let lld = |name| env::var(name).is_ok_and(|triple| triple == "x86_64-unknown-linux-gnu");
    // Rust links with its own lld there. Most of the program is the same few functions compiled for
    // each type; a sixth of it goes when those that came out alike are kept once.
    if lld("HOST") && lld("TARGET") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

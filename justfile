# Short names for what is typed often. Nothing needs just: each recipe is one or two plain commands.
# All cargo calls build the whole workspace in release mode and share the folder of e2e/: features
# unify in one way, and nothing is built twice.

export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", env("PERPRO_CACHE", env("HOME") / ".cache/perpro") / "target")
flags := "--release --workspace --locked"
clusters := env("PERPRO_CACHE", env("HOME") / ".cache/perpro") / "clusters"

# List the recipes.
default:
    @just --list --unsorted

# Build everything.
build:
    cargo build {{ flags }}

# Generate crds/ and the copy in the CRD chart from the types.
crds: build
    "$CARGO_TARGET_DIR/$(rustc -vV | sed -n 's/^host: //p')/release/perpro" crds --out-dir crds
    cp crds/*.yaml charts/perpro-crds/files/

# Generate docs/reference/ from the catalogue of codes, the kinds and the names.
docs:
    PERPRO_WRITE_DOCS=1 cargo test {{ flags }} --test reference

# Format.
fmt:
    cargo fmt --all

# Formatting, clippy, shell scripts; warnings fail.
lint:
    cargo fmt --all --check
    cargo clippy {{ flags }} --all-targets -- -D warnings
    git grep -l '^#!/usr/bin/env bash' | xargs shellcheck -x

# Licences, bans, advisories, sources; needs cargo-deny.
deny:
    cargo deny --locked check

# Tests that need no cluster.
unit:
    cargo test {{ flags }}

# Lint, render and check the charts; needs helm in HELM=/path/to/helm, or built by a cluster. PERPRO_WRITE=1 writes
# the tables of values in their READMEs.
charts:
    cargo test {{ flags }} --test e2e -- --ignored rendering::

# Tests on a real API server without nodes, which is started or brought up to date.
api dir=(clusters / "api"):
    e2e/cluster up --nodeless --dir "{{ dir }}"
    e2e/cluster install --nodeless --dir "{{ dir }}"
    PERPRO_E2E_DIR="{{ dir }}" cargo test {{ flags }} --test e2e -- --ignored api::

# Tests of the cluster tool itself.
e2e:
    cargo test {{ flags }} --test e2e -- --ignored cluster::

# Everything.
test:
    ./e2e/test

# One stage of it, such as pods; `./e2e/test --help` names them.
stage name:
    ./e2e/test --only "{{ name }}"

# What perpro costs, beside the least that the same work can cost: `just bench webhook`.
bench *args:
    ./bench/run {{ args }}

# Fuzz what reads the bytes of others, each for some seconds; one of them for longer: `fuzz/run pod --seconds 600`.
fuzz seconds="60":
    fuzz/run review --seconds {{ seconds }}
    fuzz/run pod --seconds {{ seconds }}
    fuzz/run manifest --seconds {{ seconds }}

# A cluster, two agents, and what happens to them.
demo:
    ./e2e/demo

# Start a cluster with a node and install perpro.
cluster-up:
    e2e/cluster up
    e2e/cluster install

# End it.
cluster-down:
    e2e/cluster down

# shellcheck shell=bash
# Sourced by the commands in this folder: builds the harness (crate perpro-e2e), and sets `harness` to its program.
set -euo pipefail

need() {
  if ! command -v "$1" >/dev/null; then
    echo "$0: $1 is missing: $2" >&2
    exit 1
  fi
}
need cargo 'install Rust with rustup; the toolchain is pinned in rust-toolchain.toml'
need go 'the programs of the cluster are built with it; install Go 1.26 or newer'

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${PERPRO_CACHE:-${HOME:?set HOME or PERPRO_CACHE}/.cache/perpro}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}

quiet=(--quiet)
if [ -t 2 ]; then
  quiet=()
fi

triple=$(rustc -vV | sed -n 's/^host: //p')
# cargo names what it builds by the path within the checkout, so two checkouts that share a folder would take each
# other's programs for fresh.
if [ "$(cat "$CARGO_TARGET_DIR/checkout" 2>/dev/null || true)" != "$root" ]; then
  cargo clean --manifest-path "$root/Cargo.toml" --release --quiet --target "$triple" -p perpro -p perpro-core -p perpro-e2e >&2
  mkdir -p "$CARGO_TARGET_DIR"
  echo "$root" >"$CARGO_TARGET_DIR/checkout"
fi
# The whole workspace, always: so features unify in one way and nothing is built twice.
cargo build --manifest-path "$root/Cargo.toml" --release --workspace "${quiet[@]}" >&2
# shellcheck disable=SC2034 # for who sources this
harness=$CARGO_TARGET_DIR/$triple/release/perpro-e2e

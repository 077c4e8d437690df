# shellcheck shell=bash
# Sourced by the commands in this folder and by bench/run: builds the workspace, and sets `harness` to the program of crate perpro-e2e.
set -euo pipefail

# What a command does stands at its head, so nothing is built for who asks.
case " $* " in
*' --help '* | *' -h '* | ' help ')
  trap - EXIT
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
  exit
  ;;
esac

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
  cargo clean --manifest-path "$root/Cargo.toml" --release --quiet --target "$triple" -p perpro -p perpro-core -p perpro-serve -p perpro-e2e -p perpro-bench >&2
  mkdir -p "$CARGO_TARGET_DIR"
  echo "$root" >"$CARGO_TARGET_DIR/checkout"
fi
if [ ! -t 2 ]; then
  echo 'build perpro and its harness; the first time this takes minutes' >&2
fi
# The whole workspace, always: so features unify in one way and nothing is built twice.
cargo build --manifest-path "$root/Cargo.toml" --release --workspace "${quiet[@]}" >&2
programs=$CARGO_TARGET_DIR/$triple/release
# shellcheck disable=SC2034 # for who sources this
harness=$programs/perpro-e2e

#!/usr/bin/env bash
# Prints the directory of a cargo that is new enough for Cargo.toml, to be put
# first in PATH. Where there is none but rustup, or a package of it, rustup gets
# the toolchain; if that cannot be had either, says how to get one.
set -euo pipefail

top=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
need=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$top/Cargo.toml")
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

say() { printf 'rust: %s\n' "$*" >&2; }

# From the top, where a rust-toolchain file would count.
cd "$top"
new_enough() {
  local have
  have=$("$1" --version 2>/dev/null | awk '{print $2}') || return 1
  [[ -n $have && $(printf '%s\n' "$need" "$have" | sort -V | head -n 1) = "$need" ]]
}

if new_enough cargo; then
  dirname -- "$(command -v cargo)"
  exit
fi

if ! command -v rustup >/dev/null && apt-cache show rustup >/dev/null 2>&1; then
  say "installing with apt-get: rustup"
  sudo=sudo
  [[ $(id -u) != 0 ]] || sudo=
  $sudo apt-get install -y -qq --no-install-recommends rustup >&2 </dev/null || :
fi
if command -v rustup >/dev/null; then
  say "installing Rust's stable toolchain with rustup (cargo $need or newer is required)"
  if rustup toolchain install stable --profile minimal --component clippy --component rustfmt >&2; then
    cargo=$(rustup which --toolchain stable cargo)
    if new_enough "$cargo"; then
      dirname -- "$cargo"
      exit
    fi
  fi
fi

cat >&2 <<TEXT
rust: cargo $need or newer is needed; here is: $(cargo --version 2>/dev/null || echo none).
rust: This distribution has no package of it. Get it from Rust's own site, as any user:
rust:
rust:     curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
rust:
rust: and run this again.
TEXT
exit 1

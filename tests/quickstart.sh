#!/bin/sh
# Syncs examples/nginx to a local API server that it starts: plan, progress and result, then a second
# sync that changes nothing. Everything it starts ends with it.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" != --inside ]; then
    echo "quickstart: building the plugin and the launcher of the local API server" >&2
    cargo build --locked -p kubectl-overlay -p control-plane
    # The servers are Go programs; the first build takes some minutes and is kept in the user's cache.
    tests/control-plane/build.sh etcd kubernetes kwok >/dev/null
    exec target/debug/control-plane -- "$0" --inside
fi

PATH="$PWD/target/debug:$PATH"
# As `kubectl overlay …`, which finds the plugin on PATH by its name.
run() {
    printf '\n$ kubectl overlay'
    printf ' %s' "$@"
    printf '\n'
    kubectl-overlay "$@"
}
cd examples/nginx
run sync production --yes
run status production
run sync production --yes

#!/bin/sh
# Syncs examples/nginx to a Kubernetes API in memory: plan, progress and result, then a second sync that
# changes nothing. It needs a Rust toolchain and nothing else; what it starts ends with it.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" != --inside ]; then
    echo "quickstart: building the plugin" >&2
    # Without the features that only some secrets need and in a profile of its own: a quarter of the time less.
    cargo build --locked -p kubectl-overlay --no-default-features --profile quickstart
    exec target/quickstart/kubectl-overlay rehearse -- "$0" --inside
fi

PATH="$PWD/target/quickstart:$PATH"
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

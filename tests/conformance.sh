#!/bin/sh
# Scores `kubectl overlay build` against the recorded output of kustomize, where the recordings stand.
# What tests/differences.txt lists may differ; everything else may not.
set -eu
data=$1
if [ ! -f "$data/run.py" ]; then
    echo "SKIPPED: no recorded kustomize output in $data" >&2
    exit 0
fi
cargo build --quiet --locked -p kubectl-overlay
intended=$(grep -v '^#' tests/differences.txt)
score() {
    echo "conformance: $1"
    if out=$(python3 "$data/run.py" --command "target/debug/kubectl-overlay build" --cases "$data/kustomize/$1" --show 2 --list); then
        echo "$out" | tail -n 1
        return
    fi
    failed=$(echo "$out" | sed -n 's/^failed: \([^:]*\):.*/\1/p')
    unexpected=$(echo "$failed" | grep -vxF "$intended" || true)
    if [ -n "$unexpected" ]; then
        echo "$out"
        exit 1
    fi
    # Not in the form of a test's closing line: what differs here is meant to.
    echo "$out" | tail -n 1 | sed 's/ passed, \(.*\) failed/ as recorded, \1 meant to differ/'
}
score cases
score quirks

#!/bin/sh
# Scores `kubectl overlay build` against the recorded output of kustomize, where the recordings stand.
set -eu
data=$1
if [ ! -f "$data/run.py" ]; then
    echo "SKIPPED: no recorded kustomize output in $data" >&2
    exit 0
fi
cargo build --quiet --locked -p kubectl-overlay
score() {
    python3 "$data/run.py" --command "target/debug/kubectl-overlay build" --show 2 "$@"
}
score
score --cases "$data/kustomize/quirks"

#!/bin/sh
# Scores `kubectl overlay build` against the recorded output of kustomize, where the recordings stand.
set -eu
data=$1
if [ ! -f "$data/run.py" ]; then
    echo "SKIPPED: no recorded kustomize output in $data" >&2
    exit 0
fi
cargo build --quiet --release --locked -p kubectl-overlay
python3 "$data/run.py" --command "target/release/kubectl-overlay build" --show 2
python3 "$data/run.py" --command "target/release/kubectl-overlay build" --cases "$data/kustomize/quirks" --show 2

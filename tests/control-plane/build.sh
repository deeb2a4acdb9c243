#!/usr/bin/env bash
# Builds the servers that the tests run against, once, into a cache outside the checkout.
#
#   build.sh [NAME…]      names of folders in modules/ (default: all of them)
#
# The cache is $CONTROL_PLANE_CACHE or ~/.cache/overlay-control-plane, about 530 MB for each set of versions;
# sets that nobody has asked for in two weeks are removed. Go keeps its own caches beside it.
#
# Prints the folder with the results on standard output: bin/ holds the programs, crds/ the
# CustomResourceDefinitions of Flux and stages/ what kwok lets happen to nodes and Pods, as their modules
# carry them. Progress goes to standard error.
# Everything comes from the Go module proxy; versions and checksums are those of modules/*/go.{mod,sum}.
# The folder is named by a hash of these, so that a changed version gets a folder of its own, and what
# is there already is not built again. Two calls at the same time do not disturb each other.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
modules=("$@")
if [ ${#modules[@]} -eq 0 ]; then
    modules=(etcd kubernetes kwok kustomize-controller source-controller)
fi

note() { printf 'control-plane: %s\n' "$*" >&2; }

command -v go >/dev/null || { note "no Go toolchain in PATH; see https://go.dev/dl"; exit 2; }

# A workspace file or flags of the caller must not change what is built.
export CGO_ENABLED=0 GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false"

digest=$(cd "$here" && { cat build.sh; find modules -type f | LC_ALL=C sort | xargs sha256sum; go env GOOS GOARCH; } | sha256sum | cut -c1-16)
root="${CONTROL_PLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlay-control-plane}"
out="$root/$digest"
mkdir -p "$out/bin" "$out/crds" "$out/stages"

# The version that a module of ours requires of another.
version() { awk -v m="$2" '$1 == m { print $2; exit } $1 == "require" && $2 == m { print $3; exit }' "$here/modules/$1/go.mod"; }

# What a module consists of: the packages to build, and the linker's flags after them.
plan() {
    case $1 in
    etcd) packages=(etcd=.) ;;
    kubernetes)
        local v x prefix; v=$(version kubernetes k8s.io/kubernetes)
        packages=()
        for x in kube-apiserver kube-controller-manager kube-scheduler; do
            packages+=("$x=k8s.io/kubernetes/cmd/$x")
        done
        # Without these the server calls itself v0.0.0-master and clients do not know what it can do.
        for prefix in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
            flags+=" -X $prefix.gitVersion=$v -X $prefix.gitMajor=1 -X $prefix.gitMinor=$(cut -d. -f2 <<<"$v")"
        done
        ;;
    kwok) packages=(kwok=sigs.k8s.io/kwok/cmd/kwok) ;;
    kustomize-controller | source-controller) packages=("$1=github.com/fluxcd/$1") ;;
    *) note "no module is called \"$1\""; exit 2 ;;
    esac
}

# Shortens the thousands of lines in which Go says what it downloads and compiles; what is left are errors.
progress() {
    awk -v name="$1" '
        function say() { printf "control-plane: %s: %d modules downloaded, %d packages compiled\n", name, modules, packages; fflush() }
        /^go: downloading / { if (++modules % 50 == 0) say(); next }
        /^[^ :]+$/ { if (++packages % 200 == 0) say(); next }
        { print; fflush() }' >&2
}

# A program appears under its name only when it is complete.
build() {
    local module=$1 flags="-s -w" packages pair name began
    plan "$module"
    for pair in "${packages[@]}"; do
        name=${pair%%=*}
        [ -x "$out/bin/$name" ] && continue
        began=$SECONDS
        note "building $name (some minutes the first time)"
        (cd "$here/modules/$module" && go build -v -trimpath -ldflags "$flags" -o "$out/bin/.$name.new" "${pair#*=}" 2>&1) | progress "$name"
        mv "$out/bin/.$name.new" "$out/bin/$name"
        note "built $name in $((SECONDS - began)) s, $(du -m "$out/bin/$name" | cut -f1) MB"
    done
    case $module in
    kwok) copy stages sigs.k8s.io/kwok 'kustomize/stage/*/fast/[np]o*-*.yaml' 'kustomize/stage/node/heartbeat-with-lease/node-*.yaml' ;;
    *-controller) copy crds "github.com/fluxcd/$module" 'config/crd/bases/*.yaml' ;;
    esac
}

# Copies files of a module that is being built, by patterns, to a folder of the results.
copy() {
    local to=$1 from=$2 dir pattern file
    [ -e "$out/$to/.$module" ] && return
    dir=$(cd "$here/modules/$module" && go list -m -f '{{.Dir}}' "$from")
    shift 2
    for pattern in "$@"; do
        for file in "$dir"/$pattern; do
            install -m 0644 "$file" "$out/$to/"
        done
    done
    touch "$out/$to/.$module"
}

exec 9>"$root/$digest.lock"
flock -n 9 || { note "waiting for another build"; flock 9; }
for module in "${modules[@]}"; do
    build "$module"
done

touch "$out/.used"
find "$root" -mindepth 2 -maxdepth 2 -name .used -mtime +14 -print | while read -r unused; do
    rm -rf "${unused%/.used}" "${unused%/.used}.lock"
done
printf '%s\n' "$out"

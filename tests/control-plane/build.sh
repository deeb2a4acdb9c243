#!/usr/bin/env bash
# Builds the servers and programs that the tests run against, once, into a cache outside the checkout.
#
#   build.sh [NAME…]      names of folders in modules/ (default: all of them)
#
# The cache is $CONTROL_PLANE_CACHE or ~/.cache/overlay-control-plane, about 630 MB for each set of versions;
# what nobody has asked for in two weeks is removed. Go keeps its own caches beside it.
#
# Prints the folder of each module on standard output: bin/ holds the programs, crds/ the
# CustomResourceDefinitions of Flux and stages/ what kwok lets happen to nodes and Pods, as their modules
# carry them. Progress goes to standard error.
# Everything comes from the Go module proxy; versions and checksums are those of modules/*/go.{mod,sum}.
# A folder is named by a hash of these and of how it is built, so that a changed version gets a folder of its own,
# the other modules keep theirs, and what is there already is not built again. Two calls at the same time do not
# disturb each other.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
modules=("$@")
if [ ${#modules[@]} -eq 0 ]; then
    modules=(etcd kubernetes kwok kustomize-controller source-controller flux)
fi

note() { printf 'control-plane: %s\n' "$*" >&2; }

command -v go >/dev/null || { note "no Go toolchain in PATH; see https://go.dev/dl"; exit 2; }

# A workspace file or flags of the caller must not change what is built.
export CGO_ENABLED=0 GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false"

root="${CONTROL_PLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/overlay-control-plane}"

# The version that a module of ours requires of another.
version() { awk -v m="$2" '$1 == m { print $2; exit } $1 == "require" && $2 == m { print $3; exit }' "$here/modules/$1/go.mod"; }

# What a module consists of: the packages to build in which folder, and the linker's flags after them.
plan() {
    folder="$here/modules/$1" flags="-s -w"
    case $1 in
    etcd) packages=(etcd=.) ;;
    flux)
        local v; v=$(version flux github.com/fluxcd/flux2/v2)
        packages=(flux=./cmd/flux)
        flags+=" -X main.VERSION=${v#v}"
        ;;
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
    local module=$1 pair name began
    for pair in "${packages[@]}"; do
        name=${pair%%=*}
        [ -x "$out/bin/$name" ] && continue
        [ "$module" = flux ] && embedding
        began=$SECONDS
        note "building $name (some minutes the first time)"
        (cd "$folder" && go build -v -trimpath -ldflags "$flags" -o "$out/bin/.$name.new" "${pair#*=}" 2>&1) | progress "$name"
        mv "$out/bin/.$name.new" "$out/bin/$name"
        note "built $name in $((SECONDS - began)) s, $(du -m "$out/bin/$name" | cut -f1) MB"
    done
    case $module in
    flux) rm -rf "$out/source" ;;
    kwok) copy stages sigs.k8s.io/kwok 'kustomize/stage/*/fast/[np]o*-*.yaml' 'kustomize/stage/node/heartbeat-with-lease/node-*.yaml' ;;
    *-controller) copy crds "github.com/fluxcd/$module" 'config/crd/bases/*.yaml' ;;
    esac
}

# Where a module of Go is, which is downloaded if need be.
source_of() { (cd "$here/modules/$module" && go mod download "$1" && go list -m -f '{{.Dir}}' "$1"); }

# The flux program embeds manifests for its installation that are made for a release and are not in its module.
# Nothing here installs Flux with it, so an empty one stands in; the versions are those of its own go.{mod,sum}.
embedding() {
    rm -rf "$out/source"
    cp -r "$(source_of github.com/fluxcd/flux2/v2)" "$out/source"
    chmod -R u+w "$out/source"
    mkdir "$out/source/cmd/flux/manifests"
    echo >"$out/source/cmd/flux/manifests/none.yaml"
    folder="$out/source"
}

# Copies files of a module that is being built, by patterns, to a folder of the results.
copy() {
    local to=$1 from=$2 dir pattern file
    [ -e "$out/$to/.$module" ] && return
    dir=$(source_of "$from")
    shift 2
    mkdir -p "$out/$to"
    for pattern in "$@"; do
        for file in "$dir"/$pattern; do
            install -m 0644 "$file" "$out/$to/"
        done
    done
    touch "$out/$to/.$module"
}

# What a module is built from, and how.
inputs() {
    (cd "$here/modules/$1" && find . -type f | LC_ALL=C sort | xargs sha256sum)
    declare -f plan build embedding copy source_of
    go env GOOS GOARCH
}

# Builds a module into a folder of its own, and prints that.
bring() {
    local module=$1 digest out packages flags folder
    plan "$module"
    digest=$(inputs "$module" | sha256sum | cut -c1-16)
    out="$root/$module-$digest"
    mkdir -p "$out/bin"
    exec 9>"$out.lock"
    flock -n 9 || { note "waiting for another build of $module"; flock 9; }
    build "$module"
    touch "$out/.used"
    exec 9>&-
    printf '%s\n' "$out"
}

for module in "${modules[@]}"; do
    bring "$module"
done

find "$root" -mindepth 2 -maxdepth 2 -name .used -mtime +14 -print | while read -r unused; do
    rm -rf "${unused%/.used}" "${unused%/.used}.lock"
done

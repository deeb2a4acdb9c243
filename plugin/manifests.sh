#!/bin/sh
# Writes the manifests of a release: for krew (kubectl) and for Flux's plugin catalogue.
#
#   plugin/manifests.sh VERSION CHECKSUMS FOLDER
#
# VERSION has no v in front. CHECKSUMS holds a line `SHA256  kubectl-overlay_VERSION_OS_ARCH.tar.gz` for
# each platform (zip for Windows); an archive holds the program and LICENSE.
# Writes FOLDER/krew/overlay.yaml and FOLDER/flux/overlay.yaml.
set -eu

if [ $# -ne 3 ]; then
    echo "usage: $0 VERSION CHECKSUMS FOLDER" >&2
    exit 2
fi
version=$1 checksums=$2 folder=$3
home=https://github.com/kubectl-overlay/kubectl-overlay
platforms="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64"

archive() { # OS ARCH
    case $1 in windows) end=zip ;; *) end=tar.gz ;; esac
    echo "kubectl-overlay_${version}_$1_$2.$end"
}

checksum() { # ARCHIVE
    sum=$(sed -n "s/^\([0-9a-f]\{64\}\)  $1\$/\1/p" "$checksums")
    if [ -z "$sum" ]; then
        echo "error: $checksums has no line for $1" >&2
        exit 1
    fi
    echo "$sum"
}

program() { # OS
    case $1 in windows) echo kubectl-overlay.exe ;; *) echo kubectl-overlay ;; esac
}

krew() {
    cat <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: overlay
spec:
  version: v$version
  homepage: $home
  shortDescription: Render, review and sync Kustomize overlays
  description: |
    Renders Kustomize overlays as kustomize does, shows what would change in the
    cluster and who owns it, applies it by server-side apply, prunes what the
    overlay no longer has, and waits until everything is healthy.
  caveats: |
    To complete overlays' names, save the output of
      kubectl overlay completion kubectl
    as an executable file kubectl_complete-overlay in a folder of PATH.
  platforms:
EOF
    for platform in $platforms; do
        os=${platform%/*} arch=${platform#*/}
        name=$(archive "$os" "$arch")
        sum=$(checksum "$name")
        cat <<EOF
  - selector:
      matchLabels:
        os: $os
        arch: $arch
    uri: $home/releases/download/v$version/$name
    sha256: "$sum"
    bin: $(program "$os")
EOF
    done
}

flux() {
    cat <<EOF
apiVersion: cli.fluxcd.io/v1beta1
kind: Plugin
name: overlay
description: Render, review and sync Kustomize overlays
homepage: $home
source: $home
bin: flux-overlay
versions:
- version: "$version"
  platforms:
EOF
    for platform in $platforms; do
        os=${platform%/*} arch=${platform#*/}
        name=$(archive "$os" "$arch")
        sum=$(checksum "$name")
        cat <<EOF
  - os: $os
    arch: $arch
    url: $home/releases/download/v$version/$name
    checksum: sha256:$sum
    extractPath: $(program "$os")
EOF
    done
}

mkdir -p "$folder/krew" "$folder/flux"
krew >"$folder/krew/overlay.yaml"
flux >"$folder/flux/overlay.yaml"

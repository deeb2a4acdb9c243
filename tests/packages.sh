#!/bin/sh
# Brings the programs of the system that tests start, with their packages of Debian: sshd, which tests/git.rs
# starts for itself on loopback, and gpg, which Flux's kustomize-controller runs.
# That takes root; anybody else is told what to install. The system's own sshd is not started.
set -eu
PATH="$PATH:/usr/sbin:/usr/local/sbin"
missing=
command -v sshd >/dev/null || missing="$missing openssh-server"
command -v gpg >/dev/null || missing="$missing gnupg"
if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "SKIPPED: these packages are missing, and only root can install them here:$missing" >&2
    exit 0
fi
# What Debian asks before a package starts its service: 101 is no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
echo "packages: installing$missing" >&2
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
install() {
    # shellcheck disable=SC2086 # names of packages, each a word
    apt-get install --quiet --quiet --yes --no-install-recommends $missing >&2
}
# The lists of packages may be missing or old.
install || { apt-get update --quiet --quiet >&2 && install; }

#!/bin/sh
# Brings the server of OpenSSH, which tests/git.rs starts for itself on loopback, with its package of Debian.
# That takes root; anybody else is told what to install. The system's own server is not started.
set -eu
for program in /usr/sbin/sshd /usr/local/sbin/sshd /usr/bin/sshd; do
    if [ -x "$program" ]; then
        exit 0
    fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "SKIPPED: no sshd, and only root can install it here; the package is called openssh-server" >&2
    exit 0
fi
# What Debian asks before a package starts its service: 101 is no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
echo "sshd: installing openssh-server" >&2
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
install() {
    apt-get install --quiet --quiet --yes --no-install-recommends openssh-server >&2
}
# The lists of packages may be missing or old.
install || { apt-get update --quiet --quiet >&2 && install; }

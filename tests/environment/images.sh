#!/usr/bin/env bash
# Base images for tests of the Dockerfile, made of Debian's packages: no registry is needed.
#
#   images.sh install       debootstrap and musl-gcc, where they are missing (as root)
#   images.sh base IMAGE    Debian with Python and venv as IMAGE, where the engine does not have it
#
# Both may be repeated; a second time costs nothing.
set -euo pipefail

suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

say() { echo "images.sh: $*" >&2; }

install_tools() {
    command -v debootstrap >/dev/null && command -v musl-gcc >/dev/null && return
    if [[ $(id -u) != 0 ]]; then
        say "debootstrap or musl-gcc is not installed, and installing them needs root"
        exit 1
    fi
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap musl-tools >&2
}

base() {
    docker image inspect "$1" >/dev/null 2>&1 && return
    install_tools
    root=$(mktemp -d)
    trap 'rm -rf --one-file-system "$root"' EXIT
    say "making $1 with debootstrap"
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$root" "$mirror" >&2
    # What this machine trusts, so that builds get to a package index wherever the machine does.
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    tar -C "$root" --create --exclude=./var/cache/apt/archives --exclude=./usr/share/man --exclude=./usr/share/locale . |
        docker import --change 'CMD ["bash"]' --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' - "$1" >&2
}

case ${1:-} in
install) install_tools ;;
base) base "${2:?base needs the name of an image}" ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# Builds a connector's image and tags it ghcr.io/estuary/CONNECTOR:local, which flowctl never pulls.
#
#   ./build-local.sh CONNECTOR [DOCKERFILE] [-- DOCKER BUILD ARGUMENT…]
#   ./build-local.sh binary         only the static program, at dist/flow-shim
#
# Without DOCKERFILE it is that of shims/CONNECTOR, and the common one where that folder has none.
# What follows `--` goes to `docker build`: `-- --target drop-in --build-arg CONNECTOR_IMAGE=airbyte/source-x:1.2`.
# The build context is this folder in every case.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=${FLOW_SHIM_TARGET:-x86_64-unknown-linux-musl}
profile=${FLOW_SHIM_PROFILE:-release}

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2; }

# The static program. musl, because its programs run in every image, also where glibc is another
# one or missing.
program() {
    if [[ -n ${FLOW_SHIM_PROGRAM:-} ]]; then
        [[ $FLOW_SHIM_PROGRAM -ef dist/flow-shim ]] || install -D -m 0755 "$FLOW_SHIM_PROGRAM" dist/flow-shim
        return
    fi
    if [[ ! -f Cargo.toml ]]; then
        # A repository of shims alone.
        if [[ -x dist/flow-shim ]]; then return; fi
        echo "build-local.sh: there is no source of flow-shim here to build it from; name a published image with" >&2
        echo "  FLOW_SHIM_IMAGE=ghcr.io/estuary/flow-shim:vVERSION, or a static program with FLOW_SHIM_PROGRAM=FILE" >&2
        exit 2
    fi
    rustup target add "$target" >&2
    # C code of crates is compiled for musl by its own wrapper of gcc, where that is installed; it knows
    # this machine's processor alone.
    if command -v musl-gcc >/dev/null; then export "CC_$(uname -m)_unknown_linux_musl=musl-gcc"; fi
    cargo build --profile "$profile" --target "$target" >&2
    install -D -m 0755 "${CARGO_TARGET_DIR:-target}/$target/$profile/flow-shim" dist/flow-shim
    if command -v strip >/dev/null; then strip dist/flow-shim; fi
}

[[ $# -ge 1 && $1 != -* ]] || usage
connector=$1
shift
if [[ $connector == binary ]]; then
    program
    exit
fi
[[ -d shims/$connector ]] || { echo "build-local.sh: there is no shims/$connector" >&2; exit 2; }

dockerfile=Dockerfile
if [[ -f shims/$connector/Dockerfile ]]; then dockerfile=shims/$connector/Dockerfile; fi
if [[ $# -ge 1 && $1 != -- ]]; then
    dockerfile=$1
    shift
fi
if [[ ${1:-} == -- ]]; then shift; elif [[ $# -gt 0 ]]; then usage; fi

# A published image instead of a build, where one is named: FLOW_SHIM_IMAGE=ghcr.io/estuary/flow-shim:v1.
arguments=()
if [[ -n ${FLOW_SHIM_IMAGE:-} ]]; then
    arguments+=(--build-arg "FLOW_SHIM=$FLOW_SHIM_IMAGE")
    mkdir -p dist && touch -a dist/flow-shim
else
    program
fi
docker build --file "$dockerfile" --tag "ghcr.io/estuary/$connector:local" \
    --build-arg "CONNECTOR=$connector" "${arguments[@]}" "$@" . || {
    code=$?
    echo "build-local.sh: where no registry has the base image, name another one: -- --build-arg PYTHON_IMAGE=IMAGE" >&2
    echo "  (tests/environment/images.sh base IMAGE makes one of Debian's packages)" >&2
    exit "$code"
}

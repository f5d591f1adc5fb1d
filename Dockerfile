# Images of connectors. `./build-local.sh CONNECTOR` calls it; docs/images.md explains it.
#
#   binary     the program alone, in an empty image: COPY --from it into any image
#   drop-in    a connector's own image, with flow-shim as its entry point
#   connector  a Python connector, from shims/CONNECTOR (what is built where no target is named)
#
# Every base image is an argument, and no feature of BuildKit is needed. The program is not compiled
# here: `./build-local.sh binary` puts it at dist/flow-shim.

# Where the program comes from: the stage below, or a published image that has /flow-shim.
ARG FLOW_SHIM=binary
# What `drop-in` puts the program into. It needs no shell, no libc and no Python.
ARG CONNECTOR_IMAGE=scratch
# What Python connectors run on: Python 3.10 or newer, with venv.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM scratch AS binary
COPY dist/flow-shim /flow-shim
ENTRYPOINT ["/flow-shim"]

FROM ${FLOW_SHIM} AS flow-shim

# The image's own working directory, user and variables stay. What runs is `command` of
# shims/CONNECTOR/shim.yaml, else the image's AIRBYTE_ENTRYPOINT.
FROM ${CONNECTOR_IMAGE} AS drop-in
ARG CONNECTOR
ARG USAGE_RATE=1.0
ARG DOCS_URL=
COPY --from=flow-shim /flow-shim /flow-shim
COPY shims/${CONNECTOR} /shim
ENV FLOW_SHIM_DIR=/shim FLOW_RUNTIME_CODEC=json DOCS_URL=${DOCS_URL}
LABEL FLOW_RUNTIME_PROTOCOL=capture FLOW_RUNTIME_CODEC=json CONNECTOR_PROTOCOL=flow-capture \
    dev.estuary.usage-rate=${USAGE_RATE} org.opencontainers.image.documentation=${DOCS_URL}
ENTRYPOINT ["/flow-shim", "run"]

# What is installed depends on the requirements alone, so that connectors with the same ones, such as all
# that are manifests, share the layers of it. Requirements may also be files of the folder.
FROM ${PYTHON_IMAGE} AS requirements
ARG CONNECTOR
COPY shims/${CONNECTOR} /from
RUN mkdir /shim && if grep -qsE '^(-e|-r|-c|\.|/)|@ *file:|\.(whl|tar\.gz)' /from/requirements.txt; then cp -R /from/. /shim; \
    elif test -f /from/requirements.txt; then cp /from/requirements.txt /shim; fi

# Compilers and caches stay in this stage.
FROM ${PYTHON_IMAGE} AS installed
# Debian packages that the requirements are built with, such as "gcc python3-dev libpq-dev".
ARG BUILD_PACKAGES=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN test -z "${BUILD_PACKAGES}" || { apt-get update -q && apt-get install -q -y --no-install-recommends ${BUILD_PACKAGES}; }
COPY --from=requirements /shim /shim
WORKDIR /shim
# What `flow-shim install` does; by hand, so that another version of the program installs nothing anew.
RUN test ! -f requirements.txt || { python3 -m venv .venv && .venv/bin/python -m pip install "setuptools<82" && .venv/bin/python -m pip install -r requirements.txt; }

# The shim's own files, as they lie beside what is installed.
FROM installed AS baked
ARG CONNECTOR
COPY shims/${CONNECTOR} /shim
COPY --from=flow-shim /flow-shim /usr/local/bin/flow-shim
# Spec is answered from what this keeps, in milliseconds.
RUN flow-shim bake /shim && mkdir /own && cp -R /shim/. /own && rm -rf /own/.venv

# What is large comes last: without BuildKit every instruction looks at all that is there.
FROM ${PYTHON_IMAGE} AS connector
ARG USAGE_RATE=1.0
ARG DOCS_URL=
# Debian packages that the connector needs while it runs, such as "libpq5".
ARG RUN_PACKAGES=
RUN test -z "${RUN_PACKAGES}" || { apt-get update -q && apt-get install -q -y --no-install-recommends ${RUN_PACKAGES} && rm -rf /var/lib/apt/lists/*; }
ENV FLOW_SHIM_DIR=/shim FLOW_RUNTIME_CODEC=json DOCS_URL=${DOCS_URL} HOME=/tmp PYTHONDONTWRITEBYTECODE=1
LABEL FLOW_RUNTIME_PROTOCOL=capture FLOW_RUNTIME_CODEC=json \
    dev.estuary.usage-rate=${USAGE_RATE} org.opencontainers.image.documentation=${DOCS_URL}
# Writable also where the root file system is not; connectors want a place for temporary files.
VOLUME ["/tmp"]
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/flow-shim", "run"]
COPY --from=flow-shim /flow-shim /usr/local/bin/flow-shim
# At the same place as above: a virtual environment holds absolute paths.
COPY --from=installed /shim /shim
COPY --from=baked /own /shim

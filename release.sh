#!/usr/bin/env bash
# Makes a release in dist/: the static program, completions, manual pages, an SBOM, and checksums of
# them all. Run it on a clean commit whose version CHANGELOG.md names; `./release.sh --draft` makes the
# same of whatever is here.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

version=$(cargo metadata --no-deps --format-version 1 | sed -E 's/.*"version":"([^"]+)".*/\1/')
if [ "${1:-}" != --draft ]; then
    [ -z "$(git status --porcelain)" ] || { echo "there are changes that are not committed" >&2; exit 1; }
    grep -q "^## $version\b" CHANGELOG.md || { echo "CHANGELOG.md has no heading \"## $version\"" >&2; exit 1; }
fi

# Files are as old as the commit, so that the same commit makes the same release.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

machine=$(uname -m)
target=$machine-unknown-linux-musl
if ! rustc --print target-libdir --target "$target" | xargs test -d || ! command -v musl-gcc >/dev/null; then
    echo "musl is missing: rustup target add $target, and musl-gcc (Debian: musl-tools)" >&2
    [ "${1:-}" = --draft ] || exit 1
    target=$machine-unknown-linux-gnu
    export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
fi
# C code of crates is compiled for musl by its own wrapper of gcc.
export "CC_${machine}_unknown_linux_musl=musl-gcc"
build=${CARGO_TARGET_DIR:-target}
name=flow-shim-$version-$target
rm -rf "dist/$name" "dist/$name".*
mkdir -p "dist/$name"

say "the program, for $target"
cargo build --locked --release --target "$target" --bin flow-shim
cp "$build/$target/release/flow-shim" "dist/$name/flow-shim"
strip "dist/$name/flow-shim"
if readelf -d "dist/$name/flow-shim" | grep -q NEEDED; then echo "the program is not static" >&2; exit 1; fi
"dist/$name/flow-shim" --version

say "completions and manual pages"
mkdir "dist/$name/completions"
for shell in bash zsh fish; do
    "dist/$name/flow-shim" completions $shell >"dist/$name/completions/flow-shim.$shell"
done
cargo run --locked --quiet --example man -- "dist/$name/man"
cp README.md CHANGELOG.md LICENSE-* shim.schema.json "dist/$name/"

say "the SBOM"
if ! command -v cargo-cyclonedx >/dev/null; then
    cargo install --locked --version 0.5.9 --root "$build/tools" cargo-cyclonedx
    PATH=$(realpath "$build/tools/bin"):$PATH
fi
# It writes beside Cargo.toml.
cargo cyclonedx --format json --spec-version 1.5 --describe binaries --no-build-deps --target "$target"
mv flow-shim_bin*.cdx.json "dist/$name.cdx.json"
rm -f ./*.cdx.json

say "checksums"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C dist -c "$name" |
    gzip -n >"dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" "$name.cdx.json" "$name/flow-shim" >SHA256SUMS && sha256sum --check SHA256SUMS)
ls -l dist "dist/$name/flow-shim"

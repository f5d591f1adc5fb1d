#!/usr/bin/env bash
# Runs fuzz targets, each for so many seconds, seeded from what connectors printed and what the gallery has.
#
#   fuzz/run.sh SECONDS [TARGET…]
#
# Needs cargo-fuzz. The sanitizer is for nightly compilers only; RUSTC_BOOTSTRAP makes the stable one take it.
# FUZZ_TARGET_DIR and FUZZ_CORPUS say where programs and findings are kept.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?how many seconds each target runs}
shift
programs=${FUZZ_TARGET_DIR:-$PWD/fuzz/target}
corpora=${FUZZ_CORPUS:-$programs/corpus}
[ $# -gt 0 ] || set -- $(basename -s .rs fuzz/fuzz_targets/*.rs)

# Puts files into a target's corpus; names by content, so that a second run adds nothing.
seed() {
    local corpus=$1 file
    shift
    for file; do
        cp "$file" "$corpus/seed-$(sha256sum <"$file" | cut -c 1-16)"
    done
}

# The same of pieces of files: two lines each, so that one is read with the memory of another.
seed_lines() {
    local corpus=$1 pieces
    shift
    pieces=$(mktemp -d)
    cat "$@" | head -n 4000 | cut -c 1-4000 | (cd "$pieces" && split -l 2 -a 4)
    find "$pieces" -type f | while read -r file; do seed "$corpus" "$file"; done
    rm -r "$pieces"
}

seeds() {
    local corpus=$2
    case $1 in
        airbyte_line) seed_lines "$corpus" $(find fixtures/airbyte -name '*.jsonl') ;;
        singer_line) seed_lines "$corpus" $(find fixtures/singer -name '*.jsonl') ;;
        json_text) seed_lines "$corpus" $(find fixtures -name '*.jsonl') ;;
        shim_yaml) seed "$corpus" shims/*/shim.yaml ;;
        flow_yaml) seed "$corpus" test.flow.yaml shims/*/test.flow.yaml ;;
        capture_state | upstream_state) seed "$corpus" fixtures/states/*.json ;;
        flow_requests) echo '{"spec":{"connectorType":"IMAGE","config":{}}}' >"$corpus/seed-spec" ;;
        channel_frames) ;;
    esac
}

RUSTC_BOOTSTRAP=1 cargo fuzz build --target-dir "$programs"
failed=0
for target; do
    corpus=$corpora/$target
    mkdir -p "$corpus"
    seeds "$target" "$corpus"
    echo "== $target: $seconds seconds"
    log=$corpora/$target.log
    "$programs"/x86_64-unknown-linux-gnu/release/"$target" "$corpus" -max_total_time="$seconds" -timeout=20 \
        -rss_limit_mb=2048 -artifact_prefix="$corpora/$target-" >"$log" 2>&1 || failed=1
    grep -E '^Done|^SUMMARY|^Test unit written|panicked' "$log" || tail -n 20 "$log"
done
exit $failed

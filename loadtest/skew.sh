#!/usr/bin/env bash
# skew.sh [OPTIONS OF skew]: this source and the last release (the last line of migrations/RELEASED) as one fleet on one
# private database, forward, back and forward again, under checked traffic. Debug builds of both; that of the release is made
# once and kept. SIGNET_SKEW_OLD=FILE is a program of the release that is there already. With CI set a clone without that
# commit is an error.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/loadtest/serve.sh"
target=$(target_dir)
bin=$target/debug
read -r schema version commit _ < <(tail -n 1 "$here/migrations/RELEASED")

# released: the release's program, in old; made where there is none.
released() {
  old=${SIGNET_SKEW_OLD:-$target/skew/signet-$commit}
  [[ ! -x $old ]] || return 0
  [[ -z ${SIGNET_SKEW_OLD:-} ]] || { echo "SIGNET_SKEW_OLD: there is no program $old" >&2; return 1; }
  if ! git -C "$here" cat-file -e "$commit^{commit}" 2>/dev/null; then
    local newest
    newest=$(cd "$here/migrations/postgres" && printf '%s\n' *.sql | sort | tail -n 1)
    if [[ $((10#${newest%%_*})) -ne $schema ]]; then
      echo "$newest is newer than release $version (schema $schema), and its commit $commit is not in this clone:" \
        "git fetch --unshallow, or give its program as SIGNET_SKEW_OLD" >&2
      return 1
    fi
    if [[ -n ${CI:-} ]]; then
      echo "commit $commit of release $version is not in this clone, and CI compares two releases or none: fetch the whole" \
        "history (fetch-depth: 0), or give its program as SIGNET_SKEW_OLD" >&2
      return 1
    fi
    echo "NOTE: commit $commit of release $version is not in this clone; the schema is still $schema, so this build stands for both"
    old=$bin/signet
    return 0
  fi
  echo "building release $version"
  local source=$target/skew/source
  rm -rf "$source" && mkdir -p "$source"
  git -C "$here" archive "$commit" | tar -x -C "$source"
  # In the same folder, which has most of what it is made of; this source is built after it.
  (cd "$source" && CARGO_TARGET_DIR=$target cargo build --locked --bin signet)
  cp "$bin/signet" "$old"
  rm -rf "$source"
}

if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  released
  (cd "$here" && cargo build --locked --workspace --all-targets)
  SIGNET_SKEW_OLD=$old exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/skew.sh" "$@"
fi
released
[[ " $* " == *" --rate"* ]] || set -- --rate 60 "$@"
psql -qX "$SIGNET_TEST_POSTGRES" -c "CREATE DATABASE signet_skew"
DSN=$(sed -E 's#/[^/?]*(\?|$)#/signet_skew\1#' <<<"$SIGNET_TEST_POSTGRES")
redis=$(command -v redis-server || command -v valkey-server)
cd "$here"
"$bin/signet-loadtest" skew --signet "$bin/signet" --signet-old "$old" --redis-server "$redis" --postgres "$DSN" \
  --markdown "$target/skew/SKEW.md" "$@"

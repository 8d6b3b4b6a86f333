#!/usr/bin/env bash
# soak.sh COMMAND [OPTIONS]: `soak` or `rolling` with a release build of Signet on a private, durable PostgreSQL on this
# machine, which it may make crash. SIGNET_SOAK_PROFILE=debug takes a debug build.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
profile=${SIGNET_SOAK_PROFILE:-release}
if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  if [[ $profile == release ]]; then
    (cd "$here" && cargo build --release --locked --workspace)
  else
    (cd "$here" && cargo build --locked --workspace --all-targets)
  fi
  SIGNET_TEST_DURABLE=1 exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/soak.sh" "$@"
fi
. "$here/loadtest/serve.sh"
bin=$(target_dir)/$profile

command=$1
shift
own=()
[[ $command != soak ]] || own=(--own-postgres)
new_database "signet_$command" "$bin/signet"
redis=$(command -v redis-server || command -v valkey-server)
cd "$here"
"$bin/signet-loadtest" "$command" --signet "$bin/signet" --redis-server "$redis" --postgres "$DSN" "${own[@]}" "$@"

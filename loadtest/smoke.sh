#!/usr/bin/env bash
# smoke.sh [OPTIONS OF smoke]: runs every scenario for a moment, every part of the report in small, the k6 scripts for a few
# iterations, a short soak and a rolling restart, against a debug build of Signet on a private PostgreSQL and Redis. It
# shows that they work; its figures mean nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  cd "$here" && cargo build --locked --workspace --all-targets
  exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/smoke.sh" "$@"
fi
. "$here/loadtest/serve.sh"
bin=$(target_dir)/debug

new_database signet_load_smoke "$bin/signet"
start_server "$bin/signet" ES256
first=$server main=$side of=$port
start_server "$bin/signet" ES256 "$of"
other=$admin
IFS=, read -r public admin server <<<"$main"
"$bin/signet-loadtest" smoke --public "$public" --admin "$admin" --other-admin "$other" \
  --postgres "$DSN" --watch "server=$first" --watch "postgres=$SIGNET_TEST_POSTGRES_PID" \
  --concurrency 8 --duration 0.4 --warmup 0.1 "$@"
if command -v node >/dev/null; then
  for script in "$here"/loadtest/k6/*.js; do
    [[ $script == */lib.js ]] || BASE=$public ADMIN=$admin node "$here/loadtest/src/tests/shim/run.mjs" "$script" 20
  done
  echo "the k6 scripts work"
fi
stop_servers
rm -rf "$(target_dir)/load-quick"
SIGNET_LOAD_PROFILE=debug bash "$here/loadtest/run.sh" --quick
echo "the parts of the report work"
redis=$(command -v redis-server || command -v valkey-server)
for short in "soak --duration 10" "rolling --times 2"; do
  new_database "signet_load_${short%% *}" "$bin/signet"
  # shellcheck disable=SC2086 # the words are arguments
  "$bin/signet-loadtest" $short --signet "$bin/signet" --redis-server "$redis" --postgres "$DSN" --rate 60 --markdown /dev/null
done

#!/usr/bin/env bash
# smoke.sh [OPTIONS OF smoke]: runs every scenario for a second, and the k6 scripts for a few iterations, against a debug
# build of Signet, two replicas on a private PostgreSQL, then a short soak and a rolling restart. It shows that they work;
# its figures mean nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  cd "$here" && cargo build --locked --workspace --all-targets
  exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/smoke.sh" "$@"
fi
. "$here/loadtest/serve.sh"
bin=$(target_dir)/debug

port=$((15000 + RANDOM % 5000))
public=http://127.0.0.1:$port admin=http://127.0.0.1:$((port + 1))
new_database signet_load_smoke "$bin/signet"
start_server "$bin/signet" $port ES256
first=$server
start_server "$bin/signet" $((port + 2)) ES256 $port
"$bin/signet-loadtest" smoke --public "$public" --admin "$admin" --other-admin "http://127.0.0.1:$((port + 3))" \
  --postgres "$DSN" --watch "server=$first" --watch "postgres=$SIGNET_TEST_POSTGRES_PID" \
  --concurrency 8 --duration 1 --warmup 0.2 "$@"
if command -v node >/dev/null; then
  for script in "$here"/loadtest/k6/*.js; do
    [[ $script == */lib.js ]] || BASE=$public ADMIN=$admin node "$here/loadtest/src/tests/shim/run.mjs" "$script" 20
  done
  echo "the k6 scripts work"
fi
stop_servers
redis=$(command -v redis-server || command -v valkey-server)
for short in "soak --duration 20" "rolling --times 1"; do
  new_database "signet_load_${short%% *}" "$bin/signet"
  # shellcheck disable=SC2086 # the words are arguments
  "$bin/signet-loadtest" $short --signet "$bin/signet" --redis-server "$redis" --postgres "$DSN" --rate 60 --markdown /dev/null
done

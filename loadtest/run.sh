#!/usr/bin/env bash
# run.sh [OPTIONS OF run-set]: measures a release build of Signet on a private, durable PostgreSQL on this machine, once
# with ES256 and once with RS256 keys, and writes loadtest/RESULTS-ES256.md and loadtest/RESULTS-RS256.md, with charts.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  cd "$here" && cargo build --release --locked --workspace
  SIGNET_TEST_DURABLE=1 exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/run.sh" "$@"
fi
. "$here/loadtest/serve.sh"
bin=$(target_dir)/release

port=$((15000 + RANDOM % 5000))
for alg in ES256 RS256; do
  new_database "signet_load_${alg,,}" "$bin/signet"
  start_server "$bin/signet" $port $alg
  "$bin/signet-loadtest" run-set --public "http://127.0.0.1:$port" --admin "http://127.0.0.1:$((port + 1))" \
    --postgres "$DSN" --watch "server=$server" --watch "postgres=$SIGNET_TEST_POSTGRES_PID" --ready "$ready" \
    --markdown "$here/loadtest/RESULTS-$alg.md" "$@"
  stop_servers
  port=$((port + 2))
done

#!/usr/bin/env bash
# run.sh [OPTIONS OF run-set]: measures a release build of Signet on a private, durable PostgreSQL on this machine, once
# with ES256 and once with RS256 keys, and writes loadtest/RESULTS-ES256.md and loadtest/RESULTS-RS256.md.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  cd "$here" && cargo build --release --locked --workspace
  SIGNET_TEST_DURABLE=1 exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/run.sh" "$@"
fi
bin=$(cd "$here" && cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/release

port=$((15000 + RANDOM % 5000))
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true' EXIT
for alg in ES256 RS256; do
  db=signet_load_${alg,,}
  psql -qX "$SIGNET_TEST_POSTGRES" -c "CREATE DATABASE $db"
  dsn=$(sed -E "s#/[^/?]*(\?|\$)#/$db\1#" <<<"$SIGNET_TEST_POSTGRES")
  psql -qX "$dsn" -c 'CREATE EXTENSION pg_stat_statements'
  export DSN=$dsn SECRETS_SYSTEM=load-test-secret-of-thirty-two-bytes KEYS_ALGORITHM=$alg LOG_LEVEL=error
  export SERVE_PUBLIC_HOST=127.0.0.1 SERVE_PUBLIC_PORT=$port SERVE_ADMIN_PORT=$((port + 1)) SERVE_SHUTDOWN_DRAIN_DELAY=0s
  export URLS_SELF_ISSUER=http://127.0.0.1:$port/
  "$bin/signet" migrate sql -e -y
  "$bin/signet" serve all --dev &
  server=$!
  until curl -fs "http://127.0.0.1:$port/health/ready" >/dev/null; do sleep 0.2; done
  "$bin/signet-loadtest" run-set --public "http://127.0.0.1:$port" --admin "http://127.0.0.1:$((port + 1))" \
    --postgres "$dsn" --watch "server=$server" --watch "postgres=$SIGNET_TEST_POSTGRES_PID" \
    --markdown "$here/loadtest/RESULTS-$alg.md" "$@"
  kill "$server" && wait "$server" || true
  server=
  port=$((port + 2))
done

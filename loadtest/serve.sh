# Sourced by run.sh and smoke.sh: a database of one's own on the private PostgreSQL, and servers on it.
servers=()
stop_servers() {
  [[ ${#servers[@]} -eq 0 ]] || kill "${servers[@]}" 2>/dev/null || true
  [[ ${#servers[@]} -eq 0 ]] || wait "${servers[@]}" 2>/dev/null || true
  servers=()
}
trap stop_servers EXIT

# target_dir: where cargo builds.
target_dir() {
  (cd "$here" && cargo metadata --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
}

# new_database NAME SIGNET: creates and migrates it; its connection string is in DSN.
new_database() {
  psql -qX "$SIGNET_TEST_POSTGRES" -c "CREATE DATABASE $1"
  DSN=$(sed -E "s#/[^/?]*(\?|\$)#/$1\1#" <<<"$SIGNET_TEST_POSTGRES")
  export DSN SECRETS_SYSTEM=load-test-secret-of-thirty-two-bytes LOG_LEVEL=error
  psql -qX "$DSN" -c 'CREATE EXTENSION pg_stat_statements'
  "$2" migrate sql -e -y
}

# start_server SIGNET PORT ALGORITHM [ISSUER'S PORT]: serves on PORT and the next one; its pid is in server, the
# milliseconds until it was ready in ready.
start_server() {
  export SERVE_PUBLIC_HOST=127.0.0.1 SERVE_PUBLIC_PORT=$2 SERVE_ADMIN_PORT=$(($2 + 1)) SERVE_SHUTDOWN_DRAIN_DELAY=0s
  export URLS_SELF_ISSUER=http://127.0.0.1:${4:-$2}/ KEYS_ALGORITHM=$3
  local start=${EPOCHREALTIME/[.,]/}
  "$1" serve all --dev &
  server=$!
  servers+=("$server")
  until curl -fs "http://127.0.0.1:$2/health/ready" >/dev/null; do
    kill -0 "$server" || { echo "the server did not start" >&2; return 1; }
    sleep 0.01
  done
  ready=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
}

# Sourced by run.sh and smoke.sh: databases of one's own on the private PostgreSQL, and servers on them.
servers=()
pin=() # in front of a server's command line: which cores it may use
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

# new_port: where the next server listens, and on the one after it; in port.
new_port() {
  while port=$((15000 + RANDOM % 5000)) && { (: <"/dev/tcp/127.0.0.1/$port") || (: <"/dev/tcp/127.0.0.1/$((port + 1))"); } 2>/dev/null; do :; done
}

# start_server SIGNET ALGORITHM [ISSUER'S PORT]: serves on new ports; its pid is in server, its URLs are in public and
# admin, and in side as NAME=$side wants them.
start_server() {
  new_port
  export SERVE_PUBLIC_HOST=127.0.0.1 SERVE_PUBLIC_PORT=$port SERVE_ADMIN_PORT=$((port + 1)) SERVE_SHUTDOWN_DRAIN_DELAY=0s
  export URLS_SELF_ISSUER=http://127.0.0.1:${3:-$port}/ KEYS_ALGORITHM=$2
  "${pin[@]}" "$1" serve all --dev &
  server=$! public=http://127.0.0.1:$port admin=http://127.0.0.1:$((port + 1))
  side=$public,$admin,$server
  servers+=("$server")
  until curl -fs "$public/health/ready" >/dev/null; do
    kill -0 "$server" || { echo "the server did not start" >&2; return 1; }
    sleep 0.01
  done
}

#!/usr/bin/env bash
# services.sh COMMAND...: runs COMMAND with a private PostgreSQL and Redis beside it, and stops both when it ends.
# Their addresses are in SIGNET_TEST_POSTGRES (a superuser's DSN) and SIGNET_TEST_REDIS, the postmaster's pid in
# SIGNET_TEST_POSTGRES_PID, its programs in SIGNET_TEST_POSTGRES_BIN, a folder on its disk in SIGNET_TEST_POSTGRES_DIR.
# SIGNET_TEST_FAKETIME is a library that gives one process another clock, where Debian has it.
# SIGNET_TEST_DURABLE=1 leaves PostgreSQL's own durability on, which load tests need; SIGNET_TEST_POSTGRES_OPTIONS are
# more of its options.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

find_postgres() {
  local dir
  for dir in "$(dirname "$(command -v initdb || echo /none/x)")" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V -r); do
    if [[ -x $dir/initdb && -x $dir/postgres ]]; then
      echo "$dir"
      return
    fi
  done
}

find_faketime() {
  ls -d /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -1 || true
}

missing=()
tls=()
[[ -n $(find_postgres) ]] || missing+=(postgresql)
command -v psql >/dev/null || missing+=(postgresql-client)
command -v sqlite3 >/dev/null || missing+=(sqlite3)
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing+=(redis-server)
[[ -n $(find_faketime) ]] || ! command -v apt-get >/dev/null || missing+=(faketime)
[[ ${#missing[@]} -eq 0 ]] || bash "$here/install.sh" "${missing[@]}"
pg=$(find_postgres)
[[ -n $pg ]] || { echo "no initdb and postgres found, on PATH or under /usr/lib/postgresql" >&2; exit 1; }
redis=$(command -v redis-server || command -v valkey-server)

dir=$(mktemp -d "${TMPDIR:-/tmp}/signet-test.XXXXXX")
run_as=()
if [[ $(id -u) -eq 0 ]]; then # PostgreSQL refuses to run as root
  user=$(getent passwd postgres nobody | head -1 | cut -d: -f1)
  chown "$user" "$dir"
  run_as=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
fi

stop() {
  local code=$?
  trap - EXIT INT TERM
  [[ -z ${redis_pid:-} ]] || kill "$redis_pid" 2>/dev/null || true
  [[ -z ${pg_pid:-} ]] || kill -INT "$pg_pid" 2>/dev/null || true # fast shutdown
  wait 2>/dev/null || true
  rm -rf "$dir"
  exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)) && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

password=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
(umask 077 && echo "$password" >"$dir/password")
[[ ${#run_as[@]} -eq 0 ]] || chown "$user" "$dir/password"
cd /
"${run_as[@]}" "$pg/initdb" -D "$dir/data" -U signet --pwfile="$dir/password" -A scram-sha-256 -N -E UTF8 --no-locale --no-instructions >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
# A certificate for 127.0.0.1 and no name, so that tests can tell verify-ca from verify-full.
if command -v openssl >/dev/null; then
  printf '%s\n' '[req]' distinguished_name=d x509_extensions=v '[d]' '[v]' basicConstraints=critical,CA:FALSE \
    subjectAltName=IP:127.0.0.1 >"$dir/openssl.cnf"
  openssl req -x509 -config "$dir/openssl.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj /CN=signet-test -keyout "$dir/server.key" -out "$dir/server.crt" 2>/dev/null
  chmod 600 "$dir/server.key"
  [[ ${#run_as[@]} -eq 0 ]] || chown "$user" "$dir/server.key"
  chmod 755 "$dir"
  tls=(-c ssl=on -c "ssl_cert_file=$dir/server.crt" -c "ssl_key_file=$dir/server.key")
  export SIGNET_TEST_POSTGRES_CA=$dir/server.crt
fi
read -ra options <<<"${SIGNET_TEST_POSTGRES_OPTIONS:-}"
hasty=(-F -c synchronous_commit=off -c full_page_writes=off)
[[ -z ${SIGNET_TEST_DURABLE:-} ]] || hasty=()
for attempt in 1 2 3 4 5; do
  port=$(free_port)
  "${run_as[@]}" "$pg/postgres" -D "$dir/data" -k "$dir" -h 127.0.0.1 -p "$port" "${hasty[@]}" "${tls[@]}" \
    -c max_connections=300 -c shared_buffers=64MB \
    -c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.track=all "${options[@]}" >"$dir/postgres.log" 2>&1 &
  pg_pid=$!
  for _ in $(seq 150); do
    kill -0 "$pg_pid" 2>/dev/null || break
    if PGPASSWORD=$password psql -qAt -h 127.0.0.1 -p "$port" -U signet -d postgres -c 'select 1' >/dev/null 2>&1; then break 2; fi
    sleep 0.1
  done
  kill "$pg_pid" 2>/dev/null || true
  [[ $attempt -lt 5 ]] || { cat "$dir/postgres.log" >&2; exit 1; }
done
for attempt in 1 2 3 4 5; do
  redis_port=$(free_port)
  "${run_as[@]}" "$redis" --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" >"$dir/redis.log" 2>&1 &
  redis_pid=$!
  for _ in $(seq 100); do
    kill -0 "$redis_pid" 2>/dev/null || break
    if (: <"/dev/tcp/127.0.0.1/$redis_port") 2>/dev/null; then break 2; fi
    sleep 0.05
  done
  [[ $attempt -lt 5 ]] || { cat "$dir/redis.log" >&2; exit 1; }
done
cd - >/dev/null

export SIGNET_TEST_POSTGRES="postgres://signet:$password@127.0.0.1:$port/postgres?sslmode=disable"
export SIGNET_TEST_POSTGRES_PID=$pg_pid SIGNET_TEST_POSTGRES_BIN=$pg SIGNET_TEST_POSTGRES_DIR=$dir
SIGNET_TEST_FAKETIME=$(find_faketime)
export SIGNET_TEST_FAKETIME
export SIGNET_TEST_REDIS="redis://127.0.0.1:$redis_port/0"
"$@" # its exit code is this script's; the trap stops the services

#!/usr/bin/env bash
# run.sh [--quick] [--rounds N] [--seconds N] [--no-growth] [--rows N,N,N] [--buffers SIZE] [--only PART,PART] [--note TEXT]:
# measures a release build of Signet on a private, durable PostgreSQL and writes loadtest/RESULTS.md with its charts.
#   --quick      a moment of everything, to see that it works: its figures mean nothing and go to target/load-quick
#   --rounds     how often everything is measured (3)
#   --seconds    how long each scenario is (8), after a quarter of it that is not measured
#   --no-growth  without the 10 million rows, which take half of the time and 30 GB of disk
#   --rows       sizes of the growth (10000,1000000,10000000)
#   --buffers    instead of everything the growth to a million rows with these shared_buffers, which its indexes outgrow:
#                64MB, for example
#   --only       some of: machine set curve starts memory overload replay defaults equalised growth; the others' last
#                findings are kept
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
profile=${SIGNET_LOAD_PROFILE:-release}
if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  build=(--locked --workspace)
  if [[ $profile == debug ]]; then build+=(--all-targets); else build+=(--release); fi
  cd "$here" && cargo build "${build[@]}"
  # hey repeats Hydra's published procedure; without it the driver does.
  command -v hey >/dev/null || bash "$here/src/tests/scripts/install.sh" hey || true
  SIGNET_TEST_POSTGRES_OPTIONS=${SIGNET_TEST_POSTGRES_OPTIONS:--c shared_buffers=2GB -c max_wal_size=8GB}
  before=''
  for word in "$@"; do
    [[ $before != --buffers ]] || SIGNET_TEST_POSTGRES_OPTIONS+=" -c shared_buffers=$word"
    before=$word
  done
  export SIGNET_TEST_POSTGRES_OPTIONS SIGNET_TEST_DURABLE=1
  exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/run.sh" "$@"
fi
. "$here/loadtest/serve.sh"
target=$(target_dir)
signet=$target/$profile/signet load=$target/$profile/signet-loadtest

rounds=3 seconds=8 rows='' only='' note='' growth=1 quick='' small=''
while [[ $# -gt 0 ]]; do
  case $1 in
    --quick) quick=1 ;;
    --no-growth) growth= ;;
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --rows) rows=$2; shift ;;
    --buffers) small=1; shift ;; # PostgreSQL was started with them
    --only) only=$2; shift ;;
    --note) note=$2; shift ;;
    *) echo "unknown: $1; the options are at the head of $0" >&2; exit 2 ;;
  esac
  shift
done
save=$target/load results=$here/loadtest/RESULTS.md
pace=(--duration "$seconds" --warmup "$(awk "BEGIN { print $seconds / 4 }")") set_size=() fair_size=() curve=() tokens=1000000 cold=200000 expire=300000 storm=2000 replay=(--rounds 3)
[[ -n $rows ]] || rows=10000,1000000$([[ -n $small ]] || echo ,10000000)
if [[ -n $quick ]]; then
  save=$target/load-quick results=$target/load-quick/RESULTS.md rounds=1
  pace=(--duration 0.3 --warmup 0.1 --concurrency 8)
  set_size=(--tokens 40 --revoked 2000 --revoked-refresh 60 --assertions 2000) fair_size=(--clients 20 --revoked 500) curve=(--connections "1,8" --shares 50)
  tokens=1000 rows=500,5000 cold=40 expire=20000 storm=200 replay=(--rounds 1 --requests 500)
fi
mkdir -p "$save"
postgres=(--watch "postgres=$SIGNET_TEST_POSTGRES_PID")
run() { "$load" "${pace[@]}" --save "$save" "$@"; }
at() { run --public "$public" --admin "$admin" --watch "server=$server" "${postgres[@]}" "$@"; }

machine() {
  local tool fsync=()
  tool=$({ command -v pg_test_fsync || ls {"$SIGNET_TEST_POSTGRES_BIN",/usr/lib/postgresql/*/bin}/pg_test_fsync; } 2>/dev/null | tail -1 || true)
  if [[ -n $tool ]]; then
    # Its first lines are all that is read; the rest takes a quarter of a minute.
    if [[ -n $quick ]]; then tool="timeout 4 $tool"; fi
    # shellcheck disable=SC2086 # the words are a command
    $tool -s "$([[ -n $quick ]] && echo 1 || echo 3)" -f "$SIGNET_TEST_POSTGRES_DIR/fsync" >"$save/fsync.txt" || [[ -n $quick ]]
    rm -f "$SIGNET_TEST_POSTGRES_DIR/fsync"
    fsync=(--fsync "$save/fsync.txt")
  fi
  run machine "${fsync[@]}" --postgres "$SIGNET_TEST_POSTGRES"
}

# The main server, two replicas of it with caches that tell each other what ended, and one that signs with RSA.
set_() {
  new_database load_rs256 "$signet"
  start_server "$signet" RS256
  local rs256=$side
  new_database load_es256 "$signet"
  start_server "$signet" ES256
  local main=$side of=$port redis
  REDIS_URL=$SIGNET_TEST_REDIS REDIS_PREFIX=load start_server "$signet" ES256 "$of"
  redis=$side
  REDIS_URL=$SIGNET_TEST_REDIS REDIS_PREFIX=load INTROSPECTION_LOCAL_ENTRIES=50000 start_server "$signet" ES256 "$of"
  local memory=$side
  IFS=, read -r public admin server <<<"$main"
  at run-set --postgres "$DSN" --rounds "$rounds" "${set_size[@]}" \
    --beside "rs256=$rs256" --beside "redis=$redis" --beside "local=$memory"
}

curve() {
  new_database load_curve "$signet"
  start_server "$signet" ES256
  at --postgres "$DSN" curve "${curve[@]}"
}

# The first start makes the keys.
starts() {
  new_database load_starts "$signet"
  start_server "$signet" ES256
  stop_servers
  run starts --public "$public" --count "$([[ -n $quick ]] && echo 1 || echo 5)" -- "$signet" serve all --dev
}

memory() {
  new_database load_memory "$signet"
  start_server "$signet" ES256
  at memory --tokens "$tokens"
}

# The server has a core to itself, and a path on which a request costs it a hundred times what it costs the generator.
overload() {
  local others=() pinned="all processes share all cores" cores limits=256
  cores=$(nproc)
  new_database load_overload "$signet"
  if [[ $cores -gt 1 ]] && command -v taskset >/dev/null; then
    pin=(taskset -c 0) others=(taskset -c "1-$((cores - 1))")
    pinned="the server has core 0, the generator and PostgreSQL the others"
    taskset -acp "1-$((cores - 1))" "$SIGNET_TEST_POSTGRES_PID" >/dev/null
  fi
  # Fewer connections fill a smaller room.
  [[ -z $quick ]] || limits=16
  KEYS_RSA_BITS=4096 LIMITS_TOKEN=$limits start_server "$signet" RS256
  "${others[@]}" "$load" "${pace[@]}" --save "$save" --public "$public" --admin "$admin" --watch "server=$server" \
    "${postgres[@]}" overload --rounds "$rounds" --connections "$storm" --pinned "RS256-4096, 2 ms of CPU a token; $pinned"
  pin=()
  [[ ${#others[@]} -eq 0 ]] || taskset -acp "0-$((cores - 1))" "$SIGNET_TEST_POSTGRES_PID" >/dev/null
}

replay() {
  DSN=memory start_server "$signet" ES256
  at replay "${replay[@]}"
}

defaults() {
  new_database load_defaults "$signet"
  start_server "$signet" RS256
  run "${postgres[@]}" fair --track defaults --side "signet=$side" --rounds "$rounds" "${fair_size[@]}"
}

equalised() {
  new_database load_equalised "$signet"
  DSN="$DSN&max_conns=16" OAUTH2_HASHERS_ALGORITHM=pbkdf2 OAUTH2_HASHERS_PBKDF2_ITERATIONS=1 TTL_ACCESS_TOKEN=1h \
    TTL_ID_TOKEN=1h TTL_REFRESH_TOKEN=720h TTL_AUTH_CODE=10m OAUTH2_SESSION_ENCRYPT_AT_REST=true \
    start_server "$signet" RS256
  run "${postgres[@]}" fair --track equalised --side "signet=$side" --rounds "$rounds" "${fair_size[@]}"
}

growth() {
  new_database load_growth "$signet"
  local options=()
  [[ -z $small ]] || options=(--small)
  LOG_LEVEL=warn JANITOR_INTERVAL=1s start_server "$signet" ES256
  # The whole database goes afterwards, which is quicker.
  at --postgres "$DSN" growth --keep "${options[@]}" --rows "$rows" --rounds "$rounds" --cold "$cold" --expire "$expire"
  stop_servers
  psql -qX "$SIGNET_TEST_POSTGRES" -c 'DROP DATABASE load_growth'
}

# Each part and about how many minutes it takes with three rounds.
parts=(machine:1 set:22 curve:4 starts:1 memory:5 overload:3 replay:1 defaults:5 equalised:5)
[[ -z $growth ]] || parts+=(growth:30)
[[ -z $small ]] || parts=(growth:8)
if [[ -n $only ]]; then
  wanted=()
  for part in "${parts[@]}"; do [[ ,$only, != *",${part%:*},"* ]] || wanted+=("$part"); done
  parts=("${wanted[@]}")
fi
left=0
for part in "${parts[@]}"; do left=$((left + ${part#*:})); done
number=0
for part in "${parts[@]}"; do
  number=$((number + 1)) name=${part%:*}
  echo "== [$number/${#parts[@]}] $name${quick:+ (quick)}, about $((left * rounds / 3 + 1)) minutes left" >&2
  [[ $name == set ]] && name=set_
  "$name"
  stop_servers
  left=$((left - ${part#*:}))
done
run report --markdown "$results" --note "$note"

#!/usr/bin/env bash
# smoke.sh [OPTIONS OF smoke]: runs every scenario for a moment, every part of the report in small, the k6 scripts for a few
# iterations, a short soak and a rolling restart, against a debug build of Signet on a private PostgreSQL and Redis. It
# shows that they work; its figures mean nothing. It ends with 1, too, when it took more than SIGNET_LOAD_WITHIN seconds (120)
# after the build.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if [[ -z ${SIGNET_TEST_POSTGRES:-} ]]; then
  cd "$here" && cargo build --locked --workspace --all-targets
  exec bash "$here/src/tests/scripts/services.sh" bash "$here/loadtest/smoke.sh" "$@"
fi
. "$here/loadtest/serve.sh"
bin=$(target_dir)/debug
SECONDS=0 part=0
# done_with WHAT: says so, and how long it took.
done_with() {
  echo "$1 ($((SECONDS - part)) s)"
  part=$SECONDS
}

# fleets: the soak and the rolling restart, which wait more than they work: they run beside the rest.
fleets() {
  trap - EXIT
  local redis short
  redis=$(command -v redis-server || command -v valkey-server)
  for short in "soak --duration 10" "rolling --times 2"; do
    new_database "signet_load_${short%% *}" "$bin/signet"
    # shellcheck disable=SC2086 # the words are arguments
    "$bin/signet-loadtest" $short --signet "$bin/signet" --redis-server "$redis" --postgres "$DSN" --rate 60 --markdown /dev/null
    done_with "${short%% *} holds"
  done
}
said=$(mktemp)
fleets >"$said" 2>&1 &
fleets=$!
# They end by themselves, and must not outlive their database.
trap 'stop_servers; wait; rm -f "$said"' EXIT

new_database signet_load_smoke "$bin/signet"
# With a Redis the two tell each other what was revoked, and the other one keeps a local cache, too.
entries=0
if [[ -n ${SIGNET_TEST_REDIS:-} ]]; then
  export REDIS_URL=$SIGNET_TEST_REDIS REDIS_PREFIX=smoke
  entries=1000
fi
start_server "$bin/signet" ES256
first=$server main=$side of=$port
INTROSPECTION_LOCAL_ENTRIES=$entries start_server "$bin/signet" ES256 "$of"
other=$admin
unset REDIS_URL REDIS_PREFIX
IFS=, read -r public admin server <<<"$main"
"$bin/signet-loadtest" smoke --public "$public" --admin "$admin" --other-admin "$other" \
  --postgres "$DSN" --watch "server=$first" --watch "postgres=$SIGNET_TEST_POSTGRES_PID" \
  --concurrency 8 --duration 0.4 --warmup 0.1 "$@"
done_with "the scenarios work"
if command -v node >/dev/null; then
  for script in "$here"/loadtest/k6/*.js; do
    [[ $script == */lib.js ]] || BASE=$public ADMIN=$admin node "$here/loadtest/src/tests/shim/run.mjs" "$script" 20
  done
  done_with "the k6 scripts work"
fi
stop_servers
rm -rf "$(target_dir)/load-quick"
SIGNET_LOAD_PROFILE=debug bash "$here/loadtest/run.sh" --quick
done_with "the parts of the report work"
wait "$fleets" || { cat "$said"; exit 1; }
cat "$said"
done_with "soak and rolling hold"
echo "$SECONDS s in all"
if [[ $SECONDS -gt ${SIGNET_LOAD_WITHIN:-120} ]]; then
  echo "that is more than ${SIGNET_LOAD_WITHIN:-120} s: cut what costs most and teaches least, or set SIGNET_LOAD_WITHIN" >&2
  exit 1
fi

#!/usr/bin/env bash
# container.sh: on the stage, the image IMAGE as an orchestrator would run it: uid 65532, a root that cannot be written, no
# capabilities; SQLite in /data; healthy, smoke through both listeners, and an end within its time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PATH=$ENGINE/bin:$PATH
mkdir "$ENGINE/bin"
ln -s "$here/docker" "$ENGINE/bin/docker"
fail() {
  echo "$1" >&2
  docker logs lite >&2
  exit 1
}

docker network create apart
lite=(--network apart -v lite:/data -e DSN=sqlite:///data/signet.sqlite)
docker run --rm "${lite[@]}" signet migrate sql -e --yes >"$ENGINE/migrated" 2>&1 || { cat "$ENGINE/migrated" >&2; exit 1; }
# Nothing outside of /data can be written, by anybody.
! docker run --rm --network apart signet migrate sql --yes sqlite:///elsewhere.sqlite 2>"$ENGINE/refused" || fail "/ can be written"
! docker run --rm --network apart signet migrate sql --yes sqlite:///etc/elsewhere.sqlite 2>>"$ENGINE/refused" || fail "/etc can be written"

docker run -d --name lite "${lite[@]}" -e SECRETS_SYSTEM=only-for-this-test-and-no-other-thing \
  -e URLS_SELF_ISSUER=http://lite:4444/ signet serve all --dangerous-force-http
for _ in $(seq 100); do
  ! docker exec lite /signet healthcheck >/dev/null 2>&1 || break
  sleep 0.1
done
docker exec lite /signet healthcheck || fail "not healthy"
docker run --rm --network apart signet smoke --public http://lite:4444 --admin http://lite:4445 || fail "smoke"

pid=$(crun --root "$ENGINE/crun" state lite | sed -nE 's/.*"pid": ([0-9]+).*/\1/p')
grep -qP '^Uid:\t65532\t65532\t65532\t65532$' "/proc/$pid/status" || fail "not uid 65532"
grep -qP '^Cap(Eff|Prm|Bnd):\t0+$' "/proc/$pid/status" || fail "it has capabilities"
grep -qP '^NoNewPrivs:\t1$' "/proc/$pid/status" || fail "it may get privileges"
[[ $(awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" | tail -1) == ro* ]] || fail "its root can be written"
! touch "/proc/$pid/root/written" 2>/dev/null || fail "its root can be written, by root"

began=$SECONDS
docker kill --signal=TERM lite
[[ $(docker wait lite) == 0 ]] || fail "it did not end with 0"
[[ $((SECONDS - began)) -le 35 ]] || fail "it took $((SECONDS - began)) s to end"
! docker run --rm --network apart signet healthcheck >/dev/null 2>&1 || fail "healthy without a server"
echo "✓ uid 65532, read-only root, healthy, smoke passed, ended with 0 in $((SECONDS - began)) s"

bash "$here/guide.sh" signet

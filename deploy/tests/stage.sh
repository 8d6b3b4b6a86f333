#!/usr/bin/env bash
# stage.sh COMMAND...: runs COMMAND as root in namespaces of its own: a bridge to put containers on (engine.py), a name server
# that knows them, a private PostgreSQL and Redis. All processes end with it. ENGINE names the folder where its state is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scripts=$here/../../src/tests/scripts
bridge=10.88.0.1

if [[ -z ${ENGINE:-} ]]; then
  [[ $(id -u) -eq 0 ]] || { echo "containers need root" >&2; exit 1; }
  missing=()
  command -v crun >/dev/null || missing+=(crun)
  command -v dnsmasq >/dev/null || missing+=(dnsmasq-base)
  command -v socat >/dev/null || missing+=(socat)
  command -v ip >/dev/null || missing+=(iproute2)
  [[ ${#missing[@]} -eq 0 ]] || bash "$scripts/install.sh" "${missing[@]}"
  bash "$scripts/services.sh" true # installs them, for what follows has no network
  mkdir -p /run/netns
  ENGINE=$(mktemp -d "${TMPDIR:-/tmp}/signet-stage.XXXXXX")
  export ENGINE
  trap 'rm -rf "$ENGINE"' EXIT
  unshare --net --mount --pid --fork --kill-child --mount-proc bash "$0" "$@"
  exit
fi

chmod 755 "$ENGINE"
mkdir "$ENGINE/names" "$ENGINE/containers"
mount -t tmpfs netns /run/netns
mount -t cgroup2 cgroup2 /sys/fs/cgroup # crun refuses a mixture of both versions
ip link set lo up
# Without an address of its own it takes the lowest of its ports', so another one whenever a container comes or goes.
ip link add bridge address 02:00:0a:58:00:01 type bridge
ip addr add "$bridge/24" dev bridge
ip link set bridge up
echo "nameserver $bridge" >"$ENGINE/resolv.conf"
mount --bind "$ENGINE/resolv.conf" "$(readlink -f /etc/resolv.conf)"
# It knows everything there is: a name without an IPv6 address is answered so, not refused.
dnsmasq --keep-in-foreground --listen-address="$bridge" --bind-interfaces --no-resolv --local=/#/ --no-hosts \
  --hostsdir="$ENGINE/names" --user=root --pid-file= --log-facility=- 2>"$ENGINE/dnsmasq.log" &
bash "$scripts/services.sh" "$@"

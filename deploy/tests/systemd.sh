#!/usr/bin/env bash
# systemd.sh SIGNET: the units are sound for systemd, exposed as little as said here, and what they set makes this binary
# serve: it says that it is ready, keeps the watchdog quiet, and ends cleanly.
set -euo pipefail
signet=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
MOST_EXPOSED=13 # tenths of what `systemd-analyze security` adds up
command -v systemd-analyze >/dev/null || bash "$root/src/tests/scripts/install.sh" systemd
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# systemd looks whether the program is there.
for unit in "$root"/deploy/systemd/*.service; do
  sed "s#/usr/bin/signet#$signet#" "$unit" >"$work/$(basename "$unit")"
done
if ! said=$(systemd-analyze verify --man=no --recursive-errors=no "$work"/*.service 2>&1) || [[ -n $said ]]; then
  echo "$said" >&2
  exit 1
fi
for unit in "$work"/*.service; do
  systemd-analyze security --offline=true --threshold="$MOST_EXPOSED" "$unit" >"$work/exposure" 2>&1 || {
    cat "$work/exposure" >&2
    exit 1
  }
  echo "✓ $(tail -1 "$work/exposure" | grep -o '[^ ]*.service.*[0-9]')"
done

mkdir -p "$work/credentials" "$work/state/signet"
echo "sqlite://$work/state/signet/signet.sqlite" >"$work/credentials/dsn"
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$work/credentials/system-secret"
python3 - "$work" "$root/deploy/systemd" "$signet" <<'PYTHON'
import os, re, shlex, socket, subprocess, sys, urllib.request

work, units, signet = sys.argv[1:]

def unit(name):
    """The command and the environment of a unit, as systemd would make them."""
    lines = [line.split("=", 1) for line in open(f"{units}/{name}") if re.match(r"\w+=", line)]
    filled = [(key, value.strip().replace("%d", f"{work}/credentials").replace("%S", f"{work}/state")) for key, value in lines]
    command = next(shlex.split(value) for key, value in filled if key == "ExecStart")
    environment = dict(value.split("=", 1) for key, value in filled if key == "Environment")
    watchdog = next((int(value.rstrip("s")) for key, value in filled if key == "WatchdogSec"), None)
    return [signet, *command[1:]], environment, watchdog

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

command, environment, _ = unit("signet-migrate.service")
subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

command, environment, watchdog = unit("signet.service")
command = [word.replace("/etc/signet/", f"{units}/") for word in command]
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(f"{work}/notify")
manager.settimeout(watchdog)
public = free_port()
environment |= {
    "NOTIFY_SOCKET": f"{work}/notify", "WATCHDOG_USEC": "500000",
    "SERVE_PUBLIC_PORT": str(public), "SERVE_ADMIN_PORT": str(free_port()), "SERVE_SHUTDOWN_DRAIN_DELAY": "1s",
}
server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
heard = []
def wait_for(word, times=1):
    while heard.count(word) < times:
        heard.extend(manager.recv(4096).decode().split("\n"))
try:
    wait_for("READY=1")
    ready = urllib.request.urlopen(f"http://127.0.0.1:{public}/health/ready").status
    wait_for("WATCHDOG=1", 4)
    server.terminate()
    wait_for("STOPPING=1")
    code = server.wait(40)
finally:
    server.kill()
assert ready == 200 and code == 0, (ready, code, heard)
print(f"✓ signet.service: ready, {heard.count('WATCHDOG=1')} signs of life, stopped with 0")
PYTHON

"""A container engine as small as the tests need: one image, unpacked by buildah, run by crun.

What an image's user relies on is kept: its user, entry point, environment and volumes, an address and a name on the
network, published ports, bind mounts. Stricter than most engines, the root cannot be written, ever, and there are no
capabilities. The images of others are stood in for by programs of this machine. Runs on the stage of stage.sh; its state
is in the folder ENGINE, the image in the folder IMAGE: rootfs/ and config.json, the image's own.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

STATE = Path(os.environ["ENGINE"])
IMAGE = Path(os.environ["IMAGE"])
GATEWAY = "10.88.0.1"
CRUN = ["crun", "--root", str(STATE / "crun"), "--cgroup-manager=disabled"]


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


def behind(command, log, namespace=None):
    """A process of its own session that outlives the caller; its exit code is written beside its log."""
    inside = ["nsenter", f"--net={namespace}"] if namespace else []
    line = shlex.join(str(word) for word in [*inside, *command])
    # The shell becomes the one who waits; it must not be ended by the signals that are meant for the command.
    script = f"{line} >>{shlex.quote(str(log))} 2>&1 & echo $! >{log}.pid; wait $!; echo $? >{log}.rc"
    subprocess.Popen(["bash", "-c", script], start_new_session=True, stdin=subprocess.DEVNULL)


def named(name, address):
    (STATE / "names" / name).write_text(f"{address} {name}\n")


def joined(name):
    """Gives a container a network namespace on the bridge; its path and address."""
    number = len(list((STATE / "names").iterdir())) + 2
    address, end = f"10.88.0.{number}", f"veth{number}"
    run("ip", "netns", "add", name)
    run("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", end, "master", "bridge", "up")
    run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", name, "route", "add", "default", "via", GATEWAY)
    named(name, address)
    return f"/run/netns/{name}", address


def published(name, address, ports):
    for host, inside in ports:
        where, _, port = host.rpartition(":")
        listen = f"TCP-LISTEN:{port},bind={where or '127.0.0.1'},fork,reuseaddr"
        behind(["socat", listen, f"TCP:{address}:{inside}"], STATE / "containers" / f"{name}.port{port}")


def mount(source, target, *options):
    return {"destination": str(target), "source": str(source), "type": "bind", "options": ["bind", *options]}


def volume(name, uid):
    """A named volume: as an engine does, it begins with the owner that the folder has in the image."""
    folder = STATE / "volumes" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        os.chown(folder, uid, uid)
    return folder


class Container:
    """One container of the image: `args` after its entry point, `env` over its environment."""

    def __init__(self, name, args, env=(), volumes=(), ports=()):
        self.name = name
        self.log = STATE / "containers" / f"{name}.log"
        config = json.loads((IMAGE / "config.json").read_text())
        uid, _, gid = (config.get("User") or "0").partition(":")
        uid, gid = int(uid), int(gid or uid)
        environment = dict(pair.split("=", 1) for pair in [*(config.get("Env") or []), *env])
        mounts = {target: volume(f"{name}{target.replace('/', '-')}", uid) for target in config.get("Volumes") or {}}
        options = dict.fromkeys(mounts, ("rw",))
        for text in volumes:
            source, target, *how = text.split(":")
            mounts[target] = Path(source) if source.startswith(("/", ".")) else volume(source, uid)
            options[target] = tuple(how) or ("rw",)
        self.namespace, self.address = joined(name)
        self.bundle = STATE / "bundles" / name
        self.bundle.mkdir(parents=True)
        spec = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": uid, "gid": gid},
                "args": [*(config.get("Entrypoint") or []), *(args or config.get("Cmd") or [])],
                "env": [f"{key}={value}" for key, value in environment.items()],
                "cwd": config.get("WorkingDir") or "/",
                "noNewPrivileges": True,
                "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
            },
            "root": {"path": str(IMAGE / "rootfs"), "readonly": True},
            "hostname": name,
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
                mount(STATE / "resolv.conf", "/etc/resolv.conf", "ro"),
                *(mount(source, target, *options[target]) for target, source in mounts.items()),
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]
                + [{"type": "network", "path": self.namespace}],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        }
        (self.bundle / "config.json").write_text(json.dumps(spec))
        published(name, self.address, ports)

    def command(self):
        return [*CRUN, "run", "--bundle", str(self.bundle), self.name]

    def attached(self):
        """Runs it to its end in the foreground; its exit code."""
        return subprocess.run(self.command()).returncode

    def detached(self):
        behind(self.command(), self.log)
        until(f"{self.name} runs", lambda: status(self.name) or exit_code(self.name) is not None)


def local(name, command, ports=()):
    """A program of this machine in the place of a container."""
    namespace, address = joined(name)
    log = STATE / "containers" / f"{name}.log"
    behind(command, log, namespace)
    published(name, address, ports)
    return log


def database(name, env):
    """The private PostgreSQL in the place of a container of it: role and database as its environment says."""
    env = dict(pair.split("=", 1) for pair in env)
    role, admin = env["POSTGRES_USER"], os.environ["SIGNET_TEST_POSTGRES"]
    if role not in admin.split("@")[0]:
        run("psql", "-qX", admin, "-c", f"CREATE ROLE {role} LOGIN")
    run("psql", "-qX", admin, "-c", f"CREATE DATABASE {env['POSTGRES_DB']} OWNER {role}")
    # Last, for the role may be the one that does this.
    run("psql", "-qX", admin, "-c", f"ALTER ROLE {role} PASSWORD '{env['POSTGRES_PASSWORD']}'")
    service(name, 5432, admin)


def cache(name):
    service(name, 6379, os.environ["SIGNET_TEST_REDIS"])


def service(name, port, url):
    at = re.search(r"127\.0\.0\.1:(\d+)", url).group()
    behind(["socat", f"TCP-LISTEN:{port},bind={GATEWAY},fork,reuseaddr", f"TCP:{at}"], STATE / "containers" / name)
    named(name, GATEWAY)


def state(name):
    said = subprocess.run([*CRUN, "state", name], capture_output=True, text=True)
    return json.loads(said.stdout) if said.returncode == 0 else {}


def status(name):
    return state(name).get("status")


def exit_code(name):
    rc = STATE / "containers" / f"{name}.log.rc"
    return int(rc.read_text()) if rc.exists() and rc.read_text().strip() else None


def kill(name, which="KILL"):
    pid = state(name).get("pid")
    if pid:
        os.kill(pid, signal.Signals[f"SIG{which.removeprefix('SIG')}"])
    else:
        os.kill(int((STATE / "containers" / f"{name}.log.pid").read_text()), signal.SIGTERM)


def wait(name, seconds=60):
    until(f"{name} ends", lambda: exit_code(name) is not None, seconds)
    return exit_code(name)


def again(name):
    """Starts a container that has ended once more, with what it had."""
    (STATE / "containers" / f"{name}.log.rc").unlink()
    behind([*CRUN, "run", "--bundle", str(STATE / "bundles" / name), name], STATE / "containers" / f"{name}.log")


def until(what, true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            logs = "\n".join(f"== {log.name}\n{log.read_text()[-800:]}" for log in (STATE / "containers").glob("*.log"))
            raise SystemExit(f"not within {seconds} s: {what}\n{logs}")
        time.sleep(0.1)

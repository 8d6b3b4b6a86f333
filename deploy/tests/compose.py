"""compose.py FILE...: plays the services of a compose file on the stage, as far as there are programs for them here.

Signet's own run as containers of the image with the environment, command and volumes of the file; databases, HAProxy,
Prometheus, Alertmanager and the collector by programs of this machine with the very files that they mount. Those without
one are named and left out. As a program it checks that all that the files refer to exists.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import yaml

DEFAULTS = {"SECRETS_SYSTEM": "only-for-this-test-and-no-other-thing"}


def loaded(path):
    """The file with its variables filled in, as compose fills them in."""

    def value(match):
        name, default = match["name"], match["default"]
        found = os.environ.get(name) or DEFAULTS.get(name) or default
        if found is None:
            raise SystemExit(f"{path}: {name} has no value and no default")
        return found

    text = path.read_text().replace("$$", "\0")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    filled = re.sub(r"\$\{(?P<name>\w+)(:?-(?P<default>[^}]*)|:?\?[^}]*)?\}", value, "\n".join(lines))
    return yaml.safe_load(filled.replace("\0", "$"))


def mounts(path, service):
    """Its volumes: bind mounts with their whole path, and named ones as they are."""
    for text in service.get("volumes", []):
        source, rest = text.split(":", 1)
        yield f"{(path.parent / source).resolve()}:{rest}" if source.startswith(".") else text


def words(command):
    return shlex.split(command) if isinstance(command, str) else list(command or [])


def settings(service):
    return [f"{key}={value}" for key, value in (service.get("environment") or {}).items()]


def in_order(services):
    """Each after those that it depends on."""
    done, left = [], dict(services)
    while left:
        ready = [name for name, it in left.items() if all(other in done for other in it.get("depends_on") or [])]
        if not ready:
            raise SystemExit(f"these wait for each other: {sorted(left)}")
        done += ready
        for name in ready:
            del left[name]
    return done


def there(path, config):
    """What the file refers to and is not there."""
    root = path.resolve().parent
    for name, service in config["services"].items():
        for text in mounts(path.resolve(), service):
            source = text.split(":")[0]
            if source.startswith("/") and not Path(source).exists():
                yield f"{name}: {source}"
            if not source.startswith("/") and source not in (config.get("volumes") or {}):
                yield f"{name}: volume {source}"
        build = service.get("build")
        if build and not (root / build["context"] / build["dockerfile"]).exists():
            yield f"{name}: {build['dockerfile']}"
        if not service["image"].startswith("signet") and not re.search(r":v?\d", service["image"]):
            yield f"{name}: {service['image']} has no version"
        for needed in service.get("networks", []):
            if needed not in (config.get("networks") or {}):
                yield f"{name}: network {needed}"


def play(path, without=()):
    """Starts all of them; what could not be."""
    import engine

    path = path.resolve()
    services, left_out = loaded(path)["services"], []
    for name in (name for name in in_order(services) if name not in without):
        service = services[name]
        image = service["image"].split(":")[0].split("/")[-1]
        ports = [tuple(text.rsplit(":", 1)) for text in service.get("ports", [])]
        inside = {text.split(":")[1]: text.split(":")[0] for text in mounts(path, service)}
        program = PROGRAMS.get(image, lambda *_: None)(inside, settings(service))
        if image == "signet":
            container = engine.Container(name, words(service.get("command")), settings(service), mounts(path, service), ports)
            container.detached()
            if any(
                (other.get("depends_on") or {}) and isinstance(other["depends_on"], dict)
                and other["depends_on"].get(name, {}).get("condition") == "service_completed_successfully"
                for other in services.values()
            ):
                assert engine.wait(name) == 0, f"{name} failed: {container.log.read_text()}"
        elif image == "postgres":
            engine.database(name, settings(service))
        elif image == "redis":
            engine.cache(name)
        elif program:
            engine.local(name, program, ports)
        else:
            left_out.append(name)
    return left_out


def haproxy(inside, _):
    return ["haproxy", "-db", "-f", inside["/usr/local/etc/haproxy/haproxy.cfg"]]


def prometheus(inside, _):
    config = inside["/etc/prometheus"] + "/prometheus.yml"
    return ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={os.environ['ENGINE']}/prometheus"]


def alertmanager(inside, _):
    config = inside["/etc/alertmanager"] + "/alertmanager.yml"
    storage = f"--storage.path={os.environ['ENGINE']}/alertmanager"
    return ["prometheus-alertmanager", f"--config.file={config}", storage, "--cluster.listen-address="]


def collector(inside, _):
    program = os.environ.get("OTELCOL")
    return program and shutil.which(program) and [program, f"--config={inside['/etc/otelcol/config.yaml']}"]


def consent(_, environment):
    program = os.environ.get("CONSENT_APP")
    return program and ["env", *environment, "node", program]


PROGRAMS = {
    "haproxy": haproxy, "prometheus": prometheus, "alertmanager": alertmanager, "opentelemetry-collector": collector,
    "hydra-login-consent-node": consent,
}

if __name__ == "__main__":
    faults = []
    for file in map(Path, sys.argv[1:]):
        faults += [f"{file}: {fault}" for fault in there(file, loaded(file))]
    if faults:
        raise SystemExit("not there:\n" + "\n".join(faults))

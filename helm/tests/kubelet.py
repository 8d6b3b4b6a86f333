"""Runs the containers of a rendered pod as processes of this machine: the real program, with the arguments, variables and files
that the pod says. Mounts become folders, and their paths are replaced in arguments and variables; listeners take free ports."""

import base64
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import yaml
from conftest import SIGNET


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Pod:
    """One pod. `objects` are where its ConfigMaps and Secrets are; volumes that last are folders under `volumes`."""

    def __init__(self, spec, objects, folder, volumes=None):
        self.spec, self.folder, self.process = spec, pathlib.Path(folder), None
        self.folder.mkdir(parents=True)
        self.data = {(doc["kind"], doc["metadata"]["name"]): doc for doc in objects if doc["kind"] in ("ConfigMap", "Secret")}
        self.folders = {volume["name"]: self.volume(volume, volumes) for volume in spec.get("volumes", [])}
        ports = [port for container in spec["containers"] for port in container.get("ports", [])]
        self.ports = {port["name"]: free_port() for port in ports}

    def volume(self, volume, volumes):
        folder = self.folder / volume["name"]
        if "persistentVolumeClaim" in volume:
            folder = pathlib.Path(volumes)
        folder.mkdir(exist_ok=True)
        if "configMap" in volume:
            for name, text in self.data["ConfigMap", volume["configMap"]["name"]]["data"].items():
                (folder / name).write_text(text)
        for source in volume.get("projected", {}).get("sources", []):
            if "configMap" in source:
                for name, text in self.data["ConfigMap", source["configMap"]["name"]]["data"].items():
                    (folder / name).write_text(text)
                continue
            secret = self.data["Secret", source["secret"]["name"]]["data"]
            for item in source["secret"]["items"]:
                (folder / item["path"]).parent.mkdir(exist_ok=True)
                (folder / item["path"]).write_bytes(base64.b64decode(secret[item["key"]]))
        return folder

    def start(self, container):
        def placed(text):
            for mount in container.get("volumeMounts", []):
                text = text.replace(mount["mountPath"], str(self.folders[mount["name"]]))
            return text

        env = {each["name"]: placed(each["value"]) for each in container.get("env", []) if "value" in each}
        for name, port in self.ports.items():
            env |= {f"SERVE_{name.upper()}_PORT": str(port), f"SERVE_{name.upper()}_HOST": "127.0.0.1"}
        log = open(self.folder / f"{container['name']}.log", "w")
        return subprocess.Popen([SIGNET, *map(placed, container["args"])], env=env, cwd=self.folder, stdout=log, stderr=log)

    def log(self, name="signet"):
        return (self.folder / f"{name}.log").read_text()

    def run(self, container=None):
        """Runs a container to its end; gives its exit code."""
        return self.start(container or self.spec["containers"][0]).wait(60)

    def serve(self):
        """Init containers one by one, then the server."""
        for container in self.spec.get("initContainers", []):
            assert self.run(container) == 0, self.log(container["name"])
        self.process = self.start(self.spec["containers"][0])

    def probe(self, kind):
        """What the kubelet would be answered: a status, or 0 when nobody answers."""
        get = self.spec["containers"][0][kind]["httpGet"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[get['port']]}{get['path']}", timeout=2) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def until(self, kind, status, seconds=30):
        end = time.monotonic() + seconds
        while self.probe(kind) != status:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, f"{kind} is {self.probe(kind)}, not {status}\n{self.log()}"
            time.sleep(0.1)

    def end(self):
        """SIGTERM, and its exit code within the grace period."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(self.spec["terminationGracePeriodSeconds"])

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def write(path, values):
    path.write_text(yaml.safe_dump(values))
    return path

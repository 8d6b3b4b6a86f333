"""clients.py SIGNET FILE: of the manifests in FILE, the Job of clients reaches the services that it names, the network policy
lets its pod in, and its command, run with the file that its pod has against a server in memory, makes the clients."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

signet, path = sys.argv[1:]
documents = [it for it in yaml.safe_load_all(Path(path).read_text()) if it]
(job,) = [it for it in documents if it["kind"] == "Job" and it["metadata"]["name"].endswith("clients")]
template = job["spec"]["template"]
(container,) = template["spec"]["containers"]


def one(kind, name):
    (found,) = [it for it in documents if it["kind"] == kind and it["metadata"]["name"] == name]
    return found


def allowed():
    """The labels of which its pod needs one to reach the administrative port."""
    (policy,) = [it for it in documents if it["kind"] == "NetworkPolicy"]
    rules = [rule for rule in policy["spec"]["ingress"] if rule["ports"][0]["port"] == "admin"]
    peers = [peer["podSelector"]["matchLabels"].items() for rule in rules for peer in rule["from"]]
    return any(peer <= template["metadata"]["labels"].items() for peer in peers)


def file():
    """The file that the first argument after the command names, from the ConfigMap that is mounted there."""
    at = Path(container["args"][2])
    volume = next(it["name"] for it in container["volumeMounts"] if Path(it["mountPath"]) == at.parent)
    source = next(it["configMap"]["name"] for it in template["spec"]["volumes"] if it["name"] == volume)
    return one("ConfigMap", source)["data"][at.name]


def free_port():
    with socket.socket() as of:
        of.bind(("127.0.0.1", 0))
        return of.getsockname()[1]


def pods_secrets(clients, folder):
    """Its secrets in a folder here; each is in a Secret that the pod mounts."""
    text = yaml.safe_dump(clients)
    for client in clients:
        if secret := client.get("client_secret_file"):
            volume = next(it["name"] for it in container["volumeMounts"] if Path(it["mountPath"]) == Path(secret).parent)
            assert next(it for it in template["spec"]["volumes"] if it["name"] == volume)["secret"]["secretName"]
            (folder / Path(secret).name).write_text("a-secret-of-some-length\n")
            text = text.replace(secret, str(folder / Path(secret).name))
    return text


def played(folder):
    """Runs a server, and the command with its addresses swapped for the server's; what it has of clients then."""
    public, admin = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    clients = list(yaml.safe_load(file()))
    (folder / "clients.yaml").write_text(pods_secrets(clients, folder))
    swaps = {container["args"][2]: str(folder / "clients.yaml")}
    for name, there in (("public", public), ("admin", admin)):
        port = one("Service", f"signet-{name}")["spec"]["ports"][0]["port"]
        swaps[f"http://signet-{name}:{port}"] = there
    line = [re.sub("|".join(map(re.escape, swaps)), lambda found: swaps[found.group()], word) for word in container["args"]]
    assert not [word for word in line if "://" in word and "127.0.0.1" not in word], f"no service of that name and port: {line}"
    env = {
        **os.environ, "DSN": "memory", "SECRETS_SYSTEM": "only-for-this-check-and-no-other-thing", "LOG_LEVEL": "warn",
        "SERVE_PUBLIC_PORT": public.rpartition(":")[2], "SERVE_ADMIN_PORT": admin.rpartition(":")[2], "SERVE_PUBLIC_HOST": "127.0.0.1",
    }
    with subprocess.Popen([signet, "serve", "all", "--dev"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            subprocess.run([signet, *line], check=True, stdout=subprocess.DEVNULL, timeout=60)
            again = subprocess.run([signet, *line], check=True, capture_output=True, text=True, timeout=60).stdout
            assert f"{len(clients)} unchanged" in again, again
            made = json.load(urllib.request.urlopen(f"{admin}/admin/clients"))
        finally:
            server.terminate()
    assert {it["client_id"] for it in made} == {it["client_id"] for it in clients}, made
    return len(made)


assert allowed(), f"the network policy does not let in {template['metadata']['labels']}"
with tempfile.TemporaryDirectory() as of:
    began = time.monotonic()
    print(f"✓ {Path(path).name}: its Job makes {played(Path(of))} clients, in {time.monotonic() - began:.1f} s")

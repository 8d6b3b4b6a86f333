"""The rendered pods at work: the program itself, started as they say, on SQLite and on PostgreSQL (helm/check.sh brings one)."""

import base64
import json
import os
import subprocess
import urllib.request
import uuid

import pytest
import yaml
from conftest import of_kind, one, pods, server, template, values
from kubelet import Pod, write

QUICK = ["--set", "shutdown.drainDelay=1", "--set", "shutdown.timeout=5"]


def rendered(*args):
    return [doc for doc in yaml.safe_load_all(template(*args, *QUICK)) if doc]


def led(spec, pod, docs, folder):
    """A pod that calls the server, at the server's own ports instead of its Services; run to its end."""
    spec["containers"][0]["args"] = [
        f"http://127.0.0.1:{pod.ports['public' if '-public:' in arg else 'admin']}" if "-public:" in arg or "-admin:" in arg else arg
        for arg in spec["containers"][0]["args"]]
    caller = Pod(spec, docs, folder)
    return caller.run(), caller


def smoke(docs, pod, folder):
    return led(next(spec for where, _, spec in pods(docs) if where.startswith("Pod/")), pod, docs, folder)


def test_sqlite(tmp_path):
    docs = rendered("-f", values("sqlite"))
    pod = Pod(server(docs)[1], docs, tmp_path / "pod", tmp_path / "data")
    try:
        pod.serve()
        pod.until("startupProbe", 200)
        pod.until("readinessProbe", 200)
        assert pod.probe("livenessProbe") == 200
        assert (tmp_path / "data/signet.sqlite").exists()
        code, test = smoke(docs, pod, tmp_path / "smoke")
        assert code == 0, test.log()
        assert pod.end() == 0, pod.log()
    finally:
        pod.kill()


def test_clients(tmp_path):
    """The Job of clients: it makes them, leaves them alone, changes a secret, and deletes what the values name no more."""
    api = {"client_id": "orders/api", "grant_types": ["client_credentials"], "scope": "orders.read", "metadata": {"tier": 1000000},
           "secretRef": {"name": "orders", "key": "client.secret"}}
    app = {"client_id": "app", "redirect_uris": ["https://app.example/cb?a=1&b=%3C2%3E"], "token_endpoint_auth_method": "none"}

    def run(name, clients, secret):
        more = write(tmp_path / f"{name}.yaml", {"clients": clients, "clientsJob": {"prune": True}})
        docs = rendered("-f", values("sqlite"), "-f", more)
        for ref in filter(None, (client.get("secretRef") for client in clients)):
            data = {ref["key"]: base64.b64encode(secret.encode()).decode()}
            docs.append({"kind": "Secret", "metadata": {"name": ref["name"]}, "data": data})
        job = next(doc for doc in of_kind(docs, "Job") if "-clients-" in doc["metadata"]["name"])
        code, caller = led(job["spec"]["template"]["spec"], pod, docs, tmp_path / name)
        assert code == 0 and secret not in caller.log(), caller.log()
        return caller.log().strip().splitlines()[-1]

    def token(secret):
        form = b"grant_type=client_credentials&scope=orders.read"
        basic = base64.b64encode(f"orders%2Fapi:{secret}".encode()).decode()
        request = urllib.request.Request(f"http://127.0.0.1:{pod.ports['public']}/oauth2/token", form, {"Authorization": f"Basic {basic}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["scope"]

    docs = rendered("-f", values("sqlite"))
    pod = Pod(server(docs)[1], docs, tmp_path / "pod", tmp_path / "data")
    try:
        pod.serve()  # The Job waits until it is ready.
        copied = yaml.safe_load(values("everything").read_text())["clients"]
        assert run("copied", copied, "a-secret-of-many") == f"{len(copied)} created"
        assert run("first", [api, app], "the-first-secret") == f"2 created, {len(copied)} deleted"
        assert token("the-first-secret") == "orders.read"
        assert run("again", [api, app], "the-first-secret") == "2 unchanged"
        assert run("other", [api], "the-other-secret") == "1 updated, 1 deleted"
        assert token("the-other-secret") == "orders.read"
        assert run("none", [], "the-other-secret") == "1 deleted"
        with urllib.request.urlopen(f"http://127.0.0.1:{pod.ports['admin']}/admin/clients", timeout=10) as answer:
            assert json.load(answer) == []
    finally:
        pod.kill()


@pytest.fixture
def database():
    dsn = os.environ["SIGNET_TEST_POSTGRES"]
    name = f"chart_{uuid.uuid4().hex[:8]}"
    subprocess.run(["psql", "-q", dsn, "-c", f"CREATE DATABASE {name}"], check=True)
    head, _, query = dsn.partition("?")
    yield head.rsplit("/", 1)[0] + "/" + name + ("?" + query if query else "")
    subprocess.run(["psql", "-q", dsn, "-c", f"DROP DATABASE {name} WITH (FORCE)"], check=True)


def test_postgres(tmp_path, database):
    """Two pods start before the migration: alive, not ready, and not crashing; the Job runs, and they are ready."""
    more = write(tmp_path / "values.yaml", {
        "config": {"dsn": database, "urls": {"self": {"issuer": "https://auth.example.com/"}},
                   "secrets": {"system": ["0123456789abcdef0123456789abcdeX", "an-older-secret-0123456789abcdef01"]}},
        "service": {"gateway": {"enabled": True}}, "janitor": {"enabled": True}})
    docs = rendered("-f", more)
    both = [Pod(server(docs)[1], docs, tmp_path / name) for name in ("one", "two")]
    try:
        for pod in both:
            pod.serve()
            pod.until("livenessProbe", 200)
            assert pod.probe("readinessProbe") == 503
        job = Pod(one(docs, "Job")["spec"]["template"]["spec"], docs, tmp_path / "migrate")
        assert job.run() == 0, job.log()
        for pod in both:
            pod.until("readinessProbe", 200)
        code, test = smoke(docs, both[0], tmp_path / "smoke")
        assert code == 0, test.log()
        again = Pod(one(docs, "Job")["spec"]["template"]["spec"], docs, tmp_path / "again")
        assert again.run() == 0, again.log()
        sweep = Pod(of_kind(docs, "CronJob")[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"], docs, tmp_path / "janitor")
        assert sweep.run() == 0, sweep.log()
        assert [pod.end() for pod in both] == [0, 0]
    finally:
        for pod in both:
            pod.kill()

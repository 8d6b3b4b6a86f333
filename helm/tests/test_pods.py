"""The rendered pods at work: the program itself, started as they say, on SQLite and on PostgreSQL (helm/check.sh brings one)."""

import os
import subprocess
import uuid

import pytest
import yaml
from conftest import of_kind, one, pods, server, template, values
from kubelet import Pod, write

QUICK = ["--set", "shutdown.drainDelay=1", "--set", "shutdown.timeout=5"]


def rendered(*args):
    return [doc for doc in yaml.safe_load_all(template(*args, *QUICK)) if doc]


def smoke(docs, pod, folder):
    """The pod of `helm test`, led to the server's own ports instead of its Services."""
    spec = next(spec for where, _, spec in pods(docs) if where.startswith("Pod/"))
    spec["containers"][0]["args"] = [
        f"http://127.0.0.1:{pod.ports['public' if '-public:' in arg else 'admin']}" if "-public:" in arg or "-admin:" in arg else arg
        for arg in spec["containers"][0]["args"]]
    test = Pod(spec, docs, folder)
    return test.run(), test


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

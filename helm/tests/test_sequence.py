"""Install, upgrade, rollback, test and uninstall with the real Helm, 4 and the oldest 3, against an API server of ours that writes everything down.

It proves what Helm does with the chart: what is created, what is patched, in which order. What a kubelet would do with it is
not in it: Jobs end and Deployments become ready as fake_api.py says."""

import base64
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml
from conftest import CHART, HELM, HELM_OLDEST, HERE, helm

NAMESPACE = "identity"
VALUES = {
    "config": {"urls": {"self": {"issuer": "https://auth.example.com/"}}, "dsn": "postgres://signet@db/signet"},
    "secrets": {"generate": True},
    "serviceMonitor": {"enabled": True},
    "ingress": {"public": {"enabled": True, "hosts": [{"host": "auth.example.com"}]}},
    "httpRoute": {"public": {"enabled": True, "parentRefs": [{"name": "gateway"}]}},
}


class Cluster:
    """A fake API server, and Helm on it."""

    def __init__(self, folder, program, *flags):
        self.program = program
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.log = pathlib.Path(folder), pathlib.Path(folder) / "log"
        self.log.touch()
        kubeconfig = {"apiVersion": "v1", "kind": "Config", "current-context": "fake", "users": [{"name": "nobody", "user": {}}],
                      "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
                      "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "nobody", "namespace": NAMESPACE}}]}
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        self.env = {"KUBECONFIG": str(self.folder / "kubeconfig"), "HELM_CACHE_HOME": str(folder), "HELM_CONFIG_HOME": str(folder)}
        self.process = subprocess.Popen([sys.executable, HERE / "fake_api.py", str(self.port), self.log, *flags])
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the fake API server does not start")

    def close(self):
        self.process.terminate()
        self.process.wait(10)

    def helm(self, *args, ok=True):
        """Runs Helm; gives what it said and what was written down meanwhile."""
        before = len(self.recorded())
        said = helm(*args, "--namespace", NAMESPACE, env=self.env, ok=ok, program=self.program)
        return said, self.recorded()[before:]

    def recorded(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def secret(self):
        return self.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/signet-generated")["data"]

    def objects(self, group, plural):
        return self.get(f"/{'api' if group == 'v1' else 'apis'}/{group}/namespaces/{NAMESPACE}/{plural}")["items"]

    def values(self, **more):
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump({**VALUES, **more}))
        return path


def newer_chart(folder):
    """The chart of a later version of the program."""
    chart = pathlib.Path(folder) / "newer"
    shutil.copytree(CHART, chart)
    meta = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**meta, "appVersion": "99.0.0", "version": "99.0.0"}))
    return chart


@pytest.fixture(scope="module", params=[HELM, HELM_OLDEST], ids=["helm4", "helm3"])
def program(request):
    return request.param


@pytest.fixture(scope="module")
def life(tmp_path_factory, program):
    """The whole life of a release: {step: (what Helm said, what was recorded)}, and the secret's bytes after each step."""
    folder = tmp_path_factory.mktemp("life")
    cluster = Cluster(folder, program)
    steps, secrets, templates = {}, {}, {}

    def step(name, *args):
        steps[name] = cluster.helm(*args)
        secrets[name] = cluster.secret()
        templates[name] = [doc["spec"]["template"] for doc in cluster.objects("apps/v1", "deployments")]

    wait, values, newer = ("--wait", "--timeout", "60s"), cluster.values(), newer_chart(folder)
    try:
        step("install", "install", "signet", CHART, "-f", values, "--create-namespace", *wait)
        step("nothing", "upgrade", "signet", CHART, "-f", values, *wait)
        step("upgrade", "upgrade", "signet", newer, "-f", values, *wait)
        step("rollback", "rollback", "signet", "1", *wait)
        step("test", "test", "signet")
        step("uninstall", "uninstall", "signet", *wait)
        step("again", "install", "signet", CHART, "-f", values, *wait)
    finally:
        cluster.close()
    return steps, secrets, templates


def changes(record, *kinds):
    """What was changed: neither writes that changed nothing nor what controllers did."""
    return [(each["verb"], each["kind"], each["name"]) for each in record
            if each["verb"] in ("create", "update", "patch", "apply", "delete") and (not kinds or each["kind"] in kinds)]


def place(record, verbs, kind):
    return next(index for index, each in enumerate(record) if each["verb"] in verbs and each["kind"] == kind)


MADE = ("create", "apply")  # Helm 3 and Helm 4


def test_install_brings_everything(life):
    record = life[0]["install"][1]
    kinds = {kind for _, kind, _ in changes(record)}
    assert kinds >= {"Secret", "ConfigMap", "Service", "ServiceAccount", "Deployment", "Job", "NetworkPolicy", "PodDisruptionBudget",
                     "ServiceMonitor", "Ingress", "HTTPRoute"}
    assert place(record, MADE, "Secret") < place(record, MADE, "Job")


def test_the_secrets_are_made_once_and_never_again(life):
    _, secrets, _ = life
    assert set(secrets["install"]) == {"secretsSystem", "secretsCookie"}
    assert all(data == secrets["install"] for data in secrets.values()), {name: data == secrets["install"] for name, data in secrets.items()}
    touched = [(step, name) for step, (_, record) in life[0].items() for _, kind, name in changes(record, "Secret")]
    # The other one holds what the values say: the DSN.
    assert [step for step, name in touched if name == "signet-generated"] == ["install"], touched


def test_an_upgrade_that_changes_nothing_changes_nothing(life):
    steps, _, templates = life
    assert templates["nothing"] == templates["install"]
    assert changes(steps["nothing"][1]) == [], changes(steps["nothing"][1])


@pytest.mark.parametrize("step", ["install", "upgrade", "rollback", "again"])
def test_the_migration_comes_before_the_rollout(life, step):
    """Helm makes the Deployment before the Job; its pods are not ready before the Job has completed, and --wait waits for them."""
    record = life[0][step][1]
    assert place(record, ["complete"], "Job") < place(record, ["available"], "Deployment")


def test_an_upgrade_runs_its_own_migration_and_leaves_one_job(life):
    steps, _, templates = life
    changed = changes(steps["upgrade"][1], "Job")
    assert sorted("made" if verb in MADE else verb for verb, _, _ in changed) == ["delete", "made"]
    assert len({name for _, _, name in changed}) == 2
    assert templates["upgrade"] != templates["install"]
    assert templates["upgrade"][0]["spec"]["containers"][0]["image"].endswith(":99.0.0")


def test_a_rollback_brings_the_pods_of_before(life):
    _, _, templates = life
    assert templates["rollback"] == templates["install"]


def test_helm_test_runs_the_smoke_test_of_the_image(life):
    record = life[0]["test"][1]
    pod = next(each["object"] for each in record if each["kind"] == "Pod" and each["verb"] in MADE)
    assert pod["spec"]["containers"][0]["args"] == ["smoke", "--public", "http://signet-public:4444", "--admin", "http://signet-admin:4445",
                                                     "--issuer", "https://auth.example.com/", "--wait", "30s"]
    assert "Phase:          Succeeded" in life[0]["test"][0]


def test_uninstalling_leaves_the_secret_and_nothing_else(life):
    record = life[0]["uninstall"][1]
    assert {verb for verb, _, _ in changes(record)} == {"delete"}
    gone = {(kind, name) for _, kind, name in changes(record)}
    made = {(kind, name) for step in ("install", "test") for _, kind, name in changes(life[0][step][1])}
    # Helm itself leaves what hooks made; here that is the pod of the test.
    assert made - gone == {("Secret", "signet-generated"), ("Pod", "signet-smoke")}


def test_notes_tell_what_to_do(life):
    said = life[0]["install"][0]
    for words in ("helm test -n identity signet", "signet-public:4444", "The admin port is closed to everybody", "signet-generated", "Back it up"):
        assert words in said, said


@pytest.fixture
def cluster(tmp_path, program):
    made = Cluster(tmp_path, program)
    yield made
    made.close()


def test_the_commands_of_the_readme(cluster):
    """Its `helm install` and its `helm upgrade`, with the flags that stand there."""
    text = (CHART / "README.md").read_text().replace("\\\n", " ")
    install = re.search(r"^helm install signet helm/signet -n identity(.*)$", text, re.M)[1].split()
    cluster.helm("install", "signet", CHART, "--create-namespace", *install)
    upgrade = re.search(r"`helm upgrade signet helm/signet -n identity (.*?)`", text)[1].split()
    _, record = cluster.helm("upgrade", "signet", CHART, *upgrade)
    assert changes(record) == []
    sources = cluster.objects("apps/v1", "deployments")[0]["spec"]["template"]["spec"]["volumes"][1]["projected"]["sources"]
    assert sorted(source["secret"]["name"] for source in sources) == ["signet-db", "signet-generated", "signet-generated"]


def test_sqlite_as_the_readme_has_it(cluster):
    flags = re.search(r"`--set (sqlite\.enabled=true,\S+)` in place", (CHART / "README.md").read_text())[1]
    issuer = "config.urls.self.issuer=https://auth.example.com/"
    _, record = cluster.helm("install", "signet", CHART, "--create-namespace", "--wait", "--timeout", "60s",
                             "--set", f"{flags},secrets.generate=true,{issuer}")
    assert {kind for _, kind, _ in changes(record)} >= {"PersistentVolumeClaim", "Deployment"}
    assert "Job" not in {kind for _, kind, _ in changes(record)}


def test_a_lost_secret_is_not_made_anew(cluster):
    cluster.helm("install", "signet", CHART, "-f", cluster.values(), "--create-namespace")
    request = urllib.request.Request(f"http://127.0.0.1:{cluster.port}/api/v1/namespaces/{NAMESPACE}/secrets/signet-generated", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()
    said, record = cluster.helm("upgrade", "signet", CHART, "-f", cluster.values(), ok=False)
    assert "the Secret identity/signet-generated is not there: a new system secret would make every token and key" in said
    assert changes(record) == []


def test_a_secret_rotated_by_hand_outlives_upgrade_and_rollback(cluster):
    cluster.helm("install", "signet", CHART, "-f", cluster.values(), "--create-namespace")
    path = f"http://127.0.0.1:{cluster.port}/api/v1/namespaces/{NAMESPACE}/secrets/signet-generated"
    patch = json.dumps({"data": {"secretsSystem": "bmV3Cm9sZA=="}}).encode()
    request = urllib.request.Request(path, data=patch, method="PATCH", headers={"Content-Type": "application/merge-patch+json"})
    urllib.request.urlopen(request, timeout=10).close()
    cluster.helm("upgrade", "signet", CHART, "-f", cluster.values(replicaCount=3))
    cluster.helm("rollback", "signet", "1")
    assert cluster.secret()["secretsSystem"] == "bmV3Cm9sZA=="


def test_the_rotation_of_the_readme(cluster):
    """Its commands as they stand there, with a kubectl that knows the two that they use."""
    cluster.helm("install", "signet", CHART, "-f", cluster.values(), "--create-namespace")
    old = base64.b64decode(cluster.secret()["secretsSystem"]).decode()
    commands = re.search(r"^To rotate the system secret.*?```bash\n(.*?)```", (CHART / "README.md").read_text(), re.M | re.S)[1]
    kubectl = cluster.folder / "kubectl"
    kubectl.write_text(f"#!{sys.executable}\n" + KUBECTL.format(port=cluster.port))
    kubectl.chmod(0o755)
    before = len(cluster.recorded())
    subprocess.run(["bash", "-euc", commands], env={**os.environ, "PATH": f"{cluster.folder}:{os.environ['PATH']}"}, check=True, timeout=60)
    steps = [base64.b64decode(each["object"]["data"]["secretsSystem"]).decode() for each in cluster.recorded()[before:] if each["kind"] == "Secret"]
    new = steps[-1]
    assert re.fullmatch(r"[A-Za-z0-9]{48}", new) and steps == [f"{old}\n{new}", f"{new}\n{old}", new]
    assert set(cluster.secret()) == {"secretsSystem", "secretsCookie"}


KUBECTL = """
import json, re, sys, urllib.request
args = sys.argv[1:]
assert args[:2] == ["-n", "identity"] and args[3:5] == ["secret", "signet-generated"], args
url = "http://127.0.0.1:{port}/api/v1/namespaces/identity/secrets/signet-generated"
if args[2] == "get":
    assert args[5] == "-o", args
    path = re.fullmatch(r"jsonpath=\\{{\\.data\\.(\\w+)\\}}", args[6])
    with urllib.request.urlopen(url) as answer:
        print(json.load(answer)["data"][path[1]], end="")
else:
    assert args[2] == "patch" and args[5:8] == ["--type", "merge", "-p"], args
    kind = {{"Content-Type": "application/merge-patch+json"}}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(json.loads(args[8])).encode(), kind, method="PATCH")).close()
"""


def test_other_values_roll_out_only_what_they_touch(cluster):
    cluster.helm("install", "signet", CHART, "-f", cluster.values(), "--create-namespace")
    _, record = cluster.helm("upgrade", "signet", CHART, "-f", cluster.values(networkPolicy={"adminFrom": [{"podSelector": {}}]}))
    assert {kind for _, kind, _ in changes(record)} == {"NetworkPolicy"}
    _, record = cluster.helm("upgrade", "signet", CHART, "-f", cluster.values(replicaCount=4))
    assert {kind for _, kind, _ in changes(record)} == {"NetworkPolicy", "Deployment"}


def test_other_clients_run_another_job_and_roll_out_nothing(cluster):
    wait = ("--wait", "--timeout", "60s")
    app = {"client_id": "app", "token_endpoint_auth_method": "none", "redirect_uris": ["https://app.example/cb"]}
    _, first = cluster.helm("install", "signet", CHART, "-f", cluster.values(clients=[app]), "--create-namespace", *wait)
    made = {(kind, name) for _, kind, name in changes(first, "Job", "ConfigMap") if "-clients-" in name}
    assert {kind for kind, _ in made} == {"Job", "ConfigMap"}
    _, record = cluster.helm("upgrade", "signet", CHART, "-f", cluster.values(clients=[app]), *wait)
    assert changes(record) == []
    _, record = cluster.helm("upgrade", "signet", CHART, "-f", cluster.values(clients=[{**app, "scope": "openid"}]), *wait)
    assert {kind for _, kind, _ in changes(record)} == {"Job", "ConfigMap"}
    assert {(kind, name) for verb, kind, name in changes(record) if verb == "delete"} == made
    _, record = cluster.helm("rollback", "signet", "1", *wait)
    assert {(kind, name) for verb, kind, name in changes(record) if verb in MADE} == made


def test_pods_wait_for_a_schema_that_does_not_come(tmp_path, program):
    cluster = Cluster(tmp_path, program, "--jobs-fail")
    try:
        _, record = cluster.helm("install", "signet", CHART, "-f", cluster.values(), "--create-namespace", "--wait", "--timeout", "6s", ok=False)
        assert not [each for each in record if each["verb"] == "available"]
    finally:
        cluster.close()

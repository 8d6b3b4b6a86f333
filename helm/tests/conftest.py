"""What the tests share: Helm, the rendered cases, and the pods in them."""

import functools
import os
import pathlib
import subprocess

import pytest
import yaml

HERE = pathlib.Path(__file__).parent
REPO = HERE.parent.parent
CHART = HERE.parent / "signet"
TOOLS = pathlib.Path(os.environ["SIGNET_TOOLS"])
HELM = str(TOOLS / "bin/helm")
HELM_OLDEST = str(TOOLS / "helm3/helm")
SIGNET = os.environ["SIGNET_BIN"]
# Versions of Kubernetes whose schemas there are (schemas.py), from the chart's oldest to the newest.
SCHEMAS = TOOLS / "helm-schemas"
VERSIONS = sorted((path.name.removeprefix("v") for path in SCHEMAS.iterdir()), key=lambda version: int(version.split(".")[1]))
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))


def pytest_addoption(parser):
    parser.addoption("--update", action="store_true", help="write golden files and the README's table anew")


@pytest.fixture
def update(request):
    return request.config.getoption("--update")


def helm(*args, env=None, ok=True, program=HELM):
    """Runs Helm; gives what it said. With ok=False it must fail, and its error is given."""
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=120)
    assert (done.returncode == 0) == ok, f"helm {' '.join(map(str, args))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout if ok else done.stderr


def template(*args, version=None, chart=CHART, ok=True):
    return helm("template", "rel", chart, "--namespace", "identity", "--kube-version", version or VERSIONS[-1], *args, ok=ok)


def values(case):
    return CHART / "ci" / f"{case}-values.yaml"


@functools.cache
def text(case, version=None):
    return template("-f", values(case), version=version)


@functools.cache
def objects(case):
    return [doc for doc in yaml.safe_load_all(text(case)) if doc]


def of_kind(docs, *kinds):
    return [doc for doc in docs if doc["kind"] in kinds]


def one(docs, kind):
    found = of_kind(docs, kind)
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def pods(docs):
    """(where, labels, spec) of every pod that the objects make."""
    for doc in docs:
        where = f"{doc['kind']}/{doc['metadata']['name']}"
        if doc["kind"] == "Pod":
            yield where, doc["metadata"]["labels"], doc["spec"]
        template = doc.get("spec", {}).get("jobTemplate", doc).get("spec", {}).get("template")
        if doc["kind"] in ("Deployment", "Job", "CronJob"):
            yield where, template["metadata"]["labels"], template["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def server(docs):
    """The labels and spec of the server's pod."""
    return next((labels, spec) for where, labels, spec in pods(docs) if where.startswith("Deployment/"))


def matches(selector, labels):
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In", rule
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())

"""What is rendered: the same as last time, the same each time, and valid on every Kubernetes."""

import difflib
import re
import subprocess
import tomllib

import pytest
import yaml
from conftest import CASES, CHART, HELM_OLDEST, HERE, REPO, SCHEMAS, TOOLS, VERSIONS, helm, objects, template, text, values

CUSTOM = "ServiceMonitor,PodMonitor,Probe,PrometheusRule,HTTPRoute,BackendTLSPolicy,ExternalSecret,ScaledObject"


def test_versions_are_those_of_the_program():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    cargo = tomllib.loads((REPO / "Cargo.toml").read_text())["package"]
    assert chart["appVersion"] == cargo["version"]
    assert f"signet:{cargo['version']}" in chart["annotations"]["artifacthub.io/images"]


def test_dashboards_and_rules_are_copies():
    subprocess.run(["bash", REPO / "helm/sync-files.sh", "--check"], check=True)


@pytest.mark.parametrize("case", CASES)
def test_golden(case, update):
    # Dashboards and rules are held to their originals, by test_dashboards_and_rules_are_copies.
    docs = [doc for doc in objects(case) if doc["kind"] != "PrometheusRule" and "-dash-" not in doc["metadata"]["name"]]
    docs.sort(key=lambda doc: (doc["kind"], doc["metadata"]["name"]))
    now = yaml.safe_dump_all(docs, width=120)
    path = HERE / "golden" / f"{case}.yaml"
    if update:
        path.write_text(now)
    then = path.read_text() if path.exists() else ""
    diff = "\n".join(difflib.unified_diff(then.splitlines(), now.splitlines(), "golden", "rendered", lineterm=""))
    assert then == now, f"{diff}\nif that is meant: helm/check.sh --update"


@pytest.mark.parametrize("case", CASES)
def test_rendering_twice_gives_the_same(case):
    assert template("-f", values(case)) == text(case)


@pytest.mark.parametrize("case", CASES)
def test_the_oldest_helm_renders_the_same(case):
    said = helm("template", "rel", CHART, "--namespace", "identity", "--kube-version", VERSIONS[-1], "-f", values(case), program=HELM_OLDEST)
    assert [doc for doc in yaml.safe_load_all(said) if doc] == objects(case)


def test_the_oldest_helm_is_the_one_of_the_readme():
    named = re.search(r"Helm (3\.\d+) and later or Helm 4", " ".join((CHART / "README.md").read_text().split()))[1]
    assert helm("version", "--short", program=HELM_OLDEST).strip() == f"v{named}"


def kubeconform(version, path):
    where = f"{SCHEMAS}/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    return subprocess.run([TOOLS / "bin/kubeconform", "-strict", "-summary", "-kubernetes-version", version, "-skip", CUSTOM,
                           "-schema-location", where, path], capture_output=True, text=True)


@pytest.mark.parametrize("case", CASES)
def test_the_same_for_every_kubernetes(case):
    assert text(case, VERSIONS[0]) == text(case)


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_on_kubernetes(version, tmp_path):
    for case in CASES:
        (tmp_path / f"{case}.yaml").write_text(text(case))
    done = kubeconform(version, tmp_path)
    assert done.returncode == 0 and "Invalid: 0, Errors: 0" in done.stdout, done.stdout + done.stderr
    assert int(re.search(r"Valid: (\d+)", done.stdout).group(1)) > 90, done.stdout


def test_kubeconform_would_see_a_mistake(tmp_path):
    """The schemas are found and strict: an unknown field is refused."""
    (tmp_path / "broken.yaml").write_text(text("default").replace("minReadySeconds:", "minReadySecond:"))
    done = kubeconform(VERSIONS[0], tmp_path)
    assert done.returncode == 1 and "additional properties 'minReadySecond' not allowed" in done.stdout, done.stdout

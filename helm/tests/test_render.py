"""What is rendered: the same as last time, the same each time, and valid on every Kubernetes."""

import copy
import difflib
import re
import subprocess
import tomllib

import pytest
import yaml
from conftest import CASES, CHART, HERE, REPO, SCHEMAS, TOOLS, VERSIONS, objects, template, text, values

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
    docs = sorted(copy.deepcopy(objects(case)), key=lambda doc: (doc["kind"], doc["metadata"]["name"]))
    for doc in docs:  # what is copied from elsewhere is compared by test_dashboards_and_rules_are_copies
        if doc["kind"] == "PrometheusRule":
            doc["spec"].update(groups=f"{len(doc['spec']['groups'])} groups")
        elif "dashboard-" in doc["metadata"]["name"]:
            doc["data"] = {name: "(a file)" for name in doc["data"]}
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


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_on_kubernetes(version, tmp_path):
    for case in CASES:
        (tmp_path / f"{case}.yaml").write_text(text(case, version))
    where = f"{SCHEMAS}/{{{{.NormalizedKubernetesVersion}}}}-local{{{{.StrictSuffix}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run([TOOLS / "bin/kubeconform", "-strict", "-summary", "-kubernetes-version", version, "-skip", CUSTOM,
                           "-schema-location", where, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"Valid: (\d+)", done.stdout).group(1)) > 60, done.stdout
    assert "Errors: 0" in done.stdout


def test_kubeconform_would_see_a_mistake(tmp_path):
    """The schemas are found and strict: an unknown field is refused."""
    broken = text("default").replace("minReadySeconds:", "minReadySecond:")
    (tmp_path / "broken.yaml").write_text(broken)
    with pytest.raises(AssertionError, match="minReadySecond"):
        one_file(tmp_path)


def one_file(path):
    where = f"{SCHEMAS}/v{VERSIONS[-1]}-local-strict/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run([TOOLS / "bin/kubeconform", "-strict", "-kubernetes-version", VERSIONS[-1], "-schema-location", where, path],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

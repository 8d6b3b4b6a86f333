"""values.schema.json: sound itself, in step with values.yaml, and refusing mistakes at a readable place."""

import json

import jsonschema
import pytest
import yaml
from conftest import CASES, CHART, HERE, SIGNET, helm, template, values

import subprocess

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
BAD = sorted((HERE / "bad").glob("*.yaml"))
ORY = {"hydra", "secret", "deployment", "job", "cronjob", "maester", "hydra-maester", "watcher", "configmap", "test"}


def test_the_schema_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_every_value_has_a_schema_and_every_schema_a_value():
    assert set(SCHEMA["properties"]) - ORY == set(DEFAULTS)

    def walk(node, default, path):
        while "$ref" in node:
            node = SCHEMA["definitions"][node["$ref"].split("/")[-1]]
        if node.get("additionalProperties") is not False or not isinstance(default, dict):
            return
        unknown = set(default) - set(node["properties"])
        assert not unknown, f"{path}: {unknown}"
        for name, value in default.items():
            if isinstance(node["properties"][name], dict):
                walk(node["properties"][name], value, f"{path}.{name}")

    walk(SCHEMA, DEFAULTS, "")


def test_the_branches_of_config_are_those_of_the_program():
    said = subprocess.run([SIGNET, "config", "status", "--format", "json"], capture_output=True, text=True, check=True).stdout
    known = {row["key"].split(".")[0] for row in rows(json.loads(said))}
    missing = known - set(SCHEMA["definitions"]["config"]["properties"])
    assert not missing, f"add to definitions.config of values.schema.json: {missing}"


def rows(status):
    return status if isinstance(status, list) else status.get("items") or status["settings"]


@pytest.mark.parametrize("case", CASES)
def test_good_values_are_taken(case):
    merged = merge(DEFAULTS, yaml.safe_load(values(case).read_text()))
    jsonschema.validate(merged, SCHEMA)


@pytest.mark.parametrize("case", CASES)
def test_lint(case):
    said = helm("lint", CHART, "-f", values(case), "--strict", "--quiet")
    assert "[ERROR]" not in said and "[WARNING]" not in said, said


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_is_refused_with_its_place(path):
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    said = template("-f", values("default"), "-f", path, ok=False)
    assert expected in said, said


def test_an_old_kubernetes_is_refused():
    assert "chart requires kubeVersion: >=1.30" in template("-f", values("default"), version="1.29.0", ok=False)


def merge(left, right):
    both = {**left, **right}
    return {name: merge(left[name], value) if isinstance(value, dict) and isinstance(left.get(name), dict) else value for name, value in both.items()}

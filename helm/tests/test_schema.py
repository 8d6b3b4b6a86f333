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


# Keys that the schema takes although values.yaml has no default for them.
WITHOUT_DEFAULT = {
    "config": "Signet's own settings, whose defaults are the program's",
    "service.*.metricsPath": "metrics are the admin listener's; the definition is one for all four",
    "service.metrics.loadBalancerIP": "nothing outside the cluster scrapes; the definition is one for all four",
    "service.metrics.externalTrafficPolicy": "the same",
    "service.metrics.internalTrafficPolicy": "the same",
    "probes.*.initialDelaySeconds": "Ory's chart has it; the startup probe does without",
    "resources.claims": "Kubernetes' own, seldom used",
}


def at(path, pattern):
    """Whether a path is what a pattern of WITHOUT_DEFAULT means, or below it."""
    names, wanted = path.split("."), pattern.split(".")
    return len(names) >= len(wanted) and all(want in ("*", name) for name, want in zip(names, wanted))


def test_every_value_has_a_schema_and_every_schema_a_value():
    used = set()

    def walk(node, default, path):
        while "$ref" in node:
            node = SCHEMA["definitions"][node["$ref"].split("/")[-1]]
        if node.get("additionalProperties") is not False or not isinstance(default, dict):
            return
        known = set(node["properties"]) - (set() if path else ORY)
        for name in known - set(default) if default or not path else ():
            hit = [pattern for pattern in WITHOUT_DEFAULT if at(".".join([*path, name]), pattern)]
            assert hit, f"{'.'.join([*path, name])} has a schema and no default"
            used.update(hit)
        unknown = set(default) - known
        assert not unknown, f"{path}: {unknown}"
        for name, value in default.items():
            if isinstance(node["properties"][name], dict):
                walk(node["properties"][name], value, [*path, name])

    walk(SCHEMA, DEFAULTS, [])
    assert used == set(WITHOUT_DEFAULT), f"no longer needed: {set(WITHOUT_DEFAULT) - used}"


# Values that no case may change, for every case is held to them; or that something else tries.
SAME_IN_EVERY_CASE = {
    "secrets.generate": "needs a look at the cluster: test_sequence.py",
    "service.public.enabled": "bad/route-without-service.yaml, and ory_values.yaml",
    "service.admin.enabled": "bad/clients-without-admin.yaml, and ory_values.yaml",
    "strategy.type": "SQLite makes it Recreate by itself; every case is held to no replica going away",
    "strategy.rollingUpdate.maxUnavailable": "every case is held to 0",
    "podSecurityContext.runAsNonRoot": "every case is held to the restricted profile; so it is below",
    "podSecurityContext.seccompProfile.type": "",
    "securityContext.allowPrivilegeEscalation": "",
    "securityContext.readOnlyRootFilesystem": "",
    "securityContext.runAsNonRoot": "",
    "securityContext.capabilities.drop": "",
    "securityContext.seccompProfile.type": "",
}


def leaves(node, path=()):
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, (*path, name))
    else:
        yield path, node


def given(node, path):
    for name in path:
        if not isinstance(node, dict) or name not in node:
            return []
        node = node[name]
    return [node]


def test_every_value_is_another_in_some_case():
    cases = [yaml.safe_load(values(case).read_text()) for case in CASES]
    same = {".".join(path) for path, default in leaves(DEFAULTS) if not any(value != default for case in cases for value in given(case, path))}
    assert same == set(SAME_IN_EVERY_CASE), same ^ set(SAME_IN_EVERY_CASE)


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

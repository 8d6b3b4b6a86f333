"""Custom resources against the types and the validators that are generated from their definitions."""

import json
import os
import subprocess

import pytest
from conftest import CASES, TOOLS, objects

PACKAGES = {"monitoring.coreos.com": "prometheus-operator", "gateway.networking.k8s.io": "gateway-api",
            "external-secrets.io": "external-secrets", "keda.sh": "keda"}
NPM = TOOLS / "helm-npm"
VALIDATE = """
import {readFileSync} from "node:fs";
for (const {where, module, kind, object} of JSON.parse(readFileSync(process.argv[2]))) {
  const model = new (await import(module))[kind](object);
  try { model.validate(); } catch (error) { console.log(where + ": " + error.message); process.exitCode = 1; }
}
"""


def custom():
    for case in CASES:
        for doc in objects(case):
            group, _, version = doc["apiVersion"].partition("/")
            if group in PACKAGES:
                module = f"@kubernetes-models/{PACKAGES[group]}/{group}/{version}/{doc['kind']}"
                yield {"where": f"{case}: {doc['kind']}/{doc['metadata']['name']}", "module": module, "kind": doc["kind"], "object": doc}


@pytest.fixture
def folder():
    """Beside the packages, for that is where Node looks for them."""
    path = NPM / f"check-{os.getpid()}"
    path.mkdir(exist_ok=True)
    yield path
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def typed(folder, found):
    lines = []
    for index, each in enumerate(found):
        lines.append(f"import type {{ I{each['kind']} as T{index} }} from {json.dumps(each['module'])};")
        lines.append(f"export const o{index}: T{index} = {json.dumps(each['object'])}; // {each['where']}")
    (folder / "check.ts").write_text("\n".join(lines))
    return subprocess.run([NPM / "node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022",
                           "--module", "preserve", "--moduleResolution", "bundler", folder / "check.ts"], capture_output=True, text=True)


def test_every_kind_is_seen():
    kinds = {each["kind"] for each in custom()}
    assert kinds >= {"ServiceMonitor", "PodMonitor", "Probe", "HTTPRoute", "BackendTLSPolicy", "ExternalSecret", "ScaledObject"}


def test_no_unknown_field(folder):
    done = typed(folder, list(custom()))
    assert done.returncode == 0, done.stdout


def test_an_unknown_field_would_be_seen(folder):
    each = next(each for each in custom() if each["kind"] == "HTTPRoute")
    broken = {**each, "object": {**each["object"], "spec": {**each["object"]["spec"], "hostname": ["a"]}}}
    assert "hostname" in typed(folder, [broken]).stdout


def test_every_value_is_allowed(folder):
    (folder / "check.mjs").write_text(VALIDATE)
    (folder / "found.json").write_text(json.dumps(list(custom())))
    done = subprocess.run(["node", folder / "check.mjs", folder / "found.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

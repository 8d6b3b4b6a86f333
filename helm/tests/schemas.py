"""schemas.py TO: the strict JSON schemas of Kubernetes that the package kubernetes-validate brings, made fit for kubeconform: their
ids and references name a web site, which would be asked for them."""

import json
import pathlib
import sys

import kubernetes_validate

OLDEST = 30
source = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
for folder in sorted(source.glob("v1.*-local-strict")):
    version = folder.name.removesuffix("-local-strict")
    if int(version.split(".")[1]) < OLDEST:
        continue
    into = pathlib.Path(sys.argv[1]) / version
    into.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        schema = json.loads(path.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
        schema.pop("$id", None)
        (into / path.name).write_text(json.dumps(schema))

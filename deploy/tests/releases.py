"""releases.py HELM OUT FILE...: what Argo CD and Flux would install by the Applications and HelmReleases in these files: the
chart that they name is in this repository, takes their values, and gives manifests, one file for each in the folder OUT."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
helm, out, *files = sys.argv[1:]


def application(it):
    """An Application of Argo CD: release, namespace, chart, values."""
    source = it["spec"]["source"]
    return source["helm"]["releaseName"], it["spec"]["destination"]["namespace"], source["path"], source["helm"]["valuesObject"]


def release(it, documents):
    """A HelmRelease of Flux, from a GitRepository beside it."""
    spec, chart = it["spec"], it["spec"]["chart"]["spec"]
    sources = {(other["kind"], other["metadata"]["name"]) for other in documents}
    assert (chart["sourceRef"]["kind"], chart["sourceRef"]["name"]) in sources, f"no {chart['sourceRef']} in {sources}"
    return spec["releaseName"], spec["targetNamespace"], chart["chart"], spec["values"]


def found():
    for file in map(Path, files):
        documents = list(yaml.safe_load_all(file.read_text()))
        for it in documents:
            if it["kind"] == "Application":
                yield file, application(it)
            if it["kind"] == "HelmRelease":
                yield file, release(it, documents)


def rendered(name, namespace, chart, values):
    assert (ROOT / chart / "Chart.yaml").exists(), f"there is no chart in {chart}"
    command = [helm, "template", name, str(ROOT / chart), "--namespace", namespace, "--values", "-"]
    return subprocess.run(command, input=json.dumps(values), check=True, stdout=subprocess.PIPE, text=True).stdout


count = 0
for file, what in found():
    text = rendered(*what)
    images = {it["image"] for of in yaml.safe_load_all(text) if of and of["kind"] == "Deployment" for it in of["spec"]["template"]["spec"]["containers"]}
    wanted = "/".join(what[3]["image"].values())
    assert images and all(it.startswith(wanted) for it in images), f"{file}: it runs {images}, not {wanted}"
    (Path(out) / f"release-{file.parent.name}.yaml").write_text(text)
    count += 1
assert count == 2, f"{count} releases in {files}"
print(f"✓ the chart takes the values of {count} samples, and gives manifests")

"""pods.py SIGNET FILE: of the manifests in FILE, every pod is allowed under the restricted pod security standard and has a
root that cannot be written; ports, probes and services name what is there; a pod has the time that its shutdown takes; the
configuration is one that SIGNET takes."""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

signet, path = sys.argv[1:]
version = tomllib.loads((Path(__file__).parents[2] / "Cargo.toml").read_text())["package"]["version"]
documents = [it for it in yaml.safe_load_all(Path(path).read_text()) if it]
faults = []


def must(true, what):
    if not true:
        faults.append(what)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def of(kind):
    return [it for it in documents if it["kind"] == kind]


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def container_is_restricted(name, it):
    context = it["securityContext"]
    must(context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}, f"{name}: privileges")
    must(context["readOnlyRootFilesystem"] is True, f"{name}: its root can be written")
    must(it["image"] == f"signet:{version}", f"{name}: {it['image']} is not of version {version}")
    must({"requests", "limits"} <= it["resources"].keys(), f"{name}: resources")


def pod_is_restricted(name, pod):
    context = pod["securityContext"]
    must(context["runAsNonRoot"] and context["runAsUser"] == 65532, f"{name}: its user")
    must(context["seccompProfile"] == {"type": "RuntimeDefault"}, f"{name}: seccomp")
    must(pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False, f"{name}: tokens, links")
    must(not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), f"{name}: the host's")
    volumes = {it["name"]: it for it in pod.get("volumes", [])}
    must(not any("hostPath" in it for it in volumes.values()), f"{name}: hostPath")
    for it in [*pod.get("initContainers", []), *pod["containers"]]:
        container_is_restricted(f"{name}/{it['name']}", it)
        must({mount["name"] for mount in it["volumeMounts"]} <= volumes.keys(), f"{name}: mounts what is no volume")


def server(deployment):
    labels, pod = deployment["spec"]["template"]["metadata"]["labels"], deployment["spec"]["template"]["spec"]
    must(matches(deployment["spec"]["selector"]["matchLabels"], labels), "the Deployment does not select its pods")
    (container,) = pod["containers"]
    ports = {it["name"]: it["containerPort"] for it in container["ports"]}
    must(ports == {"public": 4444, "admin": 4445, "metrics": 9090}, f"ports {ports}")
    for probe, where in (("startupProbe", "alive"), ("readinessProbe", "ready"), ("livenessProbe", "alive")):
        get = container[probe]["httpGet"]
        must(get["port"] in ports and get["path"] == f"/health/{where}", f"{probe} {get}")
    for service in of("Service"):
        must(matches(service["spec"]["selector"], labels), f"{service['metadata']['name']} selects other pods")
        must(all(it["targetPort"] in ports for it in service["spec"]["ports"]), f"{service['metadata']['name']}: ports")
    for it in of("NetworkPolicy"):
        must(matches(it["spec"]["podSelector"]["matchLabels"], labels), "the NetworkPolicy is for other pods")
        must({rule["ports"][0]["port"] for rule in it["spec"]["ingress"]} == ports.keys(), "the NetworkPolicy's ports")
        admin = [peer for rule in it["spec"]["ingress"] if rule["ports"][0]["port"] == "admin" for peer in rule["from"]]
        must(admin and all(peer.keys() == {"podSelector"} for peer in admin), f"other namespaces reach the admin port: {admin}")
    for it in of("PodMonitor"):
        must(matches(it["spec"]["selector"]["matchLabels"], labels), "the PodMonitor is for other pods")
        must([end["port"] for end in it["spec"]["podMetricsEndpoints"]] == ["metrics"], "the PodMonitor's port")
    for it in of("PodDisruptionBudget"):
        must(matches(it["spec"]["selector"]["matchLabels"], labels), "the PodDisruptionBudget is for other pods")
    for it in of("HTTPRoute"):
        names = {service["metadata"]["name"] for service in of("Service")}
        backends = {ref["name"] for rule in it["spec"]["rules"] for ref in rule["backendRefs"]}
        must(backends == {"signet-public"} and backends <= names, f"the route leads to {backends}")
    for it in of("HorizontalPodAutoscaler"):
        must("replicas" not in deployment["spec"], "the autoscaler and the Deployment both say how many")
        must(it["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"], "the autoscaler's target")
    configured(deployment, pod, container)


def configured(deployment, pod, container):
    """The configuration with what the container's environment would give: taken, and shut down in time."""
    name = next(it["configMap"]["name"] for it in pod["volumes"] if "configMap" in it)
    (config,) = [it for it in of("ConfigMap") if it["metadata"]["name"] == name]
    text = config["data"]["signet.yaml"]
    serve = yaml.safe_load(text)["serve"]
    must(serve["metrics"] == {"enabled": True}, f"the metrics listener, on its port: {serve.get('metrics')}")
    shutdown = serve["shutdown"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    takes = before + seconds(shutdown["drain_delay"]) + seconds(shutdown.get("timeout", "25s"))
    grace = pod["terminationGracePeriodSeconds"]
    must(takes < grace, f"shutting down takes {takes} s of {grace} s")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signet.yaml"
        file.write_text(text)
        environment = {}
        for it in container["env"]:
            secret = Path(folder) / it["name"]
            secret.write_text("memory" if it["name"].startswith("DSN") else "only-for-this-check-and-no-other-thing")
            environment[it["name"]] = str(secret)
        dev = ["--dev"] if "--dev" in container["args"] else []
        said = subprocess.run([signet, "config", "validate", "-c", file, *dev], env=environment, capture_output=True, text=True)
        must(said.returncode == 0, said.stderr)
    must("secret" not in text.lower(), "there is a secret in the ConfigMap")


for kind in ("Deployment", "Job"):
    for it in of(kind):
        pod_is_restricted(f"{kind} {it['metadata']['name']}", it["spec"]["template"]["spec"])
(deployment,) = of("Deployment")
server(deployment)
(namespace,) = of("Namespace")
must(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", "the namespace is not restricted")
if faults:
    raise SystemExit(f"{path}:\n  " + "\n  ".join(faults))

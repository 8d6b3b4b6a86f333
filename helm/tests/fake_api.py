"""A Kubernetes API server as far as Helm needs one: discovery, objects in memory, watches, server-side apply, and just so
much of the controllers that Jobs end and Deployments become ready. It listens on loopback and knows no authentication.

    fake_api.py PORT LOG [--jobs-fail]

Every change is a line of JSON in LOG: what Helm did (create, update, patch, apply, delete; `same` when a write changed
nothing) and what the controllers did (`complete`, `failed`, `available`). Releases, which Helm keeps in Secrets, are left out.
A Deployment becomes available when the schema for its image is there: a migration's Job with that image has completed, or
the pod migrates in an init container.
"""

import copy
import hashlib
import http.server
import json
import re
import sys
import threading
import time
import uuid
from urllib.parse import parse_qs, urlparse

import yaml

RESOURCES = {
    "v1": [("secrets", "Secret"), ("configmaps", "ConfigMap"), ("services", "Service"), ("pods", "Pod"), ("events", "Event"),
           ("serviceaccounts", "ServiceAccount"), ("persistentvolumeclaims", "PersistentVolumeClaim"), ("namespaces", "Namespace")],
    "apps/v1": [("deployments", "Deployment"), ("replicasets", "ReplicaSet"), ("statefulsets", "StatefulSet")],
    "batch/v1": [("jobs", "Job"), ("cronjobs", "CronJob")],
    "networking.k8s.io/v1": [("ingresses", "Ingress"), ("networkpolicies", "NetworkPolicy")],
    "policy/v1": [("poddisruptionbudgets", "PodDisruptionBudget")],
    "autoscaling/v2": [("horizontalpodautoscalers", "HorizontalPodAutoscaler")],
    "monitoring.coreos.com/v1": [("servicemonitors", "ServiceMonitor"), ("podmonitors", "PodMonitor"), ("probes", "Probe"),
                                 ("prometheusrules", "PrometheusRule")],
    "gateway.networking.k8s.io/v1": [("httproutes", "HTTPRoute")],
}
JOB_SECONDS = 0.6


class Cluster:
    """The objects, their versions, and the controllers."""

    def __init__(self, log, jobs_fail):
        self.objects, self.version, self.lock = {}, 1, threading.RLock()
        self.log, self.jobs_fail, self.born = open(log, "a", buffering=1), jobs_fail, {}
        for name in ("default", "kube-system"):
            self.namespace(name)

    def namespace(self, name):
        self.save(("v1", "namespaces", "", name), {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}, None)
        account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}}
        self.save(("v1", "serviceaccounts", name, "default"), account, None)

    def note(self, verb, obj):
        meta = obj["metadata"]
        if not meta["name"].startswith("sh.helm.release"):
            line = {"verb": verb, "kind": obj["kind"], "name": meta["name"], "object": obj}
            self.log.write(json.dumps(line) + "\n")

    def save(self, key, obj, verb):
        with self.lock:
            old, meta = self.objects.get(key), obj.setdefault("metadata", {})
            meta.pop("managedFields", None)
            kept = old["metadata"] if old else {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
            for name in ("uid", "creationTimestamp", "generation", "resourceVersion"):
                meta[name] = kept.get(name)
            if key[2]:
                meta["namespace"] = key[2]
            if obj["kind"] == "Service":
                obj["spec"].setdefault("clusterIP", "10.0.0.1")
            if old and "status" in old:
                obj["status"] = copy.deepcopy(old["status"])
            if obj == old:
                if verb:
                    self.note("same", obj)
                return old
            if old and old.get("spec") != obj.get("spec"):
                meta["generation"] += 1
            self.version += 1
            meta["resourceVersion"] = str(self.version)
            self.objects[key] = obj
            self.born.setdefault(meta["uid"], time.monotonic())
            if verb:
                self.note(verb, obj)
            return obj

    def delete(self, key):
        with self.lock:
            gone = self.objects.pop(key)
            self.note("delete", gone)
            for other, obj in list(self.objects.items()):  # what it owned
                if any(owner["uid"] == gone["metadata"]["uid"] for owner in obj["metadata"].get("ownerReferences", [])):
                    del self.objects[other]

    def status(self, obj, status, event):
        """Sets a status and says so once."""
        if obj.get("status") == status:
            return
        self.version += 1
        obj["metadata"]["resourceVersion"], obj["status"] = str(self.version), status
        if event:
            self.note(event, obj)

    def control(self):
        while True:
            with self.lock:
                for key, obj in list(self.objects.items()):
                    step = {"jobs": self.job, "pods": self.pod, "deployments": self.deployment}.get(key[1])
                    if step:
                        step(obj)
                    if key[1] == "persistentvolumeclaims":
                        self.status(obj, {"phase": "Bound"}, None)
            time.sleep(0.1)

    def old_enough(self, obj):
        return time.monotonic() - self.born[obj["metadata"]["uid"]] > JOB_SECONDS

    def job(self, job):
        times = {"startTime": "2026-01-01T00:00:00Z"}
        if not self.old_enough(job):
            self.status(job, {**times, "active": 1}, None)
        elif self.jobs_fail:
            self.status(job, {**times, "failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}, "failed")
        else:
            done = {**times, "succeeded": 1, "completionTime": "2026-01-01T00:00:01Z"}
            self.status(job, {**done, "conditions": [{"type": "Complete", "status": "True"}]}, "complete")

    def pod(self, pod):
        if self.old_enough(pod):
            self.status(pod, {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "True"}]}, "complete")

    def deployment(self, deployment):
        spec, meta = deployment["spec"], deployment["metadata"]
        count, seen = spec.get("replicas", 1), {"observedGeneration": meta["generation"]}
        if self.has_schema(spec["template"]["spec"]):
            conditions = [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
            counts = dict.fromkeys(["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"], count)
            self.replica_set(deployment, count)
            self.status(deployment, {**seen, **counts, "conditions": conditions}, "available")
        else:
            conditions = [{"type": "Available", "status": "False"}, {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]
            self.status(deployment, {**seen, "replicas": count, "updatedReplicas": count, "unavailableReplicas": count, "conditions": conditions}, None)

    def replica_set(self, deployment, ready):
        """The newest one, which Helm 3 looks at."""
        spec, meta = deployment["spec"], deployment["metadata"]
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:8]
        key = ("apps/v1", "replicasets", meta["namespace"], f"{meta['name']}-{digest}")
        if key not in self.objects:
            owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"], "controller": True}
            of_it = {"name": key[3], "labels": spec["template"]["metadata"]["labels"], "ownerReferences": [owner]}
            body = {"replicas": ready, "selector": spec["selector"], "template": copy.deepcopy(spec["template"])}
            self.save(key, {"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": of_it, "spec": body}, None)
        self.status(self.objects[key], {"observedGeneration": 1, "replicas": ready, "readyReplicas": ready, "availableReplicas": ready}, None)

    def has_schema(self, pod):
        image = pod["containers"][0]["image"]
        if any(container["name"] == "migrate" for container in pod.get("initContainers", [])):
            return True
        return any(key[1] == "jobs" and (job.get("status") or {}).get("succeeded") and "migrate" in job["metadata"]["name"]
                   and job["spec"]["template"]["spec"]["containers"][0]["image"] == image for key, job in self.objects.items())


def merge(into, patch):
    """RFC 7396, with lists as a whole: near enough to a strategic merge for what Helm sends here."""
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def fields(data):
    """(number, value) of a protobuf message; only varints and bytes occur."""
    at = 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            at += value
            value = data[at - value:at]
        yield tag >> 3, value


def protobuf_secret(body):
    """A Secret as Helm's typed client sends it: "k8s\\0", an envelope, and in its field 2 the object."""
    import base64

    def entry(data):
        pair = dict(fields(data))
        return pair[1].decode(), pair.get(2, b"")

    raw = dict(fields(body[4:]))[2]
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"labels": {}, "annotations": {}}, "data": {}}
    for number, value in fields(raw):
        if number == 1:
            for inner, text in fields(value):
                if inner == 1:
                    secret["metadata"]["name"] = text.decode()
                elif inner in (11, 12):
                    key, found = entry(text)
                    secret["metadata"]["labels" if inner == 11 else "annotations"][key] = found.decode()
        elif number == 2:
            key, found = entry(value)
            secret["data"][key] = base64.b64encode(found).decode()
        elif number == 3:
            secret["type"] = value.decode()
    return secret


def selected(obj, labels, names):
    """Label selectors of the forms a=b, a==b, a!=b and a; a field selector by name."""
    have = obj["metadata"].get("labels") or {}
    for term in filter(None, re.split(r",(?![^(]*\))", labels)):
        if "!=" in term:
            name, value = term.split("!=", 1)
            ok = have.get(name) != value
        elif " in " in term:
            name, values = term.split(" in ", 1)
            ok = have.get(name) in values.strip("()").split(",")
        elif "=" in term:
            name, value = term.replace("==", "=").split("=", 1)
            ok = have.get(name) == value
        else:
            ok = term in have
        if not ok:
            return False
    wanted = re.match(r"metadata\.name=(.*)", names)
    return not wanted or obj["metadata"]["name"] == wanted.group(1)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster = None

    def log_message(self, *_):
        pass

    def answer(self, code, obj):
        self.text(code, json.dumps(obj), "application/json")

    def text(self, code, text, kind="text/plain"):
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, reason, message=""):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": message})

    def handle_request(self):
        url = urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.discovery(url.path):
            return
        parts = url.path.strip("/").split("/")
        group, rest = ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        if group not in RESOURCES or not rest:
            return self.refuse(404, "NotFound", url.path)
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind = next((kind for plural, kind in RESOURCES[group] if plural == rest[0]), None)
        if kind is None:
            return self.refuse(404, "NotFound", url.path)
        if rest[2:] == ["log"]:
            return self.text(200, "(the fake API runs nothing)\n")
        key = (group, rest[0], namespace, rest[1] if len(rest) > 1 else None)
        with self.cluster.lock:
            if self.command != "GET":
                return self.write(key, kind, body, query)
            if key[3]:
                found = self.cluster.objects.get(key)
                return self.answer(200, found) if found else self.refuse(404, "NotFound", f'{key[1]} "{key[3]}" not found')
            if not query.get("watch"):
                listed = {"resourceVersion": str(self.cluster.version)}
                return self.answer(200, {"kind": kind + "List", "apiVersion": group, "metadata": listed, "items": self.matching(key, query)})
        return self.watch(key, kind, query)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def matching(self, key, query):
        return [copy.deepcopy(obj) for at, obj in sorted(self.cluster.objects.items())
                if at[:2] == key[:2] and key[2] in ("", at[2]) and selected(obj, query.get("labelSelector", ""), query.get("fieldSelector", ""))]

    def write(self, key, kind, body, query):
        cluster, objects, content = self.cluster, self.cluster.objects, self.headers.get("Content-Type", "")
        if self.command == "DELETE":
            if key not in objects:
                return self.refuse(404, "NotFound")
            cluster.delete(key)
            return self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        obj = protobuf_secret(body) if body.startswith(b"k8s\0") else yaml.safe_load(body)
        key = key if key[3] else (*key[:3], obj["metadata"]["name"])
        old = objects.get(key)
        if self.command == "POST" and old:
            return self.refuse(409, "AlreadyExists", f'{key[1]} "{key[3]}" already exists')
        verb = {"POST": "create", "PUT": "update"}.get(self.command) or ("apply" if "apply-patch" in content else "patch")
        if verb == "patch":
            if not old:
                return self.refuse(404, "NotFound")
            patch, obj = obj, copy.deepcopy(old)
            merge(obj, patch)
        obj.setdefault("kind", kind)
        obj.setdefault("apiVersion", key[0])
        if kind == "Job" and old and old["spec"]["template"] != obj["spec"]["template"]:
            return self.refuse(422, "Invalid", f"Job {key[3]}: spec.template: field is immutable")
        if kind == "Deployment" and old and old["spec"]["selector"] != obj["spec"]["selector"]:
            return self.refuse(422, "Invalid", f"Deployment {key[3]}: spec.selector: field is immutable")
        if query.get("dryRun"):
            return self.answer(200, obj)
        if kind == "Namespace" and not old:
            cluster.namespace(key[3])
            return self.answer(201, objects[key])
        return self.answer(200 if old else 201, cluster.save(key, obj, verb))

    def watch(self, key, kind, query):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def send(event, obj):
            line = json.dumps({"type": event, "object": obj}).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()

        seen = {}
        bookmark = bool(query.get("sendInitialEvents"))
        try:
            for _ in range(300):
                with self.cluster.lock:
                    now = {obj["metadata"]["uid"]: obj for obj in self.matching(key, query)}
                for uid, obj in now.items():
                    if uid not in seen or seen[uid]["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                        send("MODIFIED" if uid in seen else "ADDED", obj)
                for uid in seen.keys() - now.keys():
                    send("DELETED", seen[uid])
                seen = now
                if bookmark:
                    meta = {"resourceVersion": str(self.cluster.version), "annotations": {"k8s.io/initial-events-end": "true"}}
                    send("BOOKMARK", {"kind": kind, "apiVersion": key[0], "metadata": meta})
                    bookmark = False
                time.sleep(0.1)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def discovery(self, path):
        groups = [group for group in RESOURCES if "/" in group]
        if path == "/version":
            self.answer(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        elif path == "/api":
            self.answer(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        elif path == "/apis":
            def named(group):
                version = {"groupVersion": group, "version": group.split("/")[1]}
                return {"name": group.split("/")[0], "versions": [version], "preferredVersion": version}
            self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [named(group) for group in groups]})
        elif path == "/openapi/v3":
            def place(group):
                return "api/v1" if group == "v1" else "apis/" + group
            self.answer(200, {"paths": {place(group): {"serverRelativeURL": f"/openapi/v3/{place(group)}?hash=x"} for group in RESOURCES}})
        elif path.startswith("/openapi/v3/"):
            self.openapi(path.removeprefix("/openapi/v3"))
        elif path.strip("/").removeprefix("apis/").removeprefix("api/") in RESOURCES:
            group = path.strip("/").removeprefix("apis/").removeprefix("api/")
            verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
            listed = [{"name": plural, "singularName": "", "namespaced": plural != "namespaces", "kind": kind, "verbs": verbs}
                      for plural, kind in RESOURCES[group]]
            self.answer(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": listed})
        else:
            return False
        return True

    def openapi(self, base):
        """Just so much that Helm finds the server able to check fields."""
        group = base.removeprefix("/apis/").removeprefix("/api/")
        name, _, version = group.rpartition("/")
        parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
        paths = {}
        for plural, kind in RESOURCES.get(group, []):
            patch = {"x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": {"group": name, "version": version, "kind": kind},
                     "parameters": [parameter], "responses": {"200": {"description": "ok"}}}
            paths[f"{base}/namespaces/{{namespace}}/{plural}/{{name}}"] = {"patch": patch}
        self.answer(200, {"openapi": "3.0.0", "info": {"title": "fake", "version": "v1"}, "paths": paths})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


if __name__ == "__main__":
    Handler.cluster = Cluster(sys.argv[2], "--jobs-fail" in sys.argv)
    threading.Thread(target=Handler.cluster.control, daemon=True).start()
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

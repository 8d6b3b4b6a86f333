"""What must be true of the objects, whatever the values."""

import base64
import json
import re
import subprocess

import pytest
import yaml
from conftest import CASES, CHART, REPO, containers, helm, matches, objects, of_kind, one, pods, server, template, values

ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_every_pod_is_restricted(case):
    """The restricted profile of the pod security standards, and a root file system that is read-only."""
    seen = 0
    for where, _, spec in pods(objects(case)):
        seen += 1
        pod = spec["securityContext"]
        assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")), where
        assert pod["runAsNonRoot"] is True and pod["seccompProfile"] == {"type": "RuntimeDefault"}, where
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= ALLOWED_VOLUMES, (where, volume)
        for container in containers(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and not context.get("privileged"), (where, container["name"])
            assert context["capabilities"] == {"drop": ["ALL"]}, (where, container["name"])
            assert context["runAsNonRoot"] is True and context.get("runAsUser", 1) != 0, (where, container["name"])
            assert context["readOnlyRootFilesystem"] is True, (where, container["name"])
            assert not any("hostPort" in port for port in container.get("ports", [])), where
    assert seen >= 2


@every_case
def test_no_pod_has_a_token_of_kubernetes(case):
    for where, _, spec in pods(objects(case)):
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, where
    for account in of_kind(objects(case), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    assert not of_kind(objects(case), "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


@every_case
def test_every_container_has_resources(case):
    for where, _, spec in pods(objects(case)):
        for container in containers(spec):
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"} and "memory" in container["resources"]["limits"], where


@every_case
def test_names_and_namespaces(case):
    for doc in objects(case):
        assert doc["metadata"]["namespace"] == "identity", doc["metadata"]
        assert len(doc["metadata"]["name"]) <= (52 if doc["kind"] == "CronJob" else 63)
        assert all(len(str(value)) <= 63 for value in doc["metadata"].get("labels", {}).values())


def test_long_names_still_fit():
    long = "a-name-that-is-much-longer-than-anybody-would-ever-want-it"
    docs = [doc for doc in yaml.safe_load_all(template("-f", values("everything"), "--set", f"fullnameOverride={long}")) if doc]
    for doc in docs:
        assert len(doc["metadata"]["name"]) <= (52 if doc["kind"] == "CronJob" else 63), doc["metadata"]["name"]
    assert len({(doc["kind"], doc["metadata"]["name"]) for doc in docs}) == len(docs)


@every_case
def test_selectors_hit_the_server_and_nothing_else(case):
    docs = objects(case)
    deployment, (labels, spec) = one(docs, "Deployment"), server(docs)
    selectors = [("Deployment", deployment["spec"]["selector"])]
    selectors += [(f"PDB {doc['metadata']['name']}", doc["spec"]["selector"]) for doc in of_kind(docs, "PodDisruptionBudget")]
    selectors += [(f"Service {doc['metadata']['name']}", {"matchLabels": doc["spec"]["selector"]}) for doc in of_kind(docs, "Service")]
    selectors += [(f"PodMonitor", doc["spec"]["selector"]) for doc in of_kind(docs, "PodMonitor")]
    selectors += [("spread", each["labelSelector"]) for each in spec["topologySpreadConstraints"]]
    for where, selector in selectors:
        hit = [at for at, found, _ in pods(docs) if matches(selector, found)]
        assert hit == [f"Deployment/{deployment['metadata']['name']}"], (where, hit)
    scaled = [doc["spec"]["scaleTargetRef"]["name"] for doc in of_kind(docs, "HorizontalPodAutoscaler", "ScaledObject")]
    assert all(name == deployment["metadata"]["name"] for name in scaled)
    assert bool(scaled) == ("replicas" not in deployment["spec"])
    for hpa in of_kind(docs, "HorizontalPodAutoscaler"):
        for metric in hpa["spec"]["metrics"]:
            assert metric.get("containerResource", {}).get("container", "signet") in [each["name"] for each in spec["containers"]]


@every_case
def test_ports_resolve(case):
    docs = objects(case)
    _, spec = server(docs)
    container = next(each for each in spec["containers"] if each["name"] == "signet")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert len(set(ports.values())) == len(ports)
    config = yaml.safe_load(one([d for d in docs if "signet.yaml" in d.get("data", {})], "ConfigMap")["data"]["signet.yaml"])
    for name, port in ports.items():
        assert config["serve"][name]["port"] == port
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/alive"
    services = {doc["metadata"]["name"]: doc["spec"]["ports"] for doc in of_kind(docs, "Service")}
    for name, entries in services.items():
        assert all(entry["targetPort"] in ports for entry in entries), name
    for policy in of_kind(docs, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            assert all(port["port"] in ports for port in rule["ports"])
    for ingress in of_kind(docs, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                assert backend["port"]["name"] in [port["name"] for port in services[backend["name"]]]
    for route in of_kind(docs, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            assert len(rule["matches"]) <= 8
            for backend in rule["backendRefs"]:
                assert backend["port"] in [port["port"] for port in services[backend["name"]]]
    for monitor in of_kind(docs, "ServiceMonitor"):
        hit = [doc for doc in of_kind(docs, "Service") if matches(monitor["spec"]["selector"], doc["metadata"]["labels"])]
        assert len(hit) == 1, [doc["metadata"]["name"] for doc in hit]
        assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in hit[0]["spec"]["ports"]]
    for monitor in of_kind(docs, "PodMonitor"):
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in ports


@every_case
def test_the_grace_period_is_long_enough(case):
    docs = objects(case)
    _, spec = server(docs)
    config = yaml.safe_load(one([d for d in docs if "signet.yaml" in d.get("data", {})], "ConfigMap")["data"]["signet.yaml"])
    waits = [int(config["serve"]["shutdown"][name].removesuffix("s")) for name in ("drain_delay", "timeout")]
    container = next(each for each in spec["containers"] if each["name"] == "signet")
    waits.append(container["lifecycle"]["preStop"]["sleep"]["seconds"])
    assert min(waits) > 0 and spec["terminationGracePeriodSeconds"] > sum(waits)
    probe = container["readinessProbe"]
    assert waits[0] > 0 and container["livenessProbe"]["failureThreshold"] * container["livenessProbe"]["periodSeconds"] >= 60
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]


@every_case
def test_a_rolling_update_takes_no_replica_away(case):
    spec = one(objects(case), "Deployment")["spec"]
    if case.startswith("sqlite"):
        assert spec["strategy"] == {"type": "Recreate"} and spec["replicas"] == 1
    else:
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0 and spec["strategy"]["type"] == "RollingUpdate"


@every_case
def test_no_secret_outside_a_secret(case):
    """What the values keep secret, and what is in the rendered Secret, stands in no other object."""
    docs = objects(case)
    hidden = {"in-the-secret-only", "ignored:ignored"}
    for secret in of_kind(docs, "Secret"):
        for value in secret["data"].values():
            hidden |= {line for line in base64.b64decode(value).decode().splitlines() if line}
    for doc in docs:
        if doc["kind"] != "Secret":
            found = [text for text in hidden if text in yaml.safe_dump(doc, width=10000)]
            assert not found, (doc["kind"], doc["metadata"]["name"])
    for where, _, spec in pods(docs):
        for container in containers(spec):
            for env in container.get("env", []):
                if env["name"] == "DSN":
                    assert env["value"] == "sqlite:///data/signet.sqlite"
                assert not env["name"].startswith("SECRETS_") or env["name"].endswith("_FILE"), where


@every_case
def test_only_the_server_has_the_system_secret(case):
    for where, _, spec in pods(objects(case)):
        files = [item["path"] for volume in spec.get("volumes", []) if volume["name"] == "secrets"
                 for source in volume["projected"]["sources"] for item in source["secret"]["items"]]
        main = spec["containers"][0]
        named = [env["value"].split("/")[-1] for env in main.get("env", []) if env["name"].endswith("_FILE")]
        assert sorted(named) == sorted(files), where
        assert ("system" in files) == where.startswith("Deployment/"), where


@every_case
def test_network_policies_close_everything_but_what_is_named(case):
    docs = objects(case)
    policies = of_kind(docs, "NetworkPolicy")
    if case == "two-ports":
        assert not policies
        return
    for where, labels, _ in pods(docs):
        hit = [policy for policy in policies if matches(policy["spec"]["podSelector"], labels)]
        assert len(hit) == 1, where
        assert hit[0]["spec"]["policyTypes"] == (["Ingress"] if case == "sqlite-claim" else ["Ingress", "Egress"])
        assert ("egress" in hit[0]["spec"]) == (case != "sqlite-claim")
        rules = hit[0]["spec"].get("ingress", [])
        if not where.startswith("Deployment/"):
            assert not rules, where
            continue
        for rule in rules:
            for port in rule["ports"]:
                assert port["port"] == "public" or rule["from"], (where, port)
        test = next((found for at, found, _ in pods(docs) if at.startswith("Pod/")))
        admin = next(rule["from"] for rule in rules if rule["ports"][0]["port"] == "admin")
        assert [peer for peer in admin if matches(peer.get("podSelector", {"matchLabels": {"x": "x"}}), test)]
    assert any("adminFrom" in values(name).read_text() for name in CASES)


def test_the_admin_port_is_closed_unless_somebody_is_named():
    rules = next(doc for doc in of_kind(objects("default"), "NetworkPolicy") if doc["metadata"]["name"] == "rel-signet")["spec"]["ingress"]
    admin = [rule for rule in rules if rule["ports"] == [{"port": "admin", "protocol": "TCP"}]]
    assert len(admin) == 1
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in admin[0]["from"]] == ["test"]
    assert not [rule for rule in rules if rule["ports"][0]["port"] in ("gateway", "metrics")]


def test_the_port_of_the_database_is_open():
    policy = of_kind(objects("postgres-redis"), "NetworkPolicy")[0]
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])]
    assert {53, 443, 5432, 6379, 6380, 6432} <= set(ports)


def test_the_way_out_leads_only_where_the_values_say():
    policy = of_kind(objects("rest"), "NetworkPolicy")[0]
    (rule,) = [rule for rule in policy["spec"]["egress"] if {"port": 443, "protocol": "TCP"} in rule.get("ports", [])]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_every_listener_can_be_published(kind):
    names = {doc["metadata"]["name"]: doc for doc in of_kind(objects("everything"), kind)}
    assert set(names) == {f"rel-signet-{listener}" for listener in ("public", "admin", "gateway")}
    for name, doc in names.items():
        rules = doc["spec"]["rules"]
        backends = {path["backend"]["service"]["name"] for rule in rules for path in rule.get("http", {}).get("paths", [])}
        backends |= {backend["name"] for rule in rules for backend in rule.get("backendRefs", [])}
        assert backends == {name}


@every_case
def test_published_paths_are_public_ones(case):
    """Ory's values and the admin ingress name their own; everything else is the list of the chart."""
    docs = objects(case)
    paths = [match["path"]["value"] for route in of_kind(docs, "HTTPRoute") if route["metadata"]["name"].endswith("-public")
             for rule in route["spec"]["rules"] for match in rule["matches"]]
    if case != "ory":
        paths += [path["path"] for ingress in of_kind(docs, "Ingress") if ingress["metadata"]["name"].endswith("-public")
                  for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert not [path for path in paths if re.match(r"^/(admin|health|metrics|clients|keys|version)?$", path) or path.startswith("/admin")]
    if case == "everything":
        routes = re.findall(r'\("[A-Z]+", "(/[^"]+)"\)', (REPO / "src/http/public/mod.rs").read_text().split("pub fn routes")[0])
        served = [route for route in routes if not route.startswith("/health")]
        assert len(served) > 10
        unpublished = [route for route in served if not [path for path in paths if route == path or route.startswith(path + "/")]]
        assert not unpublished, f"add to signet.publicPaths: {unpublished}"


@every_case
def test_only_tests_and_chosen_migrations_are_hooks(case):
    hooks = {doc["kind"] for doc in objects(case) if "helm.sh/hook" in doc["metadata"].get("annotations", {})}
    assert hooks == ({"Pod", "Job"} if case == "two-ports" else {"Pod"})


def wave(doc):
    return int(doc["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0"))


@every_case
def test_the_account_of_a_job_is_there_before_it(case):
    """A hook runs before the release's own objects are there, and a sync wave before the later ones."""
    docs = objects(case)
    accounts = {doc["metadata"]["name"]: wave(doc) for doc in of_kind(docs, "ServiceAccount")}
    for job in of_kind(docs, "Job"):
        account = job["spec"]["template"]["spec"]["serviceAccountName"]
        if "helm.sh/hook" in job["metadata"].get("annotations", {}):
            assert account not in accounts, f"{job['metadata']['name']} waits for {account}"
        else:
            assert accounts.get(account, wave(job)) <= wave(job), f"{account} comes after {job['metadata']['name']}"


def job_name(*args):
    docs = [doc for doc in yaml.safe_load_all(template("-f", values("default"), *args)) if doc]
    return one(docs, "Job")["metadata"]["name"]


def test_the_migration_is_named_by_its_content():
    name = job_name()
    assert re.fullmatch(r"rel-signet-migrate-[0-9a-f]{8}", name)
    assert job_name("--set", "replicaCount=5", "--set", "config.log.level=debug", "--set", "service.gateway.enabled=true") == name
    others = {job_name("--set", what) for what in ("image.tag=9.9.9", "secrets.existingSecret=other", "migrations.extraEnv[0].name=X")}
    assert len(others) == 3 and name not in others


def of_component(docs, component):
    return [doc for doc in of_kind(docs, "Job") if doc["metadata"]["labels"]["app.kubernetes.io/component"] == component]


@every_case
def test_how_migrations_run(case):
    docs = objects(case)
    init = [each["name"] for each in server(docs)[1].get("initContainers", [])]
    jobs = of_component(docs, "migrate")
    assert (("migrate" in init) + len(jobs)) == 1
    args = (jobs[0]["spec"]["template"]["spec"]["containers"] if jobs else server(docs)[1]["initContainers"])[0]["args"]
    assert args == ["migrate", "sql", "-e", "--yes"]


def clients_of(docs):
    """The Job of clients, and the file that it reads."""
    (job,) = of_component(docs, "clients")
    sources = job["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    (config,) = [doc for doc in of_kind(docs, "ConfigMap") if doc["metadata"]["name"] == sources[0]["configMap"]["name"]]
    return job, sources, json.loads(config["data"]["clients.json"])


def test_clients_arrive_as_they_stand():
    """To the letter, numbers included; a secret is a file beside the others."""
    _, sources, file = clients_of(objects("everything"))
    given = yaml.safe_load(values("everything").read_text())["clients"]
    refs = {f"secrets/{index}": client.pop("secretRef") for index, client in enumerate(given) if "secretRef" in client}
    assert [client.pop("client_secret_file", None) for client in file] == ["secrets/0", "secrets/1", None]
    assert file == given and type(file[0]["metadata"]["tier"]) is int
    mounted = {source["secret"]["items"][0]["path"]: {"name": source["secret"]["name"], "key": source["secret"]["items"][0]["key"]}
               for source in sources[1:]}
    assert mounted == refs


def test_a_client_is_no_template():
    braces = {"free": "{{ .Release.Name }}"}
    said = template("-f", values("argo"), "--set-json", f"clients[0].metadata={json.dumps(braces)}")
    assert clients_of([doc for doc in yaml.safe_load_all(said) if doc])[2][0]["metadata"] == braces


@pytest.mark.parametrize("case", ["everything", "argo"])
def test_the_job_of_clients_reaches_what_it_calls(case):
    docs = objects(case)
    spec = clients_of(docs)[0]["spec"]["template"]["spec"]
    args, labels = spec["containers"][0]["args"], clients_of(docs)[0]["spec"]["template"]["metadata"]["labels"]
    assert args[:3] == ["apply", "oauth2-clients", f"{spec['containers'][0]['volumeMounts'][0]['mountPath']}/clients.json"]
    assert args[args.index("--set") + 1] == "identity/rel-signet" and ("--prune" in args) == (case == "everything")
    services = {doc["metadata"]["name"]: doc["spec"]["ports"][0] for doc in of_kind(docs, "Service")}
    ingress = next(doc for doc in of_kind(docs, "NetworkPolicy") if doc["metadata"]["name"] == "rel-signet")["spec"]["ingress"]
    for flag, listener in (("--endpoint", "admin"), ("--public", "public")):
        host, _, port = args[args.index(flag) + 1].removeprefix("http://").partition(":")
        assert services[host]["port"] == int(port) and services[host]["targetPort"] == listener
        (rule,) = [rule for rule in ingress if rule["ports"][0]["port"] == listener]
        assert "from" not in rule or [peer for peer in rule["from"] if matches(peer.get("podSelector", {"matchLabels": {"x": "x"}}), labels)]
    egress = next(doc for doc in of_kind(docs, "NetworkPolicy") if matches(doc["spec"]["podSelector"], labels))["spec"]["egress"]
    assert any(matches(peer["podSelector"], server(docs)[0]) for rule in egress for peer in rule.get("to", []) if "podSelector" in peer)


def test_the_job_of_clients_is_named_by_its_content():
    def names(*args):
        docs = [doc for doc in yaml.safe_load_all(template("-f", values("argo"), *args)) if doc]
        job, sources, _ = clients_of(docs)
        return job["metadata"]["name"], sources[0]["configMap"]["name"]

    job, config = names()
    assert re.fullmatch(r"rel-signet-clients-[0-9a-f]{8}", job) and re.fullmatch(r"rel-signet-clients-[0-9a-f]{8}", config)
    assert names("--set", "replicaCount=5,config.log.level=debug,secrets.existingSecret=other") == (job, config)
    changed = [names("--set", what) for what in ("clients[0].scope=openid offline", "clientsJob.rerun=again", "image.tag=9.9.9")]
    assert len({job, *(name for name, _ in changed)}) == 4
    assert [name == config for _, name in changed] == [False, True, True]


def test_without_clients_there_is_no_job_of_them():
    assert not of_component(objects("default"), "clients")
    docs = [doc for doc in yaml.safe_load_all(template("-f", values("default"), "--set", "clientsJob.prune=true")) if doc]
    assert clients_of(docs)[2] == []


def test_sqlite_keeps_its_file():
    docs = objects("sqlite")
    claim = one(docs, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    _, spec = server(docs)
    assert {"name": "data", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in spec["volumes"]
    for container in containers(spec):
        assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
    assert not of_kind(docs, "Job", "PodDisruptionBudget", "HorizontalPodAutoscaler")


def test_sqlite_on_a_claim_of_ones_own():
    docs = objects("sqlite-claim")
    assert not of_kind(docs, "PersistentVolumeClaim")
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "signet-data"}} in server(docs)[1]["volumes"]


def sweeper(release, *args):
    said = helm("template", release, CHART, "--namespace", "identity", "-f", values("default"), "--set", "janitor.enabled=true", *args)
    return one([doc for doc in yaml.safe_load_all(said) if doc], "CronJob")["spec"]


def test_janitors_of_several_releases_run_at_several_minutes():
    minutes = [sweeper(name)["schedule"].split() for name in ("signet", "login", "rel-a", "rel-b")]
    assert all(0 <= int(at[0]) < 60 and at[1:] == ["*"] * 4 for at in minutes), minutes
    assert len({at[0] for at in minutes}) == 4 and sweeper("login")["schedule"].split() == minutes[1]
    spec = sweeper("signet", "--set", "janitor.schedule=@daily")
    assert spec["schedule"] == "@daily" and spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] == 86400


def test_every_dashboard_and_rule_is_there():
    docs = objects("everything")
    files = CHART / "files"
    boards = [doc for doc in of_kind(docs, "ConfigMap") if doc["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert sorted(name for doc in boards for name in doc["data"]) == sorted(path.name for path in (files / "dashboards").glob("*.json"))
    for doc in boards:
        for name, content in doc["data"].items():
            assert content.strip() == (files / "dashboards" / name).read_text().strip()
    groups = [group for path in sorted((files / "rules").glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]
    for rule in (rule for group in groups for rule in group["rules"] if rule.get("alert") == "HPAMaxedOut"):
        rule["expr"] = rule["expr"].replace('".*signet.*"', '"(keda-hpa-)?rel-signet"')
    rendered = [group for doc in of_kind(docs, "PrometheusRule") for group in doc["spec"]["groups"]]
    assert rendered == groups


def test_what_ory_users_wrote_arrives():
    docs = objects("ory")
    deployment, (_, spec) = one(docs, "Deployment"), server(docs)
    container = next(each for each in spec["containers"] if each["name"] == "signet")
    config = yaml.safe_load(one(docs, "ConfigMap")["data"]["signet.yaml"])
    assert config["urls"]["login"] == "https://login.example.com/login" and "dsn" not in config
    assert config["serve"]["admin"] == {"host": "0.0.0.0", "port": 4445}
    assert container["resources"]["requests"]["cpu"] == "200m" and container["securityContext"]["runAsUser"] == 65534
    assert {"name": "LOG_LEVEL", "value": "warn"} in container["env"]
    assert container["readinessProbe"]["failureThreshold"] == 5 and container["readinessProbe"]["initialDelaySeconds"] == 5
    assert deployment["metadata"]["labels"]["tier"] == "identity"
    assert deployment["metadata"]["annotations"]["reloader.stakater.com/auto"] == "true"
    assert spec["terminationGracePeriodSeconds"] == 60 and spec["serviceAccountName"] == "hydra"
    assert one(docs, "ServiceAccount")["metadata"]["name"] == "hydra"
    assert spec["initContainers"][0]["args"] == ["--for", "rel-db"]
    secrets = {source["secret"]["name"] for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", [])}
    assert secrets == {"hydra-credentials"} and not of_kind(docs, "Secret")
    hpa = one(docs, "HorizontalPodAutoscaler")["spec"]
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (2, 6)
    assert hpa["metrics"][0]["containerResource"]["target"]["averageUtilization"] == 70
    job = one(docs, "Job")
    assert job["spec"]["backoffLimit"] == 10 and job["metadata"]["annotations"]["example.com/step"] == "schema"
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "64Mi"}
    assert one(docs, "CronJob")["spec"]["schedule"] == "0 */2 * * *"
    assert one(docs, "ServiceMonitor")["spec"]["endpoints"][0]["interval"] == "60s"


def test_ory_users_without_a_secret_have_one_made():
    """Ory's chart makes one when nothing is set; so does this one, which offline is refused."""
    said = template("-f", values("ory"), "--set", "secret.enabled=true", ok=False)
    assert "secrets.generate=true needs a look at the cluster" in said


def test_the_sync_sees_a_difference(tmp_path):
    for name in ("helm/sync-files.sh", "dashboards/a.json", "deploy/prometheus/rules/a.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((REPO / name).read_text() if name.endswith(".sh") else "{}")
    run = lambda *args: subprocess.run(["bash", tmp_path / "helm/sync-files.sh", *args], capture_output=True).returncode
    assert run("--check") == 1
    assert run() == 0 and run("--check") == 0
    (tmp_path / "helm/signet/files/rules/old.yaml").write_text("{}")
    assert run("--check") == 1

"""live.py [SCREENS]: see live.sh, which starts it with a PostgreSQL and a Redis in the environment."""

import concurrent.futures
import json
import math
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import promql_parser
import yaml

import traffic
from promql import FOREIGN, selectors, substitute

HERE = pathlib.Path(__file__).parent
RULES = sorted((HERE.parent / "deploy/prometheus/rules").glob("*.yaml"))
SECRET = "dashboards-only-system-secret-of-some-length"
SECONDS = 45
# Panels that are right when they show nothing but nought: nothing broke, and nobody stormed.
MAY_BE_ZERO = {
    "Draining", "Failed requests", "Share of 5xx by route", "Refused by class", "Logout tokens not delivered", "Faults of ours",
    "Faults of Redis", "Bypassed", "News not told", "Refused, stopped", "Waiting for a connection", "Transactions run again",
    "Refused for their number", "Keys that do not open", "Old secrets in use", "Busy retries", "Backlog", "Kept in the process",
    "Evictions", "Threads and panics", "Write-ahead log", "Token endpoint", "Introspection", "Introspection within 25 ms",
    "Burn rate by window", "Share of failures",
}
ALL = {"namespace": ".*", "job": ".+", "instance": ".+", "route": ".+", "__rate_interval": "20s"}


def free_port():
    with socket.socket() as of:
        of.bind(("127.0.0.1", 0))
        return of.getsockname()[1]


class Fleet:
    """Processes that end with this one."""

    def __init__(self, dir):
        self.dir, self.all = pathlib.Path(dir), []

    def start(self, name, command, env=None):
        log = open(self.dir / f"{name}.log", "w")
        process = subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=log, stderr=subprocess.STDOUT)
        self.all.append((name, process))

    def wait(self, name, url, context=None):
        for _ in range(300):
            process = dict(self.all)[name]
            try:
                if urllib.request.urlopen(url, timeout=2, context=context).status == 200:
                    return
            except OSError:
                pass
            if process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"{name} did not start:\n{self.said(name)}")

    def said(self, name):
        return "".join((self.dir / f"{name}.log").read_text().splitlines(keepends=True)[-30:])

    def stop(self):
        for _, process in reversed(self.all):
            process.terminate()
        for _, process in self.all:
            process.wait(30)


def signet(fleet, name, dsn, callee, **more):
    """A replica; it as a peer, and where it is scraped."""
    public, admin, gateway, metrics = (free_port() for _ in range(4))
    scheme = "https" if "SERVE_PUBLIC_TLS_ENABLED" in more else "http"
    env = {
        "DSN": dsn, "SECRETS_SYSTEM": SECRET, "LOG_LEVEL": "warn", "SERVE_PUBLIC_HOST": "127.0.0.1",
        "SERVE_PUBLIC_PORT": str(public), "SERVE_ADMIN_PORT": str(admin), "SERVE_SHUTDOWN_DRAIN_DELAY": "0s",
        "SERVE_GATEWAY_ENABLED": "true", "SERVE_GATEWAY_PORT": str(gateway), "SERVE_GATEWAY_TLS_ENABLED": "false",
        "GATEWAY_POLICIES": '{"read": {"scopes": {"all": ["read"]}}}', "SERVE_METRICS_ENABLED": "true", "SERVE_METRICS_HOST": "127.0.0.1", "SERVE_METRICS_PORT": str(metrics),
        "URLS_SELF_ISSUER": f"{scheme}://127.0.0.1:{public}/", "URLS_LOGIN": "http://127.0.0.1:9/login",
        "URLS_CONSENT": "http://127.0.0.1:9/consent", "URLS_LOGOUT": "http://127.0.0.1:9/logout",
        "OAUTH2_TOKEN_HOOK": callee + "/hook", "JANITOR_INTERVAL": "1s", "KEYS_ALGORITHM": "ES256", **more,
    }
    program = os.environ["SIGNET"]
    subprocess.run([program, "migrate", "sql", "-e", "-y"], env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL)
    fleet.start(name, [program, "serve", "all", "--dev"], env)
    fleet.wait(name, f"http://127.0.0.1:{metrics}/health/ready")
    return traffic.Peer(f"{scheme}://127.0.0.1:{public}", f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{gateway}", callee), metrics


def replicas(fleet, callee):
    admin = os.environ["SIGNET_TEST_POSTGRES"]
    subprocess.run(["psql", "-qX", admin, "-c", "CREATE DATABASE signet_live"], check=True)
    at = urllib.parse.urlsplit(admin)
    dsn = at._replace(path="/signet_live").geturl()
    redis = {"REDIS_URL": os.environ["SIGNET_TEST_REDIS"], "INTROSPECTION_LOCAL_ENTRIES": "64"}
    first, one = signet(fleet, "a", dsn, callee, **redis)
    issuer = first.public + "/"
    rotating = {"SECRETS_SYSTEM": f"{SECRET},an-older-secret-of-some-length-too"}
    second, two = signet(fleet, "b", dsn, callee, URLS_SELF_ISSUER=issuer, **redis, **rotating)
    return first, second, [one, two]


def single(fleet, callee):
    """On SQLite, with TLS, and tokens that soon expire."""
    key, cert = fleet.dir / "key.pem", fleet.dir / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    subprocess.run([*made, "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    tls = {"SERVE_PUBLIC_TLS_ENABLED": "true", "SERVE_PUBLIC_TLS_CERT_PATH": str(cert), "SERVE_PUBLIC_TLS_KEY_PATH": str(key)}
    return signet(fleet, "sqlite", f"sqlite://{fleet.dir}/signet.sqlite", callee, TTL_ACCESS_TOKEN="3s", **tls)


def prometheus(fleet, jobs):
    port = free_port()
    job = lambda name, ports: {
        "job_name": name,
        "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in ports], "labels": {"namespace": "auth"}}],
    }
    config = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(path.resolve()) for path in RULES],
        "scrape_configs": [job(name, ports) for name, ports in jobs.items()],
    }
    path = fleet.dir / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    data = f"--storage.tsdb.path={fleet.dir}/prometheus"
    fleet.start("prometheus", ["prometheus", f"--config.file={path}", data, f"--web.listen-address=127.0.0.1:{port}"])
    fleet.wait("prometheus", f"http://127.0.0.1:{port}/-/ready")
    return f"http://127.0.0.1:{port}"


def load(first, second, alone):
    """Everything in small on all three, and the scenarios of the load test on the first two."""
    until = time.time() + SECONDS
    with concurrent.futures.ThreadPoolExecutor() as pool:
        work = [pool.submit(traffic.run, peer, until) for peer in (first, second, alone)]
        command = [os.environ["SIGNET_LOADTEST"], "smoke", "--public", first.public, "--admin", first.admin]
        smoke = subprocess.run(
            [*command, "--other-admin", second.admin, "--concurrency", "4", "--duration", "0.8", "--warmup", "0.05"],
            capture_output=True, text=True,
        )
        rounds = [one.result() for one in work]
    if smoke.returncode:
        sys.exit(f"the scenarios did not work: {smoke.stderr[-2000:]}")
    print(f"{sum(rounds)} rounds of traffic; {smoke.stdout.strip().splitlines()[-1]}")


class Asked:
    """A Prometheus, from when to when it has scraped."""

    def __init__(self, url, begin, end):
        self.url, self.begin, self.end = url, begin, end

    def get(self, path, **query):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            return json.load(urllib.request.urlopen(url, timeout=30))["data"]
        except urllib.error.HTTPError as fault:
            sys.exit(f"{query}: {fault.read().decode()}")

    def series(self, target):
        """What a panel's query brings: labels, and points of time and value."""
        text = substitute(target["expr"], ALL["__rate_interval"], ALL)
        if target["instant"]:
            found = self.get("query", query=text, time=self.end)["result"]
            return [(one["metric"], [one["value"]]) for one in found]
        found = self.get("query_range", query=text, start=self.begin, end=self.end, step=2)["result"]
        return [(one["metric"], one["values"]) for one in found]


def judge(asked, dashboards):
    """What every panel shows, and what is wrong with that."""
    shown, faults, queries = {}, [], 0
    for name, of in dashboards.items():
        for panel in of["panels"]:
            values = []
            for target in panel.get("targets", []):
                found = [(m, [(float(t), float(v)) for t, v in points]) for m, points in asked.series(target)]
                shown[name, panel["id"], target["refId"]] = found
                numbers = [v for _, points in found for _, v in points if not math.isnan(v)]
                queries += 1
                if not numbers:
                    faults.append(f"{of['title']}, {panel['title']}: nothing for {target['expr']}")
                values += numbers
            if values and not any(values) and panel["title"] not in MAY_BE_ZERO:
                faults.append(f"{of['title']}, {panel['title']}: nothing but nought, and that is not among what may be")
    print(f"{queries} queries of {len(dashboards)} dashboards were asked")
    return shown, faults


def routes(asked):
    """Each route that a record counts was served: a name that none has would hide it from an objective."""
    records = [r for path in RULES for g in yaml.safe_load(path.read_text())["groups"] for r in g["rules"] if "record" in r]
    found = {m for r in records for _, of in selectors(promql_parser.parse(r["expr"])) for m in of if m[0] == "http_route"}
    counted = {part for _, _, value in found for part in value.split("|")}
    query = 'http_server_request_duration_seconds_count{http_route=~"%s"} > 0'
    print(f"{len(counted)} routes are counted by records: {', '.join(sorted(counted))}")
    return [f"no request was counted as {part}" for part in sorted(counted) if not asked.get("query", query=query % part, time=asked.end)["result"]]


def judge_alerts(asked):
    """Every metric that a rule looks at is there, and Prometheus can work all rules out."""
    faults = [
        f"{rule['name']}: {rule['lastError']}"
        for group in asked.get("rules")["groups"]
        for rule in group["rules"]
        if rule["health"] != "ok"
    ]
    alerts = [r for path in RULES for g in yaml.safe_load(path.read_text())["groups"] for r in g["rules"] if "alert" in r]
    for rule in alerts:
        for metric, matchers in selectors(promql_parser.parse(rule["expr"])):
            text = metric + "{" + ",".join(f'{label}{op}"{value}"' for label, op, value in matchers) + "}"
            if not FOREIGN.match(metric) and not asked.get("query", query=text, time=asked.end)["result"]:
                faults.append(f"{rule['alert']}: there is no {text}")
    faults += routes(asked)
    firing = sorted({a["labels"]["alertname"] for a in asked.get("alerts")["alerts"] if a["state"] == "firing"})
    print(f"{len(alerts)} alert rules look at what is there; firing now: {', '.join(firing) or 'none'}")
    return faults


def drawn(dashboards, shown, where):
    import screens  # wants matplotlib, and nothing else does

    for name, of in dashboards.items():
        screens.draw(of, lambda panel, target: shown[name, panel["id"], target["refId"]], where / f"{name}.png")
    print(f"drawn into {where}")


def main():
    dashboards = {path.stem: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}
    with tempfile.TemporaryDirectory(prefix="signet-live.") as dir:
        fleet = Fleet(dir)
        try:
            callee = traffic.hooks()
            first, second, ports = replicas(fleet, callee)
            alone, port = single(fleet, callee)
            begin = time.time()
            url = prometheus(fleet, {"signet": ports, "signet-sqlite": [port]})
            time.sleep(5)  # so that counters are seen before they move
            load(first, second, alone)
            time.sleep(5)
            asked = Asked(url, begin, time.time())
            shown, faults = judge(asked, dashboards)
            faults += judge_alerts(asked)
            if sys.argv[1:]:
                drawn(dashboards, shown, pathlib.Path(sys.argv[1]))
        finally:
            fleet.stop()
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()

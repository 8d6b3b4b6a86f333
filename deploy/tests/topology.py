"""topology.py: on the stage, what compose/full.yml and compose/quickstart.yml describe, played (compose.py): requests go
through the balancer to both replicas, one leaves and comes back without a failed request, Prometheus sees them and has the
rules, traces reach the collector's exporter."""

import base64
import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import compose  # noqa: E402
import engine  # noqa: E402
import tutorial  # noqa: E402

FILES = Path(__file__).resolve().parents[1] / "compose"
PUBLIC, ADMIN = "http://127.0.0.1:4444", "http://127.0.0.1:4445"
CLIENT = {
    "client_id": "topology", "client_secret": "a-secret-of-some-length", "grant_types": ["client_credentials"],
    "token_endpoint_auth_method": "client_secret_basic",
}


def call(url, body=None, headers=None):
    request = urllib.request.Request(url, body, headers or {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def answers(url):
    try:
        return call(url)
    except (OSError, urllib.error.URLError):
        return None


def token():
    basic = base64.b64encode(f"{CLIENT['client_id']}:{CLIENT['client_secret']}".encode()).decode()
    said = call(f"{PUBLIC}/oauth2/token", b"grant_type=client_credentials", {"Authorization": f"Basic {basic}"})
    return json.loads(said)["access_token"]


def active(of):
    body = urllib.parse.urlencode({"token": of}).encode()
    return json.loads(call(f"{ADMIN}/admin/oauth2/introspect", body))["active"]


def issued(replica):
    """How many tokens a replica has issued, by its own metrics."""
    text = call(f"http://{replica}:4445/admin/metrics/prometheus")
    return sum(float(n) for n in re.findall(r"^signet_tokens_issued_total\{[^}]*\} (\S+)", text, re.M))


class Load:
    """Callers that get a token and introspect it, again and again."""

    def __init__(self, callers=4):
        self.going, self.done, self.failed = True, 0, []
        self.threads = [threading.Thread(target=self.call) for _ in range(callers)]
        for thread in self.threads:
            thread.start()

    def call(self):
        while self.going:
            try:
                assert active(token()), "not active"
                self.done += 1
            except Exception as error:  # noqa: BLE001 - whatever it was, a caller has seen it
                self.failed.append(f"{time.strftime('%T')} {error!r}")

    def end(self):
        self.going = False
        for thread in self.threads:
            thread.join()
        assert not self.failed and self.done > 20, f"{self.done} went well, {len(self.failed)} failed: {self.failed[:5]}"
        return self.done


def leave_and_return(replica):
    load = Load()
    time.sleep(1)
    began = time.monotonic()
    engine.kill(replica, "TERM")
    assert engine.wait(replica, 40) == 0
    took = time.monotonic() - began
    engine.again(replica)
    engine.until(f"{replica} is ready", lambda: answers(f"http://{replica}:4444/health/ready"))
    before = issued(replica)
    engine.until(f"{replica} is asked again", lambda: issued(replica) > before)
    print(f"✓ {replica} left in {took:.1f} s and came back: {load.end()} requests, none failed")


def rules():
    groups = json.loads(call("http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def observed():
    """What Prometheus and the collector have seen."""
    def targets():
        said = json.loads(answers("http://127.0.0.1:9090/api/v1/targets") or "{}").get("data", {}).get("activeTargets", [])
        return {it["labels"]["instance"] for it in said if it["health"] == "up" and it["labels"]["job"] == "signet"}

    engine.until("both are scraped", lambda: targets() == {"signet-1:4445", "signet-2:4445"})
    # Rules are well as long as there is nothing for them to look at.
    seen = datetime.now(UTC)
    engine.until("all rules are asked", lambda: all(datetime.fromisoformat(it["lastEvaluation"]) > seen for it in rules()))
    ill = [f"{it['name']}: {it['health']} {it.get('lastError')}" for it in rules() if it["health"] != "ok"]
    assert len(rules()) > 0 and not ill, f"{len(rules())} rules, of which {ill} are not well"
    managers = json.loads(call("http://127.0.0.1:9090/api/v1/alertmanagers"))["data"]["activeAlertmanagers"]
    print(f"✓ Prometheus scrapes both replicas, works out {len(rules())} rules, has {len(managers)} Alertmanager")
    assert len(managers) == 1


def traced():
    """The collector's own count of spans that it took."""
    def spans():
        # It shows its metrics on loopback alone.
        inside = ["nsenter", "--net=/run/netns/otel-collector", "curl", "-fs", "http://127.0.0.1:8888/metrics"]
        text = subprocess.run(inside, capture_output=True, text=True).stdout
        return sum(float(n) for n in re.findall(r"^otelcol_receiver_accepted_spans(?:_total)?\{[^}]*\} (\S+)", text, re.M))

    engine.until("spans arrive", lambda: spans() > 0)
    print(f"✓ the collector took {spans():.0f} spans")


def full():
    left_out = compose.play(FILES / "full.yml")
    engine.until("all are ready", lambda: all(
        answers(f"http://{name}:{port}/health/ready") for name in ("signet-1", "signet-2", "lb") for port in (4444, 4445)))
    created = call(f"{ADMIN}/admin/clients", json.dumps(CLIENT).encode(), {"Content-Type": "application/json"})
    assert json.loads(created)["client_id"] == CLIENT["client_id"]
    tokens, shares = [], {}

    def shared():
        tokens.extend(token() for _ in range(10))
        shares.update({name: issued(name) for name in ("signet-1", "signet-2")})
        return min(shares.values()) >= 10

    engine.until("the balancer gives to both", shared)
    assert all(active(it) for it in tokens)
    assert all(shares.values()) and sum(shares.values()) == len(tokens), shares
    print(f"✓ {len(tokens)} tokens through the balancer: {shares}")
    leave_and_return("signet-1")
    observed()
    if "otel-collector" not in left_out:
        traced()
    print(f"✓ not played: {', '.join(left_out)}")


def quickstart():
    left_out = compose.play(FILES / "quickstart.yml")
    engine.until("it is ready", lambda: answers(f"{PUBLIC}/health/ready"))
    tutorial.played(left_out)
    assert json.loads(call(f"{PUBLIC}/.well-known/openid-configuration"))["issuer"] == f"{PUBLIC}/"
    print(f"✓ quickstart.yml serves; not played: {', '.join(left_out) or 'nothing'}")


{"full": full, "quickstart": quickstart}[sys.argv[1]]()

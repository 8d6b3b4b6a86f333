"""What the chart asks of Prometheus: rules under other names, and the metrics that an autoscaler goes by."""

import json
import re
import subprocess

import yaml
from conftest import CHART, SIGNET, objects, of_kind, one

ADAPTER = re.search(r"```yaml\n(rules:\n  - seriesQuery:.*?)```", (CHART / "README.md").read_text(), re.S)[1]


def promtool(folder, rules, test):
    """Evaluates with the real engine: `promtool test rules`."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": rules}))
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alert_of_the_autoscaler_goes_by_the_name_of_the_release(tmp_path):
    """The case `rest` is called hydra; the runbook has its address."""
    groups = one(objects("rest"), "PrometheusRule")["spec"]["groups"]
    assert all(rule["annotations"]["runbook_url"].startswith("https://docs.example.com/signet/deploy/runbooks/")
               for group in groups for rule in group["rules"] if "alert" in rule)
    hpa = 'kube_horizontalpodautoscaler_%s_replicas{horizontalpodautoscaler="%s"}'
    named = [(one(objects("rest"), "HorizontalPodAutoscaler")["metadata"]["name"], 1), ("keda-hpa-hydra", 1), ("signet-of-others", 0)]
    series = [{"series": hpa % (which, name), "values": "10x60"} for name, _ in named for which in ("status_current", "spec_max")]
    alerts = [{"exp_labels": {"severity": "ticket", "horizontalpodautoscaler": name}, "exp_annotations": {
        "summary": f"{name} has all the 10 replicas that it may have.",
        "runbook_url": "https://docs.example.com/signet/deploy/runbooks/HPAMaxedOut.md"}} for name, fires in named if fires]
    mine = [{**group, "rules": [rule for rule in group["rules"] if rule.get("alert") == "HPAMaxedOut"]} for group in groups]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": [{"eval_time": "30m", "alertname": "HPAMaxedOut", "exp_alerts": alerts}]}
    promtool(tmp_path, [group for group in mine if group["rules"]], test)


def test_the_metric_of_the_autoscaler_is_one_of_the_program():
    said = json.loads(subprocess.run([SIGNET, "metrics", "list", "--format", "json"], capture_output=True, text=True, check=True).stdout)
    known = {metric["name"]: metric for metric in said["items"]}
    pods = [metric["pods"]["metric"]["name"] for doc in of_kind(objects("everything"), "HorizontalPodAutoscaler")
            for metric in doc["spec"]["metrics"] if metric["type"] == "Pods"]
    keda = [re.search(r"(\w+)\{", trigger["metadata"]["query"])[1] for doc in of_kind(objects("keda"), "ScaledObject")
            for trigger in doc["spec"]["triggers"] if trigger["type"] == "prometheus"]
    adapter = [re.match(r"\w+", rule["seriesQuery"])[0] for rule in yaml.safe_load(ADAPTER)["rules"]]
    assert pods and keda and adapter and {*pods, *keda, *adapter} <= set(known)
    assert {known[name]["type"] for name in pods} == {"gauge"}


def test_the_rule_of_the_adapter_sums_the_listeners_of_a_pod(tmp_path):
    """prometheus-adapter fills its template so for `/namespaces/identity/pods/*/http_server_active_requests`."""
    (rule,) = yaml.safe_load(ADAPTER)["rules"]
    assert rule["resources"]["overrides"] == {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}
    query = rule["metricsQuery"]
    for name, text in {"Series": re.match(r"\w+", rule["seriesQuery"])[0], "GroupBy": "pod",
                       "LabelMatchers": 'namespace="identity",pod=~"one|two"'}.items():
        assert f"<<.{name}>>" in query
        query = query.replace(f"<<.{name}>>", text)
    counts = {("identity", "one", "public"): 3, ("identity", "one", "admin"): 4, ("identity", "two", "public"): 5, ("other", "one", "public"): 90}
    series = [{"series": f'http_server_active_requests{{namespace="{at}",pod="{pod}",listener="{listener}"}}', "values": f"{count}x5"}
              for (at, pod, listener), count in counts.items()]
    samples = [{"labels": '{pod="one"}', "value": 7}, {"labels": '{pod="two"}', "value": 5}]
    promtool(tmp_path, [], {"interval": "1m", "input_series": series,
                            "promql_expr_test": [{"expr": query, "eval_time": "3m", "exp_samples": samples}]})

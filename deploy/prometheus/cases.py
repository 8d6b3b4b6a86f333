"""What the tests show of each rule, not of each name: a name may have rules for several windows, and a rule may fire for
one of several reasons. promtool holds the tests to the rules; this holds the rules to the tests."""

import pathlib
import re
import subprocess
import tempfile

import promql_parser
import yaml

from promql import selectors

HERE = pathlib.Path(__file__).parent
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text):
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", str(text)))


def named(rule):
    return f"{rule['alert']} ({', '.join(rule['labels'].values())})"


def branches(expr):
    """The reasons of a rule: what is between its `or`s, each of which begins a line."""
    found = re.split(r"(?m)^or\b", expr)
    whole = promql_parser.parse(expr)
    if (str(getattr(whole, "op", "")) == "or") != (len(found) > 1):
        raise SystemExit(f"an `or` that begins no line, or one inside of brackets that does: {expr}")
    for part in found:
        promql_parser.parse(part)
    return found


def metrics(expr, rules):
    """What a query asks of the program in the end, behind what is recorded."""
    found = set()
    for name, matchers in selectors(promql_parser.parse(expr)):
        slo = {value for label, op, value in matchers if label == "slo"}
        behind = [r for r in rules if r.get("record") == name and (not slo or r.get("labels", {}).get("slo") in slo)]
        found |= set().union(*(metrics(r["expr"], rules) for r in behind)) if behind else {name}
    return found


def worlds():
    for path in sorted(HERE.glob("tests/*.yaml")):
        yield from yaml.safe_load(path.read_text())["tests"]


def cases(alert):
    for world in worlds():
        has = {re.match(r"\w+", it["series"]).group() for it in world["input_series"]}
        for case in world.get("alert_rule_test", []):
            if case["alertname"] == alert:
                yield has, seconds(case["eval_time"]), [it["exp_labels"] for it in case.get("exp_alerts") or []]


def fires(rule):
    """Some test expects it with the labels that this rule of the name gives."""
    return any(rule["labels"].items() <= labels.items() for _, _, alerts in cases(rule["alert"]) for labels in alerts)


def silent(rule, rules):
    """Some test expects none, later than the rule's patience, in a world that has all that it asks for."""
    asks, patience = metrics(rule["expr"], rules), seconds(rule.get("for", "0s"))
    return any(not alerts and at > patience and asks <= has for has, at, alerts in cases(rule["alert"]))


def passes_without(rule, branch, rules):
    """Whether the tests of its name notice nothing when one of its reasons is taken out."""
    left = "or".join(part for part in branches(rule["expr"]) if part != branch)
    changed = [{**rule, "expr": left} if it is rule else it for it in rules]
    of = [
        {**world, "alert_rule_test": [case for case in world["alert_rule_test"] if case["alertname"] == rule["alert"]]}
        for world in worlds() if any(case["alertname"] == rule["alert"] for case in world["alert_rule_test"])
    ]
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        (at / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": changed}]}))
        (at / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": of}))
        said = subprocess.run(["promtool", "test", "rules", at / "tests.yaml"], capture_output=True, text=True)
    return said.returncode == 0


def faults(rules):
    for rule in (it for it in rules if "alert" in it):
        if not fires(rule):
            yield f"{named(rule)}: no test in which it fires"
        if not silent(rule, rules):
            yield f"{named(rule)}: no test in which it is silent, after its time and with all its metrics there"
        for branch in branches(rule["expr"]) if len(branches(rule["expr"])) > 1 else []:
            if passes_without(rule, branch, rules):
                yield f"{named(rule)}: no test in which it fires for {' '.join(branch.split())}"

#!/usr/bin/env python3
"""coverage.py METRICS.json SIGNET: every alert has a severity, a summary, a runbook with its five headings; every rule a test in
which it fires, for each of its reasons, and one in which it is silent (cases.py); every metric and label in them exists, and
the program SIGNET knows every command of it in a runbook."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

import promql_parser
import yaml

import cases
from promql import Known, selectors

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Prevention"]


def rules():
    for path in sorted(HERE.glob("rules/*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def runbook_faults(alert):
    path = ROOT / "deploy/runbooks" / f"{alert}.md"
    if not path.exists():
        return [f"{alert} has no runbook {path.relative_to(ROOT)}"]
    text = path.read_text()
    found = re.findall(r"^## (.+)$", text, re.M)
    faults = [] if found == HEADINGS else [f"{path.name}: the headings are {found}"]
    diagnosis = text.partition("## Diagnosis")[2].partition("## ")[0]
    for language in ("promql", "sh"):
        if f"```{language}" not in diagnosis:
            faults.append(f"{path.name}: no {language} in its diagnosis")
    # kubectl shows ten lines of pods that are found by label, unless told.
    faults += [f"{path.name}: without --tail, {line}" for line in re.findall(r"kubectl logs -l(?!.*--tail).*", text)]
    return faults


def queries(alert):
    """The PromQL of a runbook, one query to a line."""
    path = ROOT / "deploy/runbooks" / f"{alert}.md"
    text = path.read_text() if path.exists() else ""
    return [line for block in re.findall(r"```promql\n(.*?)```", text, re.S) for line in block.splitlines() if line.strip()]


def commands(alert):
    """What a runbook has of Signet's command line, in its blocks and in its sentences."""
    path = ROOT / "deploy/runbooks" / f"{alert}.md"
    text = path.read_text() if path.exists() else ""
    blocks = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    for line in blocks + re.findall(r"`([^`\n]+)`", text):
        found = re.search(r"(?:^|\s)/?signet ([^|;&>]+)", line)
        if found:
            yield shlex.split(found[1])


def refused(where, words, signet):
    """Its parser reads all words before it comes to the last, which asks for help instead of doing it."""
    said = subprocess.run([signet, *words, "--help"], capture_output=True, text=True)
    if said.returncode:
        yield f"{where}: signet {' '.join(words)}: {said.stderr.splitlines()[0]}"


def unknown(where, query, known):
    for name, matchers in selectors(promql_parser.parse(query)):
        if not known.has(name):
            yield f"{where}: there is no metric {name}"
        for label, op, value in matchers:
            fault = known.fault(name, label, op, value)
            if fault:
                yield f"{where}: {fault}"


def main():
    all_rules = list(rules())
    alerts = {rule["alert"] for rule in all_rules if "alert" in rule}
    known = Known(json.loads(pathlib.Path(sys.argv[1]).read_text()), {r["record"] for r in all_rules if "record" in r})
    faults = []
    for rule in all_rules:
        where = rule.get("alert") or rule["record"]
        faults += unknown(where, rule["expr"], known)
        if "alert" not in rule:
            continue
        notes = rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in ("page", "ticket"):
            faults.append(f"{where}: the severity is neither page nor ticket")
        if not notes.get("summary") or notes.get("runbook_url") != f"deploy/runbooks/{where}.md":
            faults.append(f"{where}: without a summary or its runbook_url")
    for alert in sorted(alerts):
        faults += runbook_faults(alert)
        for query in queries(alert):
            faults += unknown(f"{alert}.md", query, known)
    faults += cases.faults(all_rules)
    told = [(alert, words) for alert in sorted(alerts) for words in commands(alert)]
    faults += [fault for alert, words in told for fault in refused(f"{alert}.md", words, sys.argv[2])]
    strangers = {path.stem for path in (ROOT / "deploy/runbooks").glob("*.md")} - alerts
    faults += [f"deploy/runbooks/{name}.md is of no alert" for name in sorted(strangers)]
    if faults:
        sys.exit("\n".join(faults))
    count = sum("alert" in rule for rule in all_rules)
    print(f"{len(alerts)} alerts with a runbook, {count} rules with tests in which they fire and are silent; all metrics exist")
    print(f"{len(told)} commands in the runbooks are understood")
    if not told:
        sys.exit("there is no command in them")


if __name__ == "__main__":
    main()

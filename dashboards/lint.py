#!/usr/bin/env python3
"""lint.py METRICS.json: holds the dashboards to the rules below, and to the metrics and labels that `signet metrics list
--format json` names. Every rule first proves itself on a dashboard that was spoilt for it. Needs promql-parser (PyPI)."""

import copy
import json
import pathlib
import re
import sys

import promql_parser

from promql import RECORDED, Known, rates, selectors, substitute

HERE = pathlib.Path(__file__).parent
UNITS = {"none", "short", "percentunit", "s", "bytes", "reqps", "ops"}
SOURCE = "${datasource}"


def panels(of):
    return [panel for panel in of["panels"] if panel["type"] != "row"]


def targets(of):
    return [(panel, target) for panel in panels(of) for target in panel.get("targets", [])]


def variable(of, name):
    return next((v for v in of["templating"]["list"] if v["name"] == name), {})


def parsed(target):
    """The query, or nothing when it is none, which a rule of its own tells."""
    try:
        return promql_parser.parse(substitute(target["expr"]))
    except Exception:
        return None


def uneditable(of, _):
    if of.get("editable") is not False:
        yield "it can be edited"


def identified(of, _):
    if not re.fullmatch(r"signet-[a-z-]+", of.get("uid") or ""):
        yield f"its uid is {of.get('uid')!r}"
    if "signet" not in of.get("tags", []):
        yield "it is not tagged signet"
    if of.get("schemaVersion", 0) < 36:
        yield "its schemaVersion is too old"


def datasource_variable(of, _):
    found = variable(of, "datasource")
    if (found.get("type"), found.get("query"), found.get("label")) != ("datasource", "prometheus", "Data source"):
        yield "it has no variable datasource, labelled Data source, of Prometheus"


def query_variable(name):
    def rule(of, _):
        found = variable(of, name)
        wanted = {"type": "query", "label": name.capitalize(), "multi": True, "includeAll": True, "allValue": ".+", "refresh": 2}
        for key, value in wanted.items():
            if found.get(key) != value:
                yield f"{key} of the variable {name} is {found.get(key)!r} and not {value!r}"
        if found.get("datasource", {}).get("uid") != SOURCE:
            yield f"the variable {name} has another datasource"
        if "label_values(" not in found.get("query", {}).get("query", ""):
            yield f"the variable {name} is not filled by label_values"

    rule.__name__ = f"{name}_variable"
    return rule


def panel_datasource(of, _):
    for panel in panels(of):
        if any(place.get("datasource", {}).get("uid") != SOURCE for place in [panel, *panel.get("targets", [])]):
            yield f"{panel['title']}: not the datasource that was chosen"


def panel_text(of, _):
    for panel in panels(of):
        if not panel.get("title") or len(panel.get("description", "")) < 10:
            yield f"{panel.get('title')}: without a title or description"


def panel_unit(of, _):
    for panel in panels(of):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit not in UNITS:
            yield f"{panel['title']}: the unit {unit!r}"


def panel_targets(of, _):
    for panel in panels(of):
        if not panel.get("targets"):
            yield f"{panel['title']}: no query"


def parses(of, _):
    for panel, target in targets(of):
        try:
            promql_parser.parse(substitute(target["expr"]))
        except Exception as fault:
            yield f"{panel['title']}: {target['expr']}: {fault}"


def has_matcher(label):
    def rule(of, _):
        for panel, target in targets(of):
            for name, matchers in selectors(parsed(target)):
                # What rules recorded is about a job as a whole.
                wanted = label != "instance" or not RECORDED.match(name)
                if wanted and (label, "=~", label.upper()) not in [(m, op, value) for m, op, value in matchers]:
                    yield f'{panel["title"]}: {name} without {label}=~"${label}"'

    rule.__name__ = f"{label}_matcher"
    return rule


def rate_interval(of, _):
    for panel, target in targets(of):
        for window in re.findall(r"\[([^\]:]+)[\]:]", target["expr"]):
            if window != "$__rate_interval":
                yield f"{panel['title']}: the window {window} and not $__rate_interval"


def counters_are_rated(of, _):
    for panel, target in targets(of):
        query = parsed(target)
        rated = rates(query)
        for name, _ in selectors(query):
            counts = re.search(r"_(total|bucket|sum|count)$", name) and not RECORDED.match(name) and not name.startswith("db_client_connection_count")
            if counts and name not in rated:
                yield f"{panel['title']}: {name} without rate, irate or increase"


def known_metrics(of, known):
    for panel, target in targets(of):
        for name, _ in selectors(parsed(target)):
            if not known.has(name):
                yield f"{panel['title']}: there is no metric {name}"


def known_labels(of, known):
    for panel, target in targets(of):
        query = parsed(target)
        for name, matchers in selectors(query):
            for label, op, value in matchers:
                fault = known.fault(name, label, op, value)
                if fault:
                    yield f"{panel['title']}: {fault}"


def laid_out(of, _):
    titles = [panel["title"] for panel in panels(of)]
    ids = [panel["id"] for panel in of["panels"]]
    if len(set(ids)) < len(ids):
        yield "two panels have one id"
    for at, panel in enumerate(panels(of)):
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24 or not titles[at]:
            yield f"{panel['title']}: it does not fit"


RULES = [
    uneditable, identified, datasource_variable, query_variable("job"), query_variable("instance"), panel_datasource,
    panel_text, panel_unit, panel_targets, parses, has_matcher("job"), has_matcher("instance"), rate_interval,
    counters_are_rated, known_metrics, known_labels, laid_out,
]


def spoil(rule, of):
    """A copy of a dashboard with what this rule is against."""
    bad = copy.deepcopy(of)
    panel = panels(bad)[0]
    expr = lambda text: panel["targets"][0].update(expr=text)
    all_of = 'job=~"$job",instance=~"$instance"'
    {
        "uneditable": lambda: bad.update(editable=True),
        "identified": lambda: bad.update(uid="Another One"),
        "datasource_variable": lambda: variable(bad, "datasource").update(query="loki"),
        "job_variable": lambda: variable(bad, "job").update(multi=False),
        "instance_variable": lambda: variable(bad, "instance").update(allValue=".*"),
        "panel_datasource": lambda: panel["targets"][0].update(datasource={"type": "prometheus", "uid": "P1"}),
        "panel_text": lambda: panel.update(description=""),
        "panel_unit": lambda: panel["fieldConfig"]["defaults"].update(unit="seconds"),
        "panel_targets": lambda: panel.update(targets=[]),
        "parses": lambda: expr("sum(rate(up[5m])"),
        "job_matcher": lambda: expr('signet_ready{instance=~"$instance"}'),
        "instance_matcher": lambda: expr('signet_ready{job=~"$job"}'),
        "rate_interval": lambda: expr("rate(signet_logouts_total{%s}[5m])" % all_of),
        "counters_are_rated": lambda: expr("sum(signet_logouts_total{%s})" % all_of),
        "known_metrics": lambda: expr("signet_no_such_metric{%s}" % all_of),
        "known_labels": lambda: expr('signet_ready{%s,check="weather"}' % all_of),
        "laid_out": lambda: panel["gridPos"].update(x=20),
    }[rule.__name__]()
    return bad


def main():
    known = Known(json.loads(pathlib.Path(sys.argv[1]).read_text()), recorded=recorded_names())
    dashboards = {path.name: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}
    faults = [f"{name}: {rule.__name__}: {fault}" for name, of in dashboards.items() for rule in RULES for fault in rule(of, known)]
    some = next(iter(dashboards.values()))
    faults += [f"the rule {rule.__name__} overlooks what it is against" for rule in RULES if not list(rule(spoil(rule, some), known))]
    if len({of["uid"] for of in dashboards.values()}) < len(dashboards):
        faults.append("two dashboards have one uid")
    if faults:
        sys.exit("\n".join(faults))
    count = sum(len(targets(of)) for of in dashboards.values())
    print(f"{len(dashboards)} dashboards with {count} queries keep {len(RULES)} rules, each of which rejects what it is against")


def recorded_names():
    text = "".join(path.read_text() for path in (HERE.parent / "deploy/prometheus/rules").glob("*.yaml"))
    return set(re.findall(r"record: (\S+)", text))


if __name__ == "__main__":
    main()

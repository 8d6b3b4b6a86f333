"""What is in a query: its selectors, its rates, and whether `signet metrics list` knows them. Needs promql-parser (PyPI)."""

import re

import promql_parser as p

RECORDED = re.compile(r"^[a-z_]+:")
# Not ours: of Prometheus itself, and of kube-state-metrics where there is a Kubernetes.
FOREIGN = re.compile(r"^(up|kube_horizontalpodautoscaler_.*)$")
# Labels that a scrape adds, and that records keep or add.
SCRAPED = {"namespace", "job", "instance", "le"}
ADDED = {"slo", "http_route"}


def substitute(text, window="1m", values=None):
    """A query with its variables replaced as Grafana does; by themselves in capitals when nothing else is given."""
    values = values or {}
    text = text.replace("$__rate_interval", window)
    return re.sub(r"\$(\w+)", lambda m: values.get(m[1], m[1].upper()), text)


def walk(node):
    """Every expression in a query, the query included."""
    if node is None:
        return
    yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, str):
            yield from walk(inner)
    for inner in getattr(node, "args", None) or []:
        yield from walk(inner)


def selectors(query):
    """Every metric in a query with its matchers: label, operator, value."""
    found = []
    for node in walk(query):
        if isinstance(node, p.VectorSelector):
            name = node.name or next((m.value for m in node.matchers.matchers if m.name == "__name__"), "")
            matchers = [(m.name, OPERATORS[str(m.op)], m.value) for m in node.matchers.matchers if m.name != "__name__"]
            found.append((name, matchers))
    return found


OPERATORS = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}


def rates(query):
    """The metrics of which a rate, increase or number of changes is taken."""
    found = set()
    for node in walk(query):
        if isinstance(node, p.Call) and node.func.name in ("rate", "irate", "increase", "changes"):
            found.update(name for argument in node.args for name, _ in selectors(argument))
    return found


class Known:
    """What `signet metrics list --format json` names, and what rules record."""

    def __init__(self, listed, recorded):
        self.recorded = recorded
        self.labels = {}
        for item in listed["items"]:
            ends = ["_bucket", "_sum", "_count"] if item["type"] == "histogram" else [""]
            for end in ends:
                self.labels[item["name"] + end] = item["labels"]

    def has(self, name):
        return name in self.labels or name in self.recorded or bool(FOREIGN.match(name))

    def fault(self, name, label, op, value):
        """Why a matcher can match nothing; nothing when it may."""
        if label in SCRAPED or FOREIGN.match(name) or not self.has(name):
            return None
        if name in self.recorded:
            return None if label in ADDED else f"{name} has no label {label}"
        if label not in self.labels[name]:
            return f"{name} has no label {label}"
        values = self.labels[name][label]
        if values is None or op in ("!=", "!~") or value == label.upper() or value.isupper():
            return None
        if op == "=":
            return None if value in values else f"{label} of {name} is never {value}"
        missing = [part for part in value.split("|") if not any(re.fullmatch(part, v) for v in values)]
        return f"{label} of {name} is never {missing[0]}" if missing else None

"""How a panel and a dashboard are written as Grafana's JSON. What is in them stands in panels.py.

In a query `@` between braces stands for the matchers that every query has, and `[R]` for the window that Grafana picks.
"""

SCHEMA = 39
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
MATCHERS = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"'
# What rules have recorded is about a whole job, so there is no instance to choose.
RECORDED = 'namespace=~"$namespace",job=~"$job"'
WIDTH = 24


def query(text):
    """A query as Grafana sends it to its variables' replacement."""
    return text.replace("{@@", "{" + RECORDED).replace("{@", "{" + MATCHERS).replace("[R]", "[$__rate_interval]")


class Panel:
    """One panel: what it shows, why, in which unit, and from which queries."""

    def __init__(self, kind, title, description, unit, *targets, width=8, height=8, **look):
        self.kind, self.title, self.description, self.unit = kind, title, description, unit
        self.targets, self.width, self.height, self.look = targets, width, height, look

    def json(self, number, x, y):
        defaults = {"unit": self.unit, "color": {"mode": "palette-classic"}, "mappings": [], "custom": {}}
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": "green", "value": None}] + self.look.get("steps", [])}
        for bound in ("min", "max"):
            if bound in self.look:
                defaults[bound] = self.look[bound]
        made = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": {},
            "targets": [self.target(at, *target) for at, target in enumerate(self.targets)],
        }
        getattr(self, "_" + self.kind)(made, defaults)
        return made

    def target(self, at, text, legend=""):
        now = self.kind in ("stat", "table")
        made = {
            "refId": chr(ord("A") + at),
            "datasource": DATASOURCE,
            "expr": query(text),
            "legendFormat": legend,
            "instant": now,
            "range": not now,
        }
        if self.kind == "table":
            made["format"] = "table"
        if self.kind == "heatmap":
            made["format"] = "heatmap"
        return made

    def _timeseries(self, made, defaults):
        stacked = self.look.get("stacked", False)
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 40 if stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
            "axisSoftMin": 0,
        }
        made["options"] = {
            "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["mean", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }

    def _stat(self, made, defaults):
        defaults["color"] = {"mode": "thresholds"}
        made["options"] = {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }

    def _table(self, made, defaults):
        hidden = ["Time"] + self.look.get("hide", [])
        made["options"] = {"showHeader": True, "cellHeight": "sm"}
        made["transformations"] = [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {name: True for name in hidden},
                    "indexByName": {},
                    "renameByName": self.look.get("rename", {}),
                },
            },
        ]

    def _heatmap(self, made, defaults):
        made["options"] = {
            "calculate": False,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "yAxis": {"unit": self.unit},
            "tooltip": {"show": True, "yHistogram": False},
            "legend": {"show": True},
            "cellGap": 1,
        }


def variable(name, label, of, all_value, description):
    """A variable filled from what was scraped."""
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": of,
        "query": {"query": of, "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": all_value,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
    }


def variables(with_route):
    """The datasource, then from the wide to the narrow."""
    source = {
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes Signet",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "skipUrlSync": False,
    }
    info = "signet_build_info"
    found = [
        source,
        # Outside of Kubernetes nothing has a namespace, which .* takes as well.
        variable("namespace", "Namespace", f"label_values({info}, namespace)", ".*", "Namespace in Kubernetes"),
        variable("job", "Job", f'label_values({info}{{namespace=~"$namespace"}}, job)', ".+", "Scrape job"),
        variable(
            "instance",
            "Instance",
            f'label_values({info}{{namespace=~"$namespace",job=~"$job"}}, instance)',
            ".+",
            "Replica",
        ),
    ]
    if with_route:
        of = f"label_values(http_server_request_duration_seconds_count{{{MATCHERS}}}, http_route)"
        found.append(variable("route", "Route", of, ".+", "Route pattern"))
    return found


def annotation(name, color, text, title):
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": query(text),
        "step": "60s",
        "titleFormat": title,
        "textFormat": "{{instance}}",
        "useValueForTime": False,
    }


def dashboard(uid, title, description, rows, with_route=False):
    """A dashboard of rows: a title and its panels, which are laid out from left to right."""
    panels, y, number = [], 0, 1
    for name, inside in rows:
        panels.append(
            {
                "id": number,
                "type": "row",
                "title": name,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in inside:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(panel.json(number, x, y))
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest
    kinds = sorted({panel["type"] for panel in panels if panel["type"] != "row"})
    return {
        "__inputs": [],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.4.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        ]
        + [{"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds],
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["signet", "oauth2"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "timepicker": {},
        "links": [
            {
                "type": "dashboards",
                "title": "Signet",
                "tags": ["signet"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "icon": "external link",
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {
            "list": [
                annotation("Starts", "blue", "changes(process_start_time_seconds{@}[R]) > 0", "A replica started"),
                annotation("Draining", "orange", "signet_draining{@} > 0", "A replica drains"),
            ]
        },
        "templating": {"list": variables(with_route)},
        "panels": panels,
    }

"""Draws what the panels of a dashboard show, small, one page for each. Not Grafana: its queries, its titles and its units."""

import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

MOST_LINES = 7


def human(value, unit):
    """A number as the unit has it."""
    if value is None or math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{value:.1%}" if abs(value) < 10 else f"{value:.0f}×"
    if unit == "bytes":
        for step in ("B", "kB", "MB", "GB"):
            if abs(value) < 1000 or step == "GB":
                return f"{value:.0f} {step}" if step == "B" else f"{value:.1f} {step}"
            value /= 1000
    if unit == "s":
        for size, step in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= size:
                return f"{value / size:.3g} {step}"
        return "0 s"
    if unit in ("reqps", "ops"):
        return f"{value:.3g}/s"
    return f"{value:.3g}"


def legend(target, labels):
    text = target.get("legendFormat") or ""
    for label, value in labels.items():
        text = text.replace("{{" + label + "}}", value)
    return text.replace("urn:ietf:params:oauth:grant-type:", "") or "value"


def timeseries(axes, panel, shown, begin):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    lines = [(legend(t, labels), points) for t in panel["targets"] for labels, points in shown(panel, t)]
    size = lambda line: max((v for _, v in line[1] if not math.isnan(v)), default=0)
    lines.sort(key=size, reverse=True)
    if stacked:
        times = sorted({t for _, points in lines for t, _ in points})
        rows = [[dict(points).get(t, 0.0) for t in times] for _, points in lines]
        axes.stackplot([t - begin for t in times], rows, labels=[name for name, _ in lines], alpha=0.6)
    else:
        for name, points in lines:
            axes.plot([t - begin for t, _ in points], [v for _, v in points], linewidth=0.9, label=name)
    most = max((size(line) for line in lines), default=0)
    axes.set_ylim(bottom=-(most or axes.get_ylim()[1]) * 0.03)
    axes.yaxis.set_major_formatter(lambda value, _: human(value, unit))
    axes.yaxis.set_major_locator(plt.MaxNLocator(4))
    handles, names = axes.get_legend_handles_labels()
    more = len(names) - MOST_LINES
    names = [name if len(name) < 44 else name[:42] + "…" for name in names]
    if more > 0:
        names[MOST_LINES - 1] += f"  (+{more})"
    axes.legend(handles[:MOST_LINES], names[:MOST_LINES], fontsize=4.6, loc="upper left", bbox_to_anchor=(0, -0.13),
                ncol=2 if len(names) > 3 else 1, frameon=False, handlelength=1, borderaxespad=0, columnspacing=1)


def stat(axes, panel, shown, _):
    values = [points[-1][1] for t in panel["targets"] for _, points in shown(panel, t)]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    axes.text(0.5, 0.45, human(values[0] if values else None, unit), ha="center", va="center", fontsize=15,
              color="#b3261e" if values and values[0] < 0 else "#287d3c")
    axes.axis("off")


def table(axes, panel, shown, _):
    rows = {}
    hidden = panel["transformations"][1]["options"]["excludeByName"]
    heads = []
    for target in panel["targets"]:
        for labels, points in shown(panel, target):
            key = tuple(sorted(labels.items()))
            row = rows.setdefault(key, dict(labels))
            if not hidden.get("Value"):
                row[target["legendFormat"] or "value"] = human(points[-1][1], panel["fieldConfig"]["defaults"]["unit"])
    for row in rows.values():
        heads += [head for head in row if head not in heads]
    axes.axis("off")
    most = 7 * panel["gridPos"]["w"] // max(len(heads), 1)
    cells = [[str(row.get(head, ""))[:most] for head in heads] for row in rows.values()]
    if cells:
        made = axes.table(cellText=cells, colLabels=heads, loc="upper center", cellLoc="left")
        made.auto_set_font_size(False)
        made.set_fontsize(5.5)
        made.scale(1, 0.9)


def heatmap(axes, panel, shown, begin):
    found = [(float(labels["le"]), dict(points)) for t in panel["targets"] for labels, points in shown(panel, t)]
    found = sorted((le, points) for le, points in found)
    times = sorted({t for _, points in found for t in points})
    grid = np.array([[points.get(t, 0.0) for t in times] for _, points in found])
    grid[1:] -= grid[:-1].copy()
    axes.imshow(np.maximum(grid, 0), aspect="auto", origin="lower", cmap="Oranges", interpolation="nearest",
                extent=(times[0] - begin, times[-1] - begin, 0, len(found)))
    axes.set_yticks([at + 0.5 for at in range(len(found))][::2])
    axes.set_yticklabels(["∞" if math.isinf(le) else human(le, "s") for le, _ in found][::2])


def draw(of, shown, path):
    """One page. `shown` has the series of a panel's target."""
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in of["panels"])
    figure = plt.figure(figsize=(11, rows * 0.21 + 0.5), dpi=130)
    top = lambda y: 1 - (y * 0.21 + 0.5) / (rows * 0.21 + 0.5)
    figure.text(0.015, top(-1.1), of["title"], fontsize=11, weight="bold")
    times = [t for p in of["panels"] for target in p.get("targets", []) for _, points in shown(p, target) for t, _ in points]
    begin = min(times, default=0)
    for panel in of["panels"]:
        at = panel["gridPos"]
        left, bottom = 0.01 + at["x"] / 24 * 0.985, top(at["y"] + at["h"])
        width, height = at["w"] / 24 * 0.985, top(at["y"]) - bottom
        if panel["type"] == "row":
            figure.text(left, bottom + height * 0.25, panel["title"], fontsize=8, weight="bold", color="#444444")
            continue
        roomy = panel["type"] in ("timeseries",)
        low = 0.36 if roomy else 0.12
        axes = figure.add_axes((left + 0.042, bottom + height * low, width - 0.055, height * (0.86 - low)))
        axes.set_title(panel["title"], fontsize=6.5, loc="left", pad=3)
        axes.tick_params(labelsize=5, length=2, pad=1)
        axes.grid(linewidth=0.2)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        {"timeseries": timeseries, "stat": stat, "table": table, "heatmap": heatmap}[panel["type"]](axes, panel, shown, begin)
    figure.savefig(path, pil_kwargs={"optimize": True})
    plt.close(figure)
    smaller(path)


def smaller(path):
    """A palette instead of full colours: a third of the bytes."""
    from PIL import Image

    with Image.open(path) as image:
        image.convert("RGB").quantize(48).save(path, optimize=True)

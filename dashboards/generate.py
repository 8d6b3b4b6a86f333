#!/usr/bin/env python3
"""generate.py [--check]: writes the dashboards next to this file from the list in panels.py; with --check it only says
which of them differ from it, and ends with 1 when one does. Needs nothing but Python."""

import json
import pathlib
import sys

from panels import DASHBOARDS

HERE = pathlib.Path(__file__).parent


def main():
    wanted = {f"{name}.json": json.dumps(made, indent=2, ensure_ascii=False) + "\n" for name, made in DASHBOARDS.items()}
    there = {path.name: path.read_text() for path in HERE.glob("*.json")}
    differ = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if "--check" in sys.argv[1:]:
        if differ:
            sys.exit(f"differs from panels.py: {', '.join(differ)}; run dashboards/generate.py")
        print(f"{len(wanted)} dashboards are what panels.py makes")
        return
    for name in differ:
        if name in wanted:
            (HERE / name).write_text(wanted[name])
        else:
            (HERE / name).unlink()
    print(f"{len(differ)} of {len(wanted)} dashboards written")


if __name__ == "__main__":
    main()

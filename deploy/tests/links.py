"""links.py FILE...: where a link of these pages leads to a file, it is there."""

import re
import sys
from pathlib import Path

missing = []
for page in map(Path, sys.argv[1:]):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
            missing.append(f"{page}: {target}")
if missing:
    raise SystemExit("lead nowhere:\n" + "\n".join(missing))

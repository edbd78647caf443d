"""A run whose names would act if they were markup."""

from __future__ import annotations

import json

from report.synthetic import records, write_run

HOSTILE = "<script>alert(1)</script>"
KEPT = (
    "euler", "heun", "rk4", "ddim", "dpmpp-2m", "dpmpp-3m", "unipc-3",
    "exp-rk2", "exp-ab2", "deis-tab3", "dpm-3", "ddpm",
)  # fmt: skip
BREAKOUT = "</script><img src=x onerror=alert(2)>"


def hostile_run(folder):
    """Twelve solvers, one named like a script, in a family that would end the data's element; cells are missing."""
    cells = [c for c in records() if c["solver"] in KEPT]
    for cell in cells:
        if cell["solver"] == "exp-rk2":
            cell |= {"solver": HOSTILE, "family": BREAKOUT}
    write_run(folder, cells, planned=len(cells) + 5, images=3)
    manifest = folder / "manifest.json"
    said = {"title": f"Names {HOSTILE} & co", "command": BREAKOUT}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | said))
    return folder

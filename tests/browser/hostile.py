"""A run whose names would act if they were markup, hide what is beside them, or leave no room for it."""

from __future__ import annotations

import json

from report.synthetic import records, write_run

HOSTILE = "<script>alert(1)</script>"
BREAKOUT = "</script><img src=x onerror=alert(2)>"
PROBLEM = '"><img src=x onerror=alert(3)> & $x_1$'
REASON = "ValueError: '\u2028]]><!--\n</script><script>alert(4)</script>' is no number"
REVERSED = "\u202e" + 250 * "reversed and long " + "name"
KEPT = (
    "euler", "heun", "rk4", "ddim", "dpmpp-2m", "dpmpp-3m", "unipc-3",
    "exp-rk2", "exp-ab2", "deis-tab3", "dpm-3", "ddpm",
)  # fmt: skip
RENAMED = {
    "cifar10-gaussian": PROBLEM, "exp-rk2": HOSTILE, "exp-ab2": REVERSED,
    "the plan has a coefficient | that is not finite": REASON,
}  # fmt: skip


def hostile_run(folder):
    """Twelve solvers, one named like a script, in a family that would end the data's element; cells are missing.

    The run was made for the solver that is named like a script.
    """
    cells = [c for c in records() if c["solver"] in KEPT]
    for cell in cells:
        cell |= {key: RENAMED.get(cell[key], cell[key]) for key in ("problem", "solver", "reason")}
        if cell["solver"] == HOSTILE:
            cell |= {"family": BREAKOUT}
    write_run(folder, cells, planned=len(cells) + 5, images=3)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest |= {
        "title": f"Names {HOSTILE} & co", "command": BREAKOUT, "mine": [HOSTILE], "left_out": [REASON],
        "hardware": {"host": REASON, "\ud800": BREAKOUT},
    }  # fmt: skip
    manifest["problems"][0] |= {"about": BREAKOUT, "grid_options": {HOSTILE: "\u2067" + BREAKOUT}}
    path.write_text(json.dumps(manifest))
    return folder

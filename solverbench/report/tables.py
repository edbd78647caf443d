"""The tables of a run: errors by budget, their split, distance by compute, and the best solver of each budget."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.measures.paired import RESOLVES
from solverbench.methods import SOLVERS
from solverbench.methods.registry import solvers
from solverbench.report.comparison import SAME, clock, floor, reach_floor, tidy, twins, unpaired, usual_budget, wide
from solverbench.report.joint import joint_names, joint_table
from solverbench.report.layout import Table, listed, short, told
from solverbench.report.profiles import errors, places
from solverbench.report.quantities import DISTANCE, PARTS, Quantity
from solverbench.report.statistics import LEVEL

if TYPE_CHECKING:
    from solverbench.report.records import Run

ORDER = "Order: as claimed."
WORDS = {"diverged": "div", "failed": "fail", "skipped": "-"}


def tables(run: Run) -> list[Table]:
    """Every table of the run; none for a problem of which no cell has finished."""
    made = [joint_table(run, name) for name in joint_names(run)]
    for problem, kind in run.alone:
        for quantity in run.measured(problem):
            made.append(error_table(run, problem, quantity))
            if quantity.parts:
                made.append(split_table(run, problem, quantity))
        if kind != "law":
            made.append(compute_table(run, problem))
        made.append(best_table(run, problem))
    if len(run.alone) > 1:
        made.append(places_table(run))
    return made


def error_table(run: Run, problem: str, quantity: Quantity) -> Table:
    """Solvers by NFE budget."""
    records, unsaid = run.of(problem), []
    if quantity.partial:
        some = records[quantity.key].notna().groupby(records["label"]).transform("any")
        unsaid = ["Solvers without such a number are left out."] * (not some.all())
        records = records[some]
    data = tidy(records, quantity)
    body = wide(data.assign(text=_texts(data, quantity)), "text").fillna("")
    bold = wide(data, "best").fillna(False).astype(bool)
    winner = data["best"] & (data["rank"] > data.groupby("budget")["rank"].transform("min") * (1 + SAME))
    tied = wide(data.assign(tied=winner), "tied").fillna(False).astype(bool)
    for frame in (body, bold, tied):
        frame.columns = pd.Index([f"{b:g}" for b in frame.columns])
    notes = [quantity.meaning, *unsaid, *_context(records, quantity), *_bold_notes(quantity, records)]
    notes += _footnotes(records, body)
    title = run.titled(f"{problem}: {quantity.name} by NFE")
    notes += [*run.left_out(problem), *run.warnings]

    def precise() -> pd.DataFrame:
        return _headed(records, _precise(data), measured=True)

    name = f"{problem}-{quantity.key}"
    return Table(name, title, _headed(records, body), bold, _public(data), notes, 2, precise, tied)


def split_table(run: Run, problem: str, quantity: Quantity) -> Table:
    """Total and parts at one budget (all budgets in the data)."""
    records = run.of(problem)
    budget = usual_budget(records)
    columns = [quantity.key, *(f"{quantity.key}_{part}" for part in PARTS)]
    columns += ["mean_error", "std_error_min", "std_error_max"] if quantity.key == "w2" else []
    headings = ["total", *PARTS, "mean error", "std error min", "std error max"]
    data = _public(tidy(records, quantity)).drop(columns=["best", "se", "below"]).rename(columns={"value": "total"})
    data[columns[1:]] = records[columns[1:]].to_numpy()
    here = records[records["budget"] == budget].set_index("label")
    body = pd.DataFrame(
        {
            heading: [_text(status, value) for status, value in zip(here["status"], here[column], strict=True)]
            for heading, column in zip(headings, columns, strict=False)
        },
        index=here.index,
    )
    cancelled = here.index[here[columns[1:4]].max(axis=1) > here[quantity.key] * 1.001]
    notes = [
        quantity.meaning,
        "Initialisation: the exact process from the prior instead of the exact start law. Truncation: what the end of "
        "the grid costs. Discretisation: what the steps cost. The parts need not add up to the total.",
    ]
    if len(cancelled):
        names = listed([str(label) for label in cancelled], 8)
        notes.append(f"The total is smaller than one of its parts, errors that cancel and no merit: {names}.")
    notes += _footnotes(records, body)
    title = run.titled(f"{problem}: {quantity.name} split at NFE {budget}")
    none = pd.DataFrame(False, index=body.index, columns=body.columns)
    return Table(f"{problem}-{quantity.key}-split", title, _headed(records, body), none, data, notes + run.warnings, 2)


def judged_sets(run: Run, problem: str) -> Quantity:
    """What is set against compute: the distance of sets of outputs, or what comes first where there is none."""
    found = run.measured(problem)
    return next((q for q in found if q.key.startswith("fd")), found[0])


def compute_frame(records: pd.DataFrame, quantity: Quantity = DISTANCE) -> pd.DataFrame:
    """What each cell cost and the distance it reached; seconds also as a ratio to euler's (else the first solver's)."""
    data = _public(tidy(records, quantity)).drop(columns=["best", "below", "quantity"])
    data = data.rename(columns={"value": quantity.key, "se": f"{quantity.key}_se"})
    data[["flops", "flops_per_evaluation", "peak_memory"]] = records[["flops", "flops_per_evaluation", "peak_memory"]]
    data = data.join(clock(records))
    data["overhead_per_step"] = data["overhead_seconds"] / records["steps"]
    own = data["solver"] == _baseline(records)
    base = data[own].drop_duplicates("budget").set_index("budget")[["seconds", "seconds_se"]]
    base, relative = base.reindex(data["budget"]).set_index(data.index), data["seconds_se"] / data["seconds"]
    data["seconds_ratio"] = data["seconds"] / base["seconds"]
    data["seconds_ratio_se"] = data["seconds_ratio"] * np.hypot(relative, base["seconds_se"] / base["seconds"])
    data.loc[own, "seconds_ratio_se"] *= 0.0
    if quantity.spread:
        data["fd_over_floor"] = data["fd"] / records["fd_floor"]
    return data


def compute_table(run: Run, problem: str) -> Table:
    """Distance and cost at one budget (all budgets in the data), and the budget that reaches the floor, if any."""
    records, quantity = run.of(problem), judged_sets(run, problem)
    budget, base = usual_budget(records), _baseline(records)
    data = compute_frame(records, quantity)
    here, at = data[data["budget"] == budget].set_index("solver"), tidy(records, quantity)
    at = at[at["budget"] == budget].set_index("label")
    shown = {
        "NFE": here["nfe"],
        "GFLOPs/eval": here["flops_per_evaluation"] / 1e9,
        "GFLOPs": here["flops"] / 1e9,
        "field s": here["field_seconds"],
        "solver s": here["overhead_seconds"],
        "ms/step": here["overhead_per_step"] * 1e3,
        f"vs {base}": here["seconds_ratio"],
        "peak MB": here["peak_memory"] / 1e6,
    }
    shown = {name: column for name, column in shown.items() if column.notna().any()}
    columns = {quantity.name: _texts(at, quantity)}
    columns |= {k: [_text(*cell, k == "NFE") for cell in zip(at["status"], v, strict=True)] for k, v in shown.items()}
    if f"vs {base}" in shown:
        told_ratio = {"value": here["seconds_ratio"].to_numpy(), "se": here["seconds_ratio_se"].to_numpy()}
        columns[f"vs {base}"] = _told(at.assign(**told_ratio, below=False))
    body = pd.DataFrame(columns, index=here.index)
    if quantity.spread:
        reached = reach_floor(records)
        body["floor at"] = [str(reached.get(str(label), "-")) for label in body.index]
    bold = pd.DataFrame({quantity.name: at["best"].to_numpy()}, index=body.index)
    notes = [
        quantity.meaning,
        *_context(records, quantity),
        "GFLOPs: operations of matrix products and convolutions, as torch counts them, per sample: of one evaluation, "
        "and of all. Field s, solver s: seconds of all samples, in the model and in the solver around it; ms/step: the "
        f"latter per step. Vs {base}: their sum as a ratio.",
        *_clock_notes(run, records),
        *["Peak MB: the most that was resident of the process while it judged the cell, all it has loaded included."]
        * ("peak MB" in shown),
        *["Floor at: the NFE from which on the distance is within two standard deviations of that of exact samples."]
        * bool(quantity.spread),
        *_bold_notes(quantity, records),
        *_footnotes(records, body),
    ]
    title = run.titled(f"{problem}: {quantity.name} by compute at NFE {budget}")
    return Table(f"{problem}-compute", title, _headed(records, body), bold, data, notes + run.warnings, 2)


def _clock_notes(run: Run, records: pd.DataFrame) -> list[str]:
    """How the seconds were taken."""
    if np.isfinite(rounds := records["timed_rounds"].median()):
        return [
            f"Seconds are medians of {rounds:g} rounds in which all solvers of a budget take turns, alone; in "
            "brackets: standard errors of these medians."
        ]
    if (jobs := int(run.manifest.get("jobs", 1))) > 1:
        return [f"{jobs} cells ran at once: seconds are of a machine that is shared."]
    return []


def best_table(run: Run, problem: str) -> Table:
    """The best solver of each budget by each quantity, with those it cannot be told from."""
    records = run.of(problem)
    same, quantities = twins(records)[0], run.measured(problem)
    found, columns = [], {}
    for quantity in quantities:
        data = tidy(records, quantity)
        best = data[data["best"]].sort_values(["budget", "rank"], kind="stable")
        found.append(_public(best))
        names, values = {}, {}
        for value, rows in best.groupby("budget"):
            first = [n for n in rows["label"] if n not in same]
            names[f"{value:g}"] = listed(first or list(rows["label"]), 3)
            values[f"{value:g}"] = _texts(rows.iloc[:1], quantity)[0]
        columns[quantity.name] = pd.Series(values, dtype=object)
        columns[f"best by {quantity.name}"] = pd.Series(names, dtype=object)
    budgets = [f"{b:g}" for b in sorted(records["budget"].dropna().unique())]
    body = pd.DataFrame(columns).reindex(index=budgets).fillna("-")
    body.insert(0, "NFE", budgets)
    notes = [q.meaning for q in quantities]
    notes.append("Several names are a tie: none is better than another of them beyond doubt.")
    notes += dict.fromkeys(note for q in quantities for note in unpaired(records, q))
    if same:
        notes.append("Of identical programs the first is named.")
    none = pd.DataFrame(False, index=body.index, columns=body.columns)
    title = run.titled(f"{problem}: best solver at each NFE")
    return Table(f"{problem}-best", title, body, none, pd.concat(found), notes + run.warnings, body.shape[1])


def places_table(run: Run) -> Table:
    """The places that the data allow every solver on every problem, the best mean place first."""
    found = places(errors(run))
    problems = list(dict.fromkeys(found.columns.get_level_values(0)))
    columns = {p: [_span(*row) for row in found[p][["first", "last"]].to_numpy()] for p in problems}
    body = pd.DataFrame({"solver": found.index.astype(str), **columns}, index=found.index)
    data = pd.concat([found[p].assign(problem=p) for p in problems]).dropna().rename_axis("solver").reset_index()
    notes = [
        "First and last place that the data allow, means over budgets; a cell without a number comes last.",
        *(f"{p}: by {run.primary(p).name}." for p, _ in run.alone if p in problems),
        "-: not run there, or never with a number. Programs that are another's on all problems are left out.",
    ]
    none = pd.DataFrame(False, index=body.index, columns=body.columns)
    return Table("places", run.titled(f"{run.title}: places"), body, none, data, notes + run.warnings)


def _span(first: float, last: float) -> str:
    if np.isnan(first):
        return "-"
    low, high = f"{first:.0f}", f"{last:.0f}"
    return low if low == high else f"{low}-{high}"


def _public(data: pd.DataFrame) -> pd.DataFrame:
    """The tidy columns of a CSV: the label under the name a reader looks for."""
    return data.drop(columns=["solver", "ok", "rank"]).rename(columns={"label": "solver"})


def _texts(data: pd.DataFrame, quantity: Quantity) -> list[str]:
    """Values, those of distances of sets with their standard errors: they are read by themselves, without a test."""
    se = 0.0 * data["se"] if quantity.root else data["se"]
    return _told(data.assign(se=se))


def _told(data: pd.DataFrame, unit: float = 1.0) -> list[str]:
    """Words for what has no value; values in that unit with the standard errors there are."""
    return [
        WORDS.get(status) or told(value / unit, error / unit, below)
        for status, value, error, below in zip(*(data[c] for c in ("status", "value", "se", "below")), strict=True)
    ]


def _precise(data: pd.DataFrame) -> pd.DataFrame:
    """Values with their standard errors; columns "10 e-2" are in units of that power of ten, to be narrow."""
    columns = {}
    for budget, rows in data.groupby("budget"):
        least = rows.loc[rows["value"] > 0, "value"].min()
        power = math.floor(math.log10(least)) if least < 0.1 or least >= 1000 else 0
        name = f"{budget:g} e{power}" if power else f"{budget:g}"
        columns[name] = pd.Series(_told(rows, 10.0**power), index=rows["label"], dtype=object)
    return pd.DataFrame(columns).reindex(pd.unique(data["label"])).fillna("")


def _text(status: str, value: float, integer: bool = False) -> str:
    if status in WORDS:
        return WORDS[status]
    return short(value) if not integer or np.isnan(value) else f"{value:g}"


def _headed(records: pd.DataFrame, body: pd.DataFrame, measured: bool = False) -> pd.DataFrame:
    """Put the solver, with what it is identical to, and its claimed order in front; and the measured one, if asked."""
    same = twins(records)[0]
    columns = ["label", "solver", "family", "stochastic", "order"]
    known = records[columns].drop_duplicates("label").set_index("label").to_dict("index")
    of = [known[name] for name in body.index]
    names = [
        f"{'→ ' if k['family'] == 'user' else ''}{name}{' †' if k['stochastic'] else ''}"
        f"{f' = {same[name]}' if name in same else ''}"
        for name, k in zip(body.index, of, strict=True)
    ]
    orders = ["-" if np.isnan(k["order"]) else f"{k['order']:g}" for k in of]
    body = body.copy()
    body.insert(0, "solver", names)
    body.insert(1, "claimed" if measured else "order", orders)
    if measured:
        registered = {*solvers()}  # asked once: who is not there is looked for among all installed packages
        names = [str(k["solver"]) for k in of]
        body.insert(2, "measured", [_attained(name) if name.split("[")[0] in registered else "-" for name in names])
    return body


def _attained(solver: str) -> str:
    """The order a registered solver has been measured to have, by the tests of this version; '-' without one."""
    found = SOLVERS[solver]
    if found.order is None:
        return "-"
    return str(found.order if found.attains is None else found.attains[0])


def _baseline(records: pd.DataFrame) -> str:
    solvers = list(records["solver"])
    return "euler" if "euler" in solvers else str(solvers[0])


def _context(records: pd.DataFrame, quantity: Quantity) -> list[str]:
    """Sample numbers, the reference's own error and the floor, as far as they were measured."""
    notes = []
    n, paired, reference = (records[c].median() for c in ("n", "n_paired", "reference_error"))
    if quantity.key == "rmse":
        if np.isfinite(paired):
            notes.append(f"n = {paired:g} paired samples; their standard errors are in the CSV.")
        if np.isfinite(reference):
            notes.append(
                f"Error of the reference itself: {short(reference)}; less than {RESOLVES} times that is not resolved."
            )
        if np.isfinite(truncation := records["rmse_truncation"].median()):
            notes.append(
                f"Truncation: {short(truncation)} is what a perfect solver of the same grid scores, whose last step is "
                "the denoiser at the smallest noise level."
            )
    if quantity.key.startswith("fd") and np.isfinite(n):
        notes.append(f"n = {n:g} samples; values at other n are not comparable.")
        how = "of exact samples" if records[quantity.error[0]].isna().all() else "by leaving out samples (jackknife)"
        notes += [f"Standard errors are {how}."] * bool(records[list(quantity.error)].notna().any(axis=None))
    if quantity.key == "bits_error" and np.isfinite(drawn := records["n_bits"].median()):
        notes.append(f"n = {drawn:g} exact samples.")
    if quantity.error and not quantity.root:
        notes.append("In brackets: the standard error, in units of the last digit.")
    if quantity.key == "fd_reference" and np.isfinite(error := records["set_error"].median()):
        notes.append(f"Paired RMSE of these references: {short(error)}.")
    if quantity.key == "fd_data" and np.isfinite(least := records["fd_data_floor"].median()):
        notes.append(f"Goal, the score of the reference trajectories' ends: {short(least)}.")
    if quantity.key == "fd":
        least, spread = floor(records)
        if np.isfinite(least):
            notes.append(f"Floor, the score of n exact samples: {short(least)} (standard deviation {short(spread)}).")
    return notes


def _bold_notes(quantity: Quantity, records: pd.DataFrame) -> list[str]:
    if not quantity.error:
        return [f"Bold: {'the best' if quantity.floor is None else 'the nearest to the goal'} at its budget."]
    test = f"beyond doubt (all pairs tested start by start, Holm's correction, {LEVEL:.0%} for the table's column)"
    if careful := unpaired(records, quantity):
        test = test.replace(" start by start", "")
    if quantity.floor is None:
        return [f"Bold: no solver is better at that budget {test}.", *careful]
    nearer = (
        f"Bold: no solver is nearer to the goal at that budget {test}. "
        "Below it is no better: with few samples, outputs that vary too little score low, "
        "so a solver may also pass the floor by chance."
        + " The paired error is the primary measure."
        * bool(records["rmse"].notna().any())
    )
    return [nearer, *careful]


def _footnotes(records: pd.DataFrame, body: pd.DataFrame) -> list[str]:
    """Explain what stands in the table: budgets, orders, marks, identical programs, and why cells have no number."""
    notes = ["NFE is a budget: a solver takes as many steps as fit and may use fewer evaluations.", ORDER]
    texts = set(body.to_numpy().ravel())
    words = {"div": "diverged", "fail": "failed", "-": "budget too small, or not measured", "": "not run yet"}
    legend = [f"{mark or 'empty'}: {word}" for mark, word in words.items() if mark in texts]
    if legend:
        notes.append("; ".join(legend) + ".")
    if records["stochastic"].any():
        follows = "; its samples are not meant to follow the reference trajectory of the ODE"
        paired = (records["kind"] == "paired").any() and records["rmse"].notna().any()
        notes.append(f"†: stochastic{follows * bool(paired)}.")
    if (records["family"] == "user").any():
        notes.append("→: a solver of your own.")
    same, sometimes = twins(records)
    notes += [
        f"Identical programs: {' = '.join([root, *(name for name, r in same.items() if r == root)])}."
        for root in dict.fromkeys(same.values())
    ]
    notes += [
        f"{name} = {other} at NFE {', '.join(map(str, budgets))}: the identical program there."
        for name, others in sometimes.items()
        for other, budgets in others.items()
    ]
    bad = records[records["status"].isin(["diverged", "failed"]) & records["reason"].notna()]
    for (status, reason), rows in bad.groupby(["status", "reason"], sort=False):
        where = [f"{label} at {budget:g}" for label, budget in zip(rows["label"], rows["budget"], strict=True)]
        notes.append(f"{WORDS[str(status)]}: {listed(where, 6)}: {reason}")
    return notes

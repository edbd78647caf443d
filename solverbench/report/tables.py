"""The tables of a run: errors by budget, their split, distance by compute, and the best solver of each budget."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.methods import SOLVERS
from solverbench.methods.registry import solvers
from solverbench.report.comparison import SAME, clock, public, reach_floor, tidy, twins, unpaired, usual_budget, wide
from solverbench.report.joint import joint_names, joint_table
from solverbench.report.layout import Table, listed, short, told
from solverbench.report.notes import WORDS, context, footnotes, of_bold, of_seconds, sampled
from solverbench.report.profiles import errors, places
from solverbench.report.quantities import PARTS, Quantity

if TYPE_CHECKING:
    from solverbench.report.records import Run

NOTHING = 1e-4
"""Of the median of a column, what sets no unit: it is rounding, or exact."""


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
    body = wide(data.assign(text=_texts(data)), "text").fillna("")
    bold = wide(data, "best").fillna(False).astype(bool)
    winner = data["best"] & (data["rank"] > data.groupby("budget")["rank"].transform("min") * (1 + SAME))
    tied = wide(data.assign(tied=winner), "tied").fillna(False).astype(bool)
    for frame in (body, bold, tied):
        frame.columns = pd.Index([f"{b:g}" for b in frame.columns])
    notes = [quantity.meaning, *unsaid, *context(records, quantity), *of_bold(records, quantity)]
    notes += footnotes(records, body)
    title = run.titled(f"{problem}: {quantity.name} by NFE")
    notes += [*run.left_out(problem), *run.warnings]

    def precise() -> pd.DataFrame:
        return _headed(records, _precise(data), measured=True)

    name = f"{problem}-{quantity.key}"
    return Table(name, title, _headed(records, body), public(data), notes, 2, bold, tied, precise)


def split_table(run: Run, problem: str, quantity: Quantity) -> Table:
    """Total and parts at one budget (all budgets in the data)."""
    records = run.of(problem)
    budget = usual_budget(records)
    columns = [quantity.key, *(f"{quantity.key}_{part}" for part in PARTS)]
    columns += ["mean_error", "std_error_min", "std_error_max"] if quantity.key == "w2" else []
    headings = ["total", *PARTS, "mean off", "std off min", "std off max"]
    data = public(tidy(records, quantity)).drop(columns=["best", "n", "se", "method", "below"])
    data = data.rename(columns={"value": "total"})
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
    if "mean off" in body:
        notes.append(
            "Off: error of the output's mean, and least and greatest error of its standard deviation in any direction, "
            "from the exact start; below zero it varies too little."
        )
    if len(cancelled):
        names = listed([str(label) for label in cancelled], 8)
        notes.append(f"The total is smaller than one of its parts, errors that cancel and no merit: {names}.")
    notes += footnotes(records, body)
    title = run.titled(f"{problem}: {quantity.name} split at NFE {budget}")
    return Table(f"{problem}-{quantity.key}-split", title, _headed(records, body), data, notes + run.warnings, 2)


def judged_sets(run: Run, problem: str) -> Quantity:
    """What is set against compute: the distance of sets of outputs, or what comes first where there is none."""
    found = run.measured(problem)
    return next((q for q in found if q.key.startswith("fd")), found[0])


def compute_frame(records: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """What each cell cost and the distance it reached; seconds also as a ratio to euler's (else the first solver's)."""
    data = public(tidy(records, quantity)).drop(columns=["best", "below", "quantity"])
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
    columns = {quantity.name: _texts(at)}
    columns |= {k: [_text(*cell, k == "NFE") for cell in zip(at["status"], v, strict=True)] for k, v in shown.items()}
    if f"vs {base}" in shown:
        told_ratio = {"value": here["seconds_ratio"].to_numpy(), "se": here["seconds_ratio_se"].to_numpy()}
        columns[f"vs {base}"] = _texts(at.assign(**told_ratio, below=False))
    body = pd.DataFrame(columns, index=here.index)
    if quantity.spread:
        reached = reach_floor(records, quantity)
        body["floor at"] = [str(reached.get(str(label), "-")) for label in body.index]
    bold = pd.DataFrame({quantity.name: at["best"].to_numpy()}, index=body.index)
    notes = [
        quantity.meaning,
        *context(records, quantity),
        "GFLOPs: operations of matrix products and convolutions, as torch counts them, per sample: of one evaluation, "
        "and of all. Field s, solver s: seconds of all samples, in the model and in the solver around it; ms/step: the "
        f"latter per step. Vs {base}: their sum as a ratio.",
        *of_seconds(run, records),
        *["Peak MB: the most that was resident of the process while it judged the cell, all it has loaded included."]
        * ("peak MB" in shown),
        *["Floor at: the NFE from which on the distance is within two standard errors of that of exact samples."]
        * bool(quantity.spread),
        *of_bold(records, quantity),
        *footnotes(records, body),
    ]
    title = run.titled(f"{problem}: {quantity.name} by compute at NFE {budget}")
    return Table(f"{problem}-compute", title, _headed(records, body), data, notes + run.warnings, 2, bold)


def best_table(run: Run, problem: str) -> Table:
    """The best solver of each budget by each quantity, with those it cannot be told from."""
    records = run.of(problem)
    same, quantities = twins(records)[0], run.measured(problem)
    found, columns = [], {}
    for quantity in quantities:
        data = tidy(records, quantity)
        best = data[data["best"]].sort_values(["budget", "rank"], kind="stable")
        found.append(public(best))
        names, values = {}, {}
        for value, rows in best.groupby("budget"):
            first = [n for n in rows["label"] if n not in same]
            names[f"{value:g}"] = listed(first or list(rows["label"]), 3)
            values[f"{value:g}"] = _texts(rows.iloc[:1])[0]
        columns[quantity.name] = pd.Series(values, dtype=object)
        columns[f"best by {quantity.name}"] = pd.Series(names, dtype=object)
    budgets = [f"{b:g}" for b in sorted(records["budget"].dropna().unique())]
    body = pd.DataFrame(columns).reindex(index=budgets).fillna("-")
    body.insert(0, "NFE", budgets)
    notes = [q.meaning for q in quantities] + [note for q in quantities for note in sampled(records, q)]
    notes.append("Several names are a tie: none is better than another of them beyond doubt.")
    notes += dict.fromkeys(note for q in quantities for note in unpaired(records, q))
    if same:
        notes.append("Of identical programs the first is named.")
    title = run.titled(f"{problem}: best solver at each NFE")
    return Table(f"{problem}-best", title, body, pd.concat(found), notes + run.warnings, body.shape[1])


def places_table(run: Run) -> Table:
    """The places that the data allow every solver on every problem, the best mean place first."""
    found = places(errors(run))
    problems = list(dict.fromkeys(found.columns.get_level_values(0)))
    columns = {p: [_span(*row) for row in found[p][["first", "last"]].to_numpy()] for p in problems}
    body = pd.DataFrame({"solver": found.index.astype(str), **columns}, index=found.index)
    named = {"first": "mean_first", "last": "mean_last"}
    data = pd.concat({p: found[p].dropna().rename(columns=named) for p in problems}, names=["problem", "solver"])
    notes = [
        "First and last place that the data allow, means over budgets; a cell without a number comes last.",
        *(f"{p}: by {run.primary(p).name}." for p, _ in run.alone if p in problems),
        "-: not run there, or never with a number. Programs that are another's on all problems are left out.",
    ]
    return Table("places", run.titled(f"{run.title}: places"), body, data.reset_index(), notes + run.warnings)


def _span(first: float, last: float) -> str:
    if np.isnan(first):
        return "-"
    low, high = f"{first:.0f}", f"{last:.0f}"
    return low if low == high else f"{low}-{high}"


def _texts(data: pd.DataFrame, unit: float = 1.0) -> list[str]:
    """Words for what has no value; values in that unit with the standard errors there are."""
    return [
        WORDS.get(status) or told(value / unit, error / unit, below)
        for status, value, error, below in zip(*(data[c] for c in ("status", "value", "se", "below")), strict=True)
    ]


def _precise(data: pd.DataFrame) -> pd.DataFrame:
    """Values with their standard errors; columns "10 e-2" are in units of that power of ten, to be narrow."""
    columns = {}
    for budget, rows in data.groupby("budget"):
        values = rows.loc[rows["value"] > 0, "value"]
        least = values[values > NOTHING * values.median()].min()
        power = math.floor(math.log10(least)) if least < 0.1 or least >= 1000 else 0
        name = f"{budget:g} e{power}" if power else f"{budget:g}"
        columns[name] = pd.Series(_texts(rows, 10.0**power), index=rows["label"], dtype=object)
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

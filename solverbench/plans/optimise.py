"""Making a traced plan as short as it can be without changing what it computes.

`fold` substitutes a linear combination into another that reads all of its operands anyway (Heun's predictor, whose
state is spanned by x and the first slope, drops out of the corrector: one operand and one row less). `prune` removes
what the output does not depend on, so that an evaluation nobody uses is neither made nor counted.
"""

from __future__ import annotations

from dataclasses import replace

from solverbench.numbers import Number
from solverbench.plans.ir import Eval, Input, Instruction, Jump, LinComb, Map, Noise, operands


def optimise(code: list[Instruction], output: int) -> tuple[tuple[Instruction, ...], int]:
    """Return an equivalent program and the new number of its output."""
    return prune(fold(code), output)


def fold(code: list[Instruction]) -> list[Instruction]:
    """Substitute linear combinations wherever that lowers the number of operands."""
    folded: list[Instruction] = []
    for i in code:
        folded.append(LinComb(_substitute(dict(i.terms), folded)) if isinstance(i, LinComb) else i)
    return folded


def _substitute(terms: dict[int, Number], code: list[Instruction]) -> tuple[tuple[int, Number], ...]:
    for v in sorted(terms, reverse=True):
        inner = code[v]
        if isinstance(inner, LinComb) and all(u in terms for u in operands(inner)):
            c = terms.pop(v)
            for u, c_u in inner.terms:
                terms[u] = terms[u] + c * c_u
    return tuple((v, c) for v, c in sorted(terms.items()) if c != 0)


def prune(code: list[Instruction], output: int) -> tuple[tuple[Instruction, ...], int]:
    """Drop dead values, copies (1.0 * value) and renumber; draws are renumbered in order of execution."""
    alias: dict[int, int] = {}
    for v, i in enumerate(code):
        if isinstance(i, LinComb) and len(i.terms) == 1 and i.terms[0][1] == 1:
            alias[v] = alias.get(i.terms[0][0], i.terms[0][0])
    output = alias.get(output, output)
    live = {0, output}
    for v in range(len(code) - 1, -1, -1):
        if v in live:
            live.update(alias.get(u, u) for u in operands(code[v]))

    number: dict[int, int] = {}
    pruned: list[Instruction] = []
    draws = 0
    for v, i in enumerate(code):
        if v not in live:
            continue
        number[v] = len(pruned)
        match i:
            case LinComb(terms):
                merged: dict[int, Number] = {}  # two names of one value are one operand
                for u, c in terms:
                    u = number[alias.get(u, u)]
                    merged[u] = merged[u] + c if u in merged else c
                i = LinComb(tuple(merged.items()))
            case Jump(x, z=int(z)):
                i = replace(i, x=number[alias.get(x, x)], z=number[alias.get(z, z)])
            case Eval() | Jump() | Map():
                i = replace(i, x=number[alias.get(i.x, i.x)])
            case Noise():
                i = replace(i, draw=draws)
                draws += 1
            case Input():
                pass
        pruned.append(i)
    return tuple(pruned), number[output]

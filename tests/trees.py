"""Order conditions of Runge-Kutta methods, one for each rooted tree, in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction as Q


def trees(order):
    """Rooted trees of that many vertices, each the sorted tuple of the trees that hang from its root."""
    return {()} if order == 1 else {grown for tree in trees(order - 1) for grown in with_a_leaf(tree)}


def with_a_leaf(tree):
    yield tuple(sorted((*tree, ())))
    for i, branch in enumerate(tree):
        for grown in with_a_leaf(branch):
            yield tuple(sorted((*tree[:i], grown, *tree[i + 1 :])))


def size(tree):
    return 1 + sum(size(branch) for branch in tree)


def density(tree):
    """gamma of Butcher's theory: the sizes of all subtrees multiplied."""
    product = size(tree)
    for branch in tree:
        product *= density(branch)
    return product


def order_of(a, b, c):
    """The highest order p such that sum_i b_i Phi_i(tree) = 1/gamma(tree) for every tree of at most p vertices."""
    n = range(len(c))

    def phi_of(tree):  # by stage
        value = [Q(1)] * len(c)
        for branch in tree:
            inner = phi_of(branch)
            value = [v * sum((a[i][j] * inner[j] for j in range(i)), Q(0)) for i, v in zip(n, value, strict=True)]
        return value

    for p in range(1, 10):
        for tree in trees(p):
            if sum((b_i * v for b_i, v in zip(b, phi_of(tree), strict=True)), Q(0)) != Q(1, density(tree)):
                return p - 1
    return 9


def at_zero(weights):
    """A combination of phi functions at z = 0, where phi_k = 1/k!."""
    return sum((w / math.factorial(k if isinstance(k, int) else k[0]) for k, w in weights.items()), Q(0))

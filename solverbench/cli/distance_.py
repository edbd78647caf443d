"""`solverbench distance A B`: how far one set of pictures is from another, with its standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from solverbench.cli.common import json_option, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from solverbench.measures.estimate import Estimate
    from solverbench.measures.extractors import Extractor

MEASURES = ("fd", "kid", "sw2", "coverage", "nearest")


@click.command("distance")
@click.argument("samples")
@click.argument("reference")
@click.option("--measure", type=click.Choice(MEASURES), multiple=True, help="Which, fd and kid by default; repeatable.")
@click.option(
    "--extractor",
    default="randconv",
    show_default=True,
    help="Features: pixel, randconv, cifar10-features, effnet-lite0, inception-tf1, -pil, -torch, or file.py:function.",
)
@click.option("--seed", default=0, show_default=True, help="Of splits, blocks and directions.")
@json_option
def command(samples: str, reference: str, measure: tuple[str, ...], extractor: str, seed: int, as_json: bool) -> None:
    """Print distances of the pictures SAMPLES to the pictures REFERENCE, in features.

    Each is a folder of pictures of one size, or a .npy or .npz file of bytes (n, h, w, 3) or (n, 3, h, w). For fd alone
    REFERENCE may be a file of statistics that this package wrote, or another tool's (mu and sigma), which is taken to
    be of the same extractor.
    """
    from solverbench.measures.extractors import extractor as find

    found = find(extractor)
    rows = [
        {"measure": name, "value": e.value, "se": e.se, "n": e.n, "method": e.method}
        for name, e in _measured(found, samples, reference, measure or ("fd", "kid"), seed)
    ]
    print_rows(rows, as_json)


def _measured(
    extract: Extractor, samples: str, reference: str, chosen: tuple[str, ...], seed: int
) -> Iterator[tuple[str, Estimate]]:
    from solverbench.errors import UsageError
    from solverbench.measures import coverage, kernels, sliced, statistics
    from solverbench.measures.extractors import distance_name
    from solverbench.measures.moments import Normal
    from solverbench.measures.sets import read_pictures
    from solverbench.measures.subsets import ToLaw, at_n

    x = extract(read_pictures(samples))
    law, y = None, None
    if statistics.is_one(reference):
        law = statistics.load(reference, extract.key)[0]
        if other := [name for name in chosen if name != "fd"]:
            raise UsageError(f"{other[0]} needs the pictures themselves, and {reference} holds statistics only")
    else:
        y = extract(read_pictures(reference))
        law = Normal.of(y)
    for name in chosen:
        if name == "fd":
            yield distance_name(extract.key, min(len(x), law.n or len(x))), at_n(ToLaw(x, law))
            continue
        data: Any = y
        if name == "kid":
            yield "KID", kernels.kid(x, data, seed=seed)
        elif name == "sw2":
            n = min(len(x), len(data))
            yield "sliced W2 squared", sliced.sliced_w2_of_sets(x[:n], data[:n], seed=seed)
        elif name == "coverage":
            yield from coverage.coverage(x, data).items()
        else:
            yield "nearest neighbour", coverage.nearest(x, data)

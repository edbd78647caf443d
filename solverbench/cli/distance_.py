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
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of splits, blocks and directions.")
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
        for name, e in _measured(found, samples, reference, tuple(dict.fromkeys(measure)) or ("fd", "kid"), seed)
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
    y: Any = None
    if statistics.is_one(reference):
        law: Normal | None = statistics.load(reference, extract.key)[0]
        if other := [name for name in chosen if name != "fd"]:
            raise UsageError(f"{other[0]} needs the pictures themselves, and {reference} holds statistics only")
    else:
        y = extract(read_pictures(reference))
        law = Normal.of(y) if "fd" in chosen else None
    theirs = (y if law is None else law.mean).shape[-1]
    if x.shape[1] != theirs:
        key = extract.key.extractor
        raise UsageError(f"{key} makes {x.shape[1]} numbers of a picture of {samples}, and {theirs} of {reference}")
    for name in chosen:
        if name == "fd":
            assert law is not None
            yield distance_name(extract.key, min(len(x), law.n or len(x))), at_n(ToLaw(x, law))
        elif name == "kid":
            yield "KID", kernels.kid(x, y, seed=seed)
        elif name == "sw2":
            n = min(len(x), len(y))
            yield "sliced W2 squared", sliced.sliced_w2_of_sets(x[:n], y[:n], seed=seed)
        elif name == "coverage":
            yield from coverage.coverage(x, y).items()
        else:
            yield "nearest neighbour", coverage.nearest(x, y)

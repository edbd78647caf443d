"""CUDA kernels of our own, compiled by cupy when they are first used, on torch's memory and torch's current stream.

    sources.py   the kernels' text and every instantiation; needs no GPU
    combine.py   linear combinations of states, noise included, in one pass over memory
    runner.py    the engine: torch's, with these in place of its combinations and its noise
    mixture.py   a mixture's field: two matrix products and one launch between them
    law.py       exact laws of many plans in one launch
    moments.py   streamed mean and covariance, and their Frechet distance
    device.py    cupy: compiling and launching

All memory is torch's: its caching allocator is the one pool, and cupy's stays empty. Nothing synchronises in the loop.
"""

"""Rates that are not the same every minute, and A/A histories made of them."""

import numpy as np

from chaffinch_stats import Interval
from unit.stats.builders import interval
from unit.stats.vector_engine import Floats


def autoregressive(rng: np.random.Generator, shape: tuple[int, int], memory: float) -> Floats:
    """Gaussian AR(1) of variance 1 along the last axis, `memory` its autocorrelation at lag 1."""
    shocks = rng.standard_normal(shape)
    for step in range(1, shape[1]):
        shocks[:, step] = memory * shocks[:, step - 1] + np.sqrt(1 - memory**2) * shocks[:, step]
    return shocks


def lognormal(rng: np.random.Generator, shape: tuple[int, int], sigma: float, memory: float) -> Floats:
    """Multipliers of mean 1: exp of such a process."""
    return np.asarray(np.exp(sigma * autoregressive(rng, shape, memory) - sigma**2 / 2))


def history(
    rng: np.random.Generator, intervals: int, sigma: float, memory: float, requests: int = 1000, rate: float = 0.01
) -> list[Interval]:
    """Intervals of two equal arms, each with noise of its own."""
    noise = lognormal(rng, (2, intervals), sigma, memory)
    bad = rng.binomial(requests, np.minimum(1, rate * noise)).tolist()
    return [interval(canary, requests, baseline, requests) for canary, baseline in zip(*bad, strict=True)]

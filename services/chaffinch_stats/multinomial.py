"""Sequential multinomial test of category counts against stated probabilities."""

import math
from collections.abc import Sequence

DEFAULT_CONCENTRATION = 100.0


def log_bayes_factor(
    counts: Sequence[int], probabilities: Sequence[float], concentration: float = DEFAULT_CONCENTRATION
) -> float:
    """Return the log Bayes factor of a Dirichlet alternative against the point null; an e-process under the null.

    Formula: B(a + x)/B(a) / prod(theta_i**x_i) with a = concentration*theta, B the multivariate beta function (Lindon
    and Malek 2022, multinomial test). Absolute rounding error about 1e-16 times sum(x)*log(sum(x)).

    Args:
        counts: shape (k,), x_i >= 0.
        probabilities: shape (k,), theta_i > 0, summing to 1.
        concentration: the Dirichlet's total weight; larger looks for smaller departures.

    Raises:
        ValueError: shapes differ, a probability is not above 0, or the probabilities do not sum to 1.

    """
    if len(counts) != len(probabilities):
        raise ValueError(f"{len(counts)} counts for {len(probabilities)} probabilities")
    if min(probabilities) <= 0.0 or abs(math.fsum(probabilities) - 1.0) > 1e-9:
        raise ValueError(f"probabilities must be above 0 and sum to 1, got {tuple(probabilities)}")
    terms = [math.lgamma(concentration), -math.lgamma(concentration + sum(counts))]
    for count, probability in zip(counts, probabilities, strict=True):
        weight = concentration * probability
        terms += [math.lgamma(weight + count), -math.lgamma(weight), -count * math.log(probability)]
    return math.fsum(terms)

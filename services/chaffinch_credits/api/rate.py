"""Rates of requests: a token bucket each. Pure but for the clock that is given."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second in the long run, and so many at once."""

    per_second: float
    burst: float


@dataclass(slots=True)
class Bucket:
    """Tokens that come back at a rate; each request takes one."""

    rate: Rate
    _tokens: float
    _since: float

    @classmethod
    def full(cls, rate: Rate, now: float) -> "Bucket":
        """A new one."""
        return cls(rate, rate.burst, now)

    def take(self, now: float) -> float:
        """Take a token; 0 when there was one, else the seconds until there is, and nothing is taken."""
        self._tokens = min(self.rate.burst, self._tokens + (now - self._since) * self.rate.per_second)
        self._since = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate.per_second

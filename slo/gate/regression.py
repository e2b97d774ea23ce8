"""Is a rollout worse than what was before it? A stated statistical test, safe to repeat while the rollout runs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import exp, lgamma

ALPHA = 0.01  # the chance of a false abort in a whole watch, all SLOs and all looks together


@dataclass(frozen=True, slots=True)
class Counts:
    """Bad events of total events over a stretch of time; for a time-based SLO both are slices of it."""

    bad: Decimal
    total: Decimal

    @property
    def ratio(self) -> Decimal | None:
        return self.bad / self.total if self.total > 0 else None


def p_value(before: Counts, now: Counts) -> float:
    """Fisher's exact test, one-sided: the chance of at least as many bad events now, if nothing had changed.

    Given all N = n0 + n1 events of which K are bad, the number X of bad ones among the n1 of now is hypergeometric:

        P(X >= k1) = sum_{k=k1..min(K,n1)} C(K,k) C(N-K,n1-k) / C(N,n1)

    (R. A. Fisher, Statistical Methods for Research Workers, 1934, section 21.02). Counts are rounded to whole
    events. Without events on either side nothing can be said: 1.
    """
    k0, n0, k1, n1 = (int(x.to_integral_value()) for x in (before.bad, before.total, now.bad, now.total))
    k0, k1 = min(k0, n0), min(k1, n1)
    if n0 <= 0 or n1 <= 0 or k1 <= 0:
        return 1.0
    bad, everything = k0 + k1, n0 + n1
    least, most = max(k1, n1 - (everything - bad)), min(bad, n1)
    fixed = _choose(everything, n1)
    total = 0.0
    for k in range(least, most + 1):
        term = exp(_choose(bad, k) + _choose(everything - bad, n1 - k) - fixed)
        total += term
        if term < total * 1e-12 and k > bad * n1 / everything:
            break  # the tail falls from here on
    return min(total, 1.0)


def _choose(n: int, k: int) -> float:
    """The logarithm of a binomial coefficient."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def bound(looks: int, slos: int) -> float:
    """The p-value below which one look at one SLO aborts: ALPHA shared evenly by all of them (Bonferroni)."""
    return ALPHA / (max(looks, 1) * max(slos, 1))


def regressed(before: Counts, now: Counts, budget: Decimal, level: float) -> bool:
    """Whether now is significantly worse than before and also spends the budget faster than it may.

    The second half keeps a change that is real but harmless (0.001 % of errors where there were none) from
    aborting a rollout.
    """
    ratio = now.ratio
    return ratio is not None and ratio > budget and p_value(before, now) < level


def telling(before: Counts, now: Counts, level: float) -> bool:
    """Whether so many events could have told: had every one of now failed and none before, that would be significant.

    Where it would not, that no regression was found says nothing.
    """
    return p_value(Counts(Decimal(0), before.total), Counts(now.total, now.total)) < level

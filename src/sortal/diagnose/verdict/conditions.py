"""Healthy, vanishing, exploding, dead, saturated or not finite: by numbers whose limits stand here.

The limits, and why:

- LOST = 1e-3: less than that of the gradient at the last layer or step reaches the first. Weights move well
  when a step changes them by about 1/1000 (Karpathy, CS231n); at 1/1000 of that, 1,000 steps change them by a
  tenth of a per cent: nothing is learned there. Its inverse is an explosion: where the last layer moves well,
  the first jumps.
- JUMP = 0.1: a step that changes weights by a tenth of their length, a hundred times what moves them well.
- DEAD = 0.5 of a layer's ReLU units give 0 for a whole batch. Some do in every network; Lu et al. 2019
  (arXiv:1903.06733) call it dead when all do.
- SATURATED = 0.8 of a layer's values lie where the slope is under 5 % of its steepest: what comes back keeps
  less than half of its length. That such layers stop learning: Glorot and Bengio 2010, section 3.
  Half of the values are no ailment: networks that answer 89 to 99.7 % right have .31 to .68 of them there,
  since what they write into a state is 1 or -1.

Causes come before effects: a layer that is dead or saturated is named even where the gradient behind it
vanishes for that reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sortal.diagnose.depth.profile import Profile

__all__ = ["Condition", "Sign", "Verdict", "agreed", "sign_in_depth", "sign_of_growth"]

Condition = Literal["healthy", "vanishing", "exploding", "dead", "saturated", "not finite"]
Idle = Literal["dead", "saturated"]
LOST, JUMP, DEAD, SATURATED = 1e-3, 0.1, 0.5, 0.8
IDLE: tuple[tuple[Idle, tuple[str, ...], float], ...] = (
    ("dead", ("relu",), DEAD),
    ("saturated", ("tanh", "sigmoid"), SATURATED),
)


@dataclass(frozen=True)
class Sign:
    """What one batch says: `value` against `limit` at `where`."""

    condition: Condition
    where: str
    value: float
    limit: float
    words: str

    @property
    def decades(self) -> float:
        """How far past its limit, in powers of ten."""
        if not (math.isfinite(self.value) and self.value > 0 and self.limit > 0):
            return math.inf
        return abs(math.log10(self.value / self.limit))


@dataclass(frozen=True)
class Verdict:
    """The sign that most batches agree on. `subject` is "depth" or the name of a recurrent layer."""

    subject: str
    sign: Sign
    agree: int
    of: int

    @property
    def condition(self) -> Condition:
        return self.sign.condition

    @property
    def sure(self) -> str:
        """In words: how many batches agree, and by how much the limit is passed."""
        said = f"{self.agree} of {self.of} batches"
        if self.condition == "healthy" or not math.isfinite(self.sign.decades):
            return said
        return f"{said}, {10**self.sign.decades:,.3g} times past the limit"


def agreed(subject: str, signs: Sequence[Sign]) -> Verdict:
    """The commonest condition, the graver where two are as common, by its median batch."""
    found = [sign.condition for sign in signs]
    most = max(dict.fromkeys(found), key=lambda one: (found.count(one), one != "healthy"))
    alike = sorted((sign for sign in signs if sign.condition == most), key=lambda sign: sign.decades)
    return Verdict(subject, alike[len(alike) // 2], len(alike), len(signs))


def sign_in_depth(profile: Profile) -> Sign:
    """What the layers of one pass say."""
    if not math.isfinite(profile.loss) or profile.first_bad:
        where = profile.first_bad or "the loss"
        return Sign(
            "not finite", where, math.inf, 0, f"NaN or infinity is born in {where}. {profile.note}".strip()
        )
    if (cut := _cut(profile)) is not None:
        return cut
    shares = _shares(profile)
    for condition, kinds, limit in IDLE:
        idle = {name: share for (name, kind), share in shares.items() if kind in kinds and share > limit}
        if idle:
            return _idle(condition, next(iter(idle)), max(idle.values()), limit, len(idle))
    return _of_signals(profile)


def _shares(profile: Profile) -> dict[tuple[str, str], float]:
    """Of each layer what is idle, the mean of its calls: one step of 16 that is saturated is no layer."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in profile.activations:
        found.setdefault((one.name, one.kind), []).append(one.idle)
    return {key: sum(shares) / len(shares) for key, shares in found.items()}


def _cut(profile: Profile) -> Sign | None:
    """The first layer that learns is cut off. Later ones may be heads that this loss leaves out."""
    learn = [layer for layer in profile.layers if not layer.frozen]
    if not learn or not learn[0].cut:
        return None
    last = next((above for layer, above in pairwise(learn) if not above.cut), None)
    what = f"what lies below {last.name}" if last else "any layer"
    words = f"no gradient reaches {what}: no_grad or detach cuts it off"
    return Sign("vanishing", learn[0].name, 0.0, LOST, words)


def _idle(condition: Idle, where: str, share: float, limit: float, n: int) -> Sign:
    what = (
        "units give 0 for a whole batch" if condition == "dead" else "values lie where the slope is under 5 %"
    )
    more = f", {n} layers in all" if n > 1 else ""
    return Sign(
        condition, where, share, limit, f"{share:.0%} of {what}, first in {where or 'the network'}{more}"
    )


def _of_signals(profile: Profile) -> Sign:
    jumping = [layer for layer in profile.layers if layer.update_ratio > JUMP]
    reached = profile.reached
    decay = profile.decay
    if not math.isnan(decay):
        first, last = reached[0].name, reached[-1].name
        words = f"the gradient at {first} is {decay:.3g} times that at {last}"
        if reached[-1].signal == 0 or decay < LOST:
            where = next(
                (one.name for one in reversed(reached) if one.signal < LOST * reached[-1].signal), first
            )
            return Sign("vanishing", where, decay, LOST, f"{words}: from {where} down it is lost")
        if decay > 1 / LOST:
            where = next(one.name for one in reversed(reached) if one.signal > reached[-1].signal / LOST)
            return Sign("exploding", where, decay, 1 / LOST, f"{words}: from {where} down it has exploded")
    if jumping:
        top = max(jumping, key=lambda layer: layer.update_ratio)
        words = f"one step changes the weights of {top.name} by {top.update_ratio:.0%} of their length"
        return Sign("exploding", top.name, top.update_ratio, JUMP, words)
    if not any(not layer.frozen for layer in profile.layers):
        return Sign("healthy", "", 1, 0, "every layer is frozen: no gradient is asked for")
    words = (
        "one layer only"
        if math.isnan(decay)
        else f"the gradient at {reached[0].name} is {decay:.3g} times that at {reached[-1].name}"
    )
    return Sign("healthy", "", 1 if math.isnan(decay) else decay, 0, words)


def sign_of_growth(log_growth: Sequence[float], idle: float, *, relu: bool, lags: str = "lag") -> Sign:
    """What a recurrent layer says: log influence by lag, the first being 0, and the share that is idle."""
    limit = DEAD if relu else SATURATED
    if idle > limit:
        return _idle("dead" if relu else "saturated", "its states", idle, limit, 1)
    last = log_growth[-1]
    grown = math.exp(min(last, 700.0)) if last > -math.inf else 0.0
    n = len(log_growth) - 1
    words = f"after {n} step{'s' * (n != 1)} {grown:.3g} of a state's influence is left"
    if last < math.log(LOST):
        lag = next(i for i, one in enumerate(log_growth) if one < math.log(0.01))
        return Sign("vanishing", f"lag {lag}", grown, LOST, f"{words}; under 1 % from {lags} {lag} on")
    if last > -math.log(LOST):
        lag = next(i for i, one in enumerate(log_growth) if one > -math.log(LOST))
        return Sign("exploding", f"lag {lag}", grown, 1 / LOST, f"{words}; over 1,000 from {lags} {lag} on")
    return Sign("healthy", "", grown, 0, words)

"""Machine codes of all comments, corrected by hand codes of some: moments and their variance.

With ``x = (1, themes, score)`` of a comment, the corrected moments are
``λ·M(machine, all) + Σ W_s·mean_s[M(hand) − λ·M(machine)]``: whatever the machine gets wrong, a
sample of known probabilities says how much. Everything reported is a function of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxlab.stats.covariance.covariance import unpack
from cxlab.stats.covariance.patterns import pattern_numbers

Array = NDArray[np.float64]
#: Moments (replicates, q, q) → quantity (replicates,).
Quantity = Callable[[Array], Array]
#: Errors of the machine added in each stratum, beside those that the hand codes show.
UNSEEN = 0.5
#: What codes of others weigh together, of the group's own of a stratum; and how often the square
#: of what they change counts as variance: coverage .92 or more where shares, gaps or scores change,
#: .87 where a good machine comes to miss four of ten (benchmarks, "share rises").
LENT, CHANGED = 0.2, 2.0


@dataclass(frozen=True, eq=False)
class Comments:
    """Comments of one group, and the hand codes that correct them.

    Attributes
    ----------
    machine : ndarray, shape (n, themes)
        0 or 1.
    hand : ndarray, shape (n, themes)
        Hand codes; NaN where nobody coded by hand.
    score : ndarray, shape (n,)
        Zeros where only shares are asked for.
    own : ndarray of bool, shape (n,)
        Comments that the group is made of; the others lend their hand codes.
    weight : ndarray, shape (n,)
        Survey weights.
    drawn : ndarray, shape (n,)
        Relative drawing weights within a stratum.
    stratum : ndarray of int, shape (n,)
        Stratum of the draw.
    """

    machine: Array
    hand: Array
    score: Array
    own: NDArray[np.bool_]
    weight: Array
    drawn: Array
    stratum: NDArray[np.int64]

    @property
    def coded(self) -> NDArray[np.bool_]:
        """Comments with hand codes."""
        return np.asarray(~np.isnan(self.hand).any(axis=1))

    def kinds(self) -> tuple[Array, NDArray[np.int64]]:
        """Rows ``(1, machine codes, score)`` that differ, and which of them each comment is.

        Codes are few and so are scores: what is computed for kinds needs no table of all comments.
        """
        scores, score = np.unique(self.score, return_inverse=True)
        number = pattern_numbers(self.machine == 1) * len(scores) + score
        _, first, kind = np.unique(number, return_index=True, return_inverse=True)
        return _rows(self.machine[first], self.score[first]), kind


@dataclass(frozen=True, eq=False)
class Corrected:
    """One quantity of one theme.

    Attributes
    ----------
    estimate, tuning : float
        The corrected figure, and λ.
    machine : float
        What the machine's codes alone say.
    influence : ndarray, shape (n,)
        What each comment adds to the error; its variance over clusters is the estimate's.
    information : ndarray, shape (n,)
        Its expected square were scores independent with variance 1, for the degrees of freedom.
    unseen : float
        Variance of half an error more in each stratum than the sample shows (Jeffreys): no error
        among 150 comments does not mean that there is none. Where codes are lent, also twice the
        square of what they change: among others the machine may err otherwise.
    """

    estimate: float
    tuning: float
    machine: float
    influence: Array
    information: Array
    unseen: float = 0.0


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The hand sample within strata of the draw, weights normalised to the group."""

    index: NDArray[np.int64]  # hand-coded comments
    place: NDArray[np.int64]  # their stratum
    part: Array  # weight within the stratum, adding to 1
    share: Array  # (strata,) of the group's weight
    sampled: Array  # share of what each hand-coded comment stands for that it is itself
    inflation: Array  # of a comment's deviation, for the sample's own spread


class Correction:
    """Moments of one group and what follows from them.

    Parameters
    ----------
    comments : Comments

    Raises
    ------
    ValueError
        Where a stratum of the draw has comments of the group and fewer than two hand codes.
    """

    def __init__(self, comments: Comments) -> None:
        self.comments = comments
        self.mass = np.where(comments.own, comments.weight, 0.0)
        self.mass = self.mass / self.mass.sum()
        self.census = bool(comments.coded[comments.own].all())
        self.kinds, self.kind = comments.kinds()
        self.all = _products(self.kinds, np.bincount(self.kind, self.mass).astype(float))
        self.drawn = _drawn(comments, self.mass, self.census)
        index = self.drawn.index
        # codes of others say where the machine errs, never how high the score is
        self.lent = not comments.own[index].all()
        self.by_hand = _rows(np.nan_to_num(comments.hand[index]), comments.score[index])
        self.by_machine = self.kinds[self.kind[index]]
        self.scale = self.drawn.part * self.drawn.share[self.drawn.place]
        self.sampled = [_products(one, self.scale) for one in (self.by_hand, self.by_machine)]

    def moments(self, tuning: float) -> Array:
        """Corrected moments, shape (themes + 2, themes + 2)."""
        by_hand, by_machine = self.sampled
        return by_hand + tuning * (self.all - by_machine)

    def estimate(
        self, quantity: Quantity, *, theme: int = 0, tuning: float | None = None
    ) -> Corrected:
        """A quantity of the corrected moments.

        Parameters
        ----------
        quantity : callable
            Of moments, shape (replicates, q, q).
        theme : int
            Whose codes it is of.
        tuning : float, optional
            λ; by default the one of least variance, from 0 to 1; 1 where codes are lent, of
            which a part 1 − λ of the others' scores would come in too.
        """
        gradient = _gradient(quantity, self.moments(0.0))
        centre = float((gradient * self.moments(0.0)).sum())
        hand, machine = (_linear(one, gradient) - centre for one in (self.by_hand, self.kinds))
        machine = machine[self.kind]
        if tuning is None:
            known = self.census or self.lent
            tuning = 1.0 if known else _tuned(hand, machine[self.drawn.index], self.drawn)
        moments = self.moments(tuning)
        return Corrected(
            float(quantity(moments[None])[0]), tuning, float(quantity(self.all[None])[0]),
            self._influence(quantity, moments, tuning, hand, machine),
            self._information(gradient, tuning),
            self._unseen(gradient, theme) + CHANGED * self._changed(hand, machine, tuning) ** 2,
        )  # fmt: skip

    def sums(
        self, themes: list[int], tuning: float
    ) -> tuple[Callable[[slice], Array], Callable[[Array], Array]]:
        """What comments add to sums, and covariances of some themes and the score from sums.

        Corrected moments are λ times the mean product of the machine's rows and, in each stratum
        of the draw, the mean of what hand-coded rows differ, weighted by the stratum's size: in
        every replicate.
        """
        drawn, strata = self.drawn, len(self.drawn.share)
        used = [0, *(1 + theme for theme in themes), len(self.all) - 1]
        first, second = np.triu_indices(len(used))
        kinds, hand, machine = (
            rows[:, used][:, first] * rows[:, used][:, second]
            for rows in (self.kinds, self.by_hand, self.by_machine)
        )
        differ = np.zeros((len(drawn.index), strata, 1 + len(first)))
        at = np.arange(len(differ))
        differ[at, drawn.place, 0] = drawn.part
        differ[at, drawn.place, 1:] = drawn.part[:, None] * (hand - tuning * machine)
        flat = differ.reshape(len(differ), strata * (1 + len(first)))

        def table(rows: slice) -> Array:
            mass, stratum = self.mass[rows], self.comments.stratum[rows]
            size = np.where(stratum[:, None] == np.arange(strata), mass[:, None], 0.0)
            start = rows.start or 0
            low, high = np.searchsorted(drawn.index, (start, start + len(mass)))
            coded = np.zeros((len(mass), flat.shape[1]))
            coded[drawn.index[low:high] - start] = flat[low:high]
            return np.hstack([mass[:, None] * kinds[self.kind[rows]], size, coded])

        def matrices(totals: Array) -> Array:
            machine, size, coded = np.split(totals, [len(first), len(first) + strata], axis=1)
            parts = coded.reshape(len(totals), strata, -1)
            # no comment of a stratum drawn: the replicate is not known
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = parts[:, :, 1:] / parts[:, :, :1]
                whole = np.where(size[:, :, None] > 0, size[:, :, None] * mean, 0.0).sum(axis=1)
                moments = unpack((tuning * machine + whole) / size.sum(axis=1)[:, None], len(used))
            middle = moments[:, 0, 1:]
            return np.asarray(moments[:, 1:, 1:] - middle[:, :, None] * middle[:, None, :])

        return table, matrices

    def machine_alone(self, quantity: Quantity) -> Corrected:
        """The plug-in: as if the machine's codes were true."""
        gradient = _gradient(quantity, self.all)
        linear, found = _linear(self.kinds, gradient)[self.kind], float(quantity(self.all[None])[0])
        counts = gradient[:, -1].any()
        pull = (self.kinds @ gradient[:, -1])[self.kind] if counts else np.ones(len(linear))
        return Corrected(
            found, 1.0, found, self.mass * (linear - self.mass @ linear), (self.mass * pull) ** 2
        )

    def _influence(
        self, quantity: Quantity, moments: Array, tuning: float, hand: Array, machine: Array
    ) -> Array:
        """First phase linearised; the hand sample by its jackknife within strata."""
        drawn, index = self.drawn, self.drawn.index
        if self.census:
            total = np.zeros(len(machine))
            total[index] = self.mass[index] * (hand - self.scale @ hand)
            return total
        middle = _stratum_sums(drawn, drawn.part * (hand - tuning * machine[index]))
        total = self.mass * (tuning * machine + middle[self.comments.stratum])
        total -= self.mass * total.sum()
        total[index] += drawn.inflation * self._jackknife(quantity, moments, tuning)
        return total

    def _unseen(self, gradient: Array, theme: int) -> float:
        """Variance of what the sample may have missed: codes that a person would change."""
        if self.census:
            return 0.0
        place = 1 + theme
        change = 1 - 2 * self.kinds[:, place]
        pull = self.kinds @ (gradient[place] + gradient[:, place])
        after = change * pull + gradient[place, place]
        drawn = self.drawn
        strata = self.comments.stratum
        mass = np.bincount(strata, self.mass, len(drawn.share))
        square = np.bincount(strata, self.mass * after[self.kind] ** 2, len(drawn.share))
        squares = _stratum_sums(drawn, drawn.part**2)
        number = np.divide(1.0, squares, out=np.zeros(len(squares)), where=squares > 0)
        open_ = np.ones(len(mass)) if not len(drawn.place) else 1 - _seen(drawn)
        usable = (mass > 0) & (number > 0)
        size = np.where(usable, number, 1)
        # half an error more among n + 1 comments: δ²/n·½/(n + 1)
        each = UNSEEN * mass * square * open_ / (size * (size + 1))
        return float(each[usable].sum())

    def _changed(self, hand: Array, machine: Array, tuning: float) -> float:
        """What lent codes change in a figure: its correction by all codes less that by its own."""
        drawn, own = self.drawn, self.comments.own[self.drawn.index]
        differ = hand - tuning * machine[drawn.index]
        known = np.where(own, drawn.part, 0.0)
        size = _stratum_sums(drawn, known)
        mean = _stratum_sums(drawn, known * differ) / np.where(size > 0, size, 1.0)
        return float(drawn.share @ (_stratum_sums(drawn, drawn.part * differ) - mean))

    def _information(self, gradient: Array, tuning: float) -> Array:
        """Square of each comment's pull, by its score or, where scores don't count, by its weight."""
        # moments are linear in the score: its column is the derivative by it
        pull_all = (self.kinds @ gradient[:, -1])[self.kind]
        pull_hand, index = self.by_hand @ gradient[:, -1], self.drawn.index
        if not np.abs(gradient[:, -1]).any():
            pull_all, pull_hand = np.ones(len(pull_all)), np.ones(len(pull_hand))
            tuning = 0.0
        found = (self.mass * pull_all) ** 2
        if self.census:
            found[index] = (self.mass[index] * pull_hand) ** 2
            return found
        found[index] += (
            self.drawn.inflation * self.scale * (pull_hand - tuning * pull_all[index])
        ) ** 2
        return found

    def _jackknife(self, quantity: Quantity, moments: Array, tuning: float) -> Array:
        """Each hand-coded comment's part, from leaving it out of its stratum."""
        drawn = self.drawn
        pairs = self.by_hand[:, :, None] * self.by_hand[:, None, :]
        pairs -= tuning * self.by_machine[:, :, None] * self.by_machine[:, None, :]
        weighted = drawn.part[:, None, None] * pairs
        middle = np.zeros((len(drawn.share), *pairs.shape[1:]))
        np.add.at(middle, drawn.place, weighted)
        # who is alone in a fully coded stratum has nobody to differ from
        rest = np.divide(
            drawn.part, 1 - drawn.part, out=np.zeros(len(drawn.part)), where=drawn.part < 1
        )
        moved = (drawn.share[drawn.place] * rest)[:, None, None] * (pairs - middle[drawn.place])
        change = quantity(moments[None])[0] - quantity(moments - moved)
        found = change * (1 - drawn.part)
        return found - drawn.part * _stratum_sums(drawn, found)[drawn.place]


def _rows(codes: Array, score: Array) -> Array:
    """``(1, themes, score)`` of each comment."""
    return np.column_stack([np.ones(len(codes)), codes, score])


def _linear(rows: Array, gradient: Array) -> Array:
    """Sum of the gradient times the products of each row; most gradients are of few columns."""
    used = np.flatnonzero(gradient.any(axis=0) | gradient.any(axis=1))
    part = rows[:, used]
    return np.asarray(((part @ gradient[np.ix_(used, used)]) * part).sum(axis=1))


def _gradient(quantity: Quantity, centre: Array) -> Array:
    """Derivative of a quantity by each moment."""
    size = len(centre)
    first, second = np.triu_indices(size)
    step = np.zeros((len(first), size, size))
    width = 1e-5 * np.sqrt(np.maximum(centre[first, first] * centre[second, second], 1e-12))
    at = np.arange(len(first))
    step[at, first, second] = step[at, second, first] = width
    found = np.zeros((size, size))
    found[first, second] = (quantity(centre + step) - quantity(centre - step)) / (2 * width)
    return found


def _products(rows: Array, weight: Array) -> Array:
    return np.asarray((rows * weight[:, None]).T @ rows)


def _drawn(comments: Comments, mass: Array, census: bool) -> _Drawn:
    stratum, coded = comments.stratum, comments.coded
    strata = int(stratum.max()) + 1
    weight = np.where(coded, comments.weight * comments.drawn, 0.0)
    if census:
        weight = np.where(comments.own, comments.weight, 0.0)
    # a stratum of which every comment is coded needs nobody else's codes
    there = np.bincount(stratum, mass, strata)
    known = np.bincount(stratum, np.where(coded, mass, 0.0), strata)
    whole = (there > 0) & (known >= there * (1 - 1e-12))
    weight[whole[stratum]] = np.where(comments.own & coded, comments.weight, 0.0)[whole[stratum]]
    weight[there[stratum] == 0] = 0.0
    weight = _with_little_lent(weight, comments.own, stratum)
    index = np.flatnonzero(weight > 0)
    place, number = stratum[index], np.bincount(stratum[index], minlength=strata)
    if ((there > 0) & ~whole & (number < 2)).any():
        raise ValueError(
            "`hand` must hold two comments or more of every stratum of the draw; got fewer. Code "
            "more comments of the sheet, or draw another one."
        )
    part = weight[index] / np.bincount(place, weight[index], strata)[place]
    times = np.where(
        mass[index] > 0, part * there[place] / np.where(mass[index] > 0, mass[index], 1), np.inf
    )
    sampled = 1 / np.maximum(times, 1.0)
    few = number[place] / np.maximum(number[place] - 1, 1)
    inflation = np.sqrt(sampled + (1 - sampled) * few)
    return _Drawn(index, place, part, there.astype(float), sampled, inflation)


def _with_little_lent(weight: Array, own: NDArray[np.bool_], stratum: NDArray[np.int64]) -> Array:
    """Weights of hand codes; those of others are, in each stratum, a part of the group's own."""
    mine, lent = (np.bincount(stratum, np.where(side, weight, 0.0)) for side in (own, ~own))
    most = np.divide(LENT * mine, lent, out=np.ones(len(lent)), where=lent > 0)
    return np.where(own, weight, weight * np.minimum(most, 1.0)[stratum])


def _tuned(hand: Array, machine: Array, drawn: _Drawn) -> float:
    """λ of least variance: of the hand codes on the machine's, within strata of the draw."""
    scale = (drawn.part * drawn.share[drawn.place] * drawn.inflation) ** 2
    x, y = (one - _stratum_sums(drawn, drawn.part * one)[drawn.place] for one in (machine, hand))
    spread = scale @ x**2
    # a machine that says the same of all comments says nothing
    if spread <= 1e-24 * max(float(scale @ (hand**2)), 1e-300):
        return (
            0.0
            if np.ptp(machine) <= 1e-12 * max(float(np.abs(hand).max(initial=0.0)), 1e-300)
            else 1.0
        )
    return float(np.clip(scale @ (x * y) / spread, 0.0, 1.0))


def _seen(drawn: _Drawn) -> Array:
    """Share of each stratum that was coded."""
    number = np.bincount(drawn.place, minlength=len(drawn.share))
    return _stratum_sums(drawn, drawn.sampled) / np.maximum(number, 1)


def _stratum_sums(drawn: _Drawn, values: Array) -> Array:
    return np.bincount(drawn.place, values, len(drawn.share)).astype(float)


def share(theme: int) -> Quantity:
    """Share of comments with a theme."""
    return lambda moments: moments[:, 0, 1 + theme] / moments[:, 0, 0]


def gap(theme: int) -> Quantity:
    """Mean score of comments with a theme less that of comments without it."""

    @np.errstate(divide="ignore", invalid="ignore")  # a theme of no comment, or of all: no gap
    def between(moments: Array) -> Array:
        one, score, both = moments[:, 0, 0], moments[:, 0, -1], moments[:, 1 + theme, -1]
        there = moments[:, 0, 1 + theme]
        return both / there - (score - both) / (one - there)

    return between


def impact(theme: int) -> Quantity:
    """Mean score less that of comments without the theme: share × gap."""
    part, difference = share(theme), gap(theme)
    return lambda moments: part(moments) * difference(moments)


def adjusted_gap(theme: int, themes: int) -> Quantity:
    """Coefficient of a theme in the regression of the score on all themes."""

    def coefficient(moments: Array) -> Array:
        design, outcome = moments[:, : themes + 1, : themes + 1], moments[:, : themes + 1, -1]
        # a theme that nobody of a replicate has leaves no coefficient of its own
        return (np.linalg.pinv(design, hermitian=True) @ outcome[:, :, None])[:, theme + 1, 0]

    return coefficient


def r_squared(themes: list[int]) -> Quantity:
    """Share of the score's variance that some themes explain together."""
    places = [1 + theme for theme in themes]

    def explained(moments: Array) -> Array:
        mean = moments[:, 0, :]
        spread = moments - mean[:, :, None] * mean[:, None, :]
        both = spread[:, places, -1]
        inverse = np.linalg.pinv(spread[:, places][:, :, places], hermitian=True)
        return np.einsum("bi,bij,bj->b", both, inverse, both) / spread[:, -1, -1]

    return explained

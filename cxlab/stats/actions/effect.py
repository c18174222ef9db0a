"""Whether calling helped: listed less held out, and nothing else beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, suppress_small_groups
from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.messages import got
from cxlab.core.result import Result
from cxlab.stats.actions.calls import ARMS, HELD_OUT, LISTED, MUST
from cxlab.stats.inference import POWER, normal_quantile
from cxlab.stats.outcomes.follow_up import follow_up, leavers_of
from cxlab.stats.outcomes.survival import Survival, check_times, kaplan_meier, parts, survival
from cxlab.survey.study import Study

NOT_IDENTIFIED = "effect not identified: nobody was held out by chance"
EFFECT_COLUMNS = (
    "outcome", "n_listed", "n_held_out", "listed", "held_out", "estimate", "se", "ci_low",
    "ci_high", "note",
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class LoopEffect(Result):
    """Who stayed of the listed and of the held out.

    Attributes
    ----------
    table : DataFrame
        See `loop_effect`.
    horizon : float
        Days after listing.
    """

    horizon: float


def study_follow_ups(
    study: Study, *, since: str | pd.Timestamp | None = None, table: str = "follow_ups"
) -> pd.DataFrame:
    """Lists of a study, each customer with how long they stayed after being listed.

    Parameters
    ----------
    study : Study
        Declares a table with the columns ``listed_at``, ``closed_at``, ``arm``, ``owner`` and a
        customer, and a table of customers with a date of leaving.
    since : date, optional
        Only of customers listed on that day or later.
    table : str
        Name of the table of lists.

    Returns
    -------
    DataFrame
        One row per listing: ``customer``, the table's other columns, ``days_followed`` and ``left_after``.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> listed = study_follow_ups(load_study("demo"), since="2025-12-01")
    >>> listed["arm"].value_counts().to_dict()
    {'listed': 128, 'held out': 13}
    """
    rows = study.read(table, engine="pandas")
    if since is not None:
        rows = rows[rows["listed_at"] >= pd.Timestamp(since)]
    own = study.table(table).with_role("customer", "cluster", "id")[0].name
    people, ids, left, until = leavers_of(study)
    return follow_up(
        rows.rename(columns={own: "customer"}),
        people[[ids, left]].rename(columns={ids: "customer"}),
        customer="customer", answered="listed_at", left=left, until=until,
    ).table  # fmt: skip


def loop_status(
    follow_ups: pd.DataFrame,
    *,
    listed_at: str = "listed_at",
    closed_at: str = "closed_at",
    arm: str = "arm",
    until: str | pd.Timestamp,
    within: float = 14,
    by: str | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """How many listed customers were followed up, and how soon.

    Parameters
    ----------
    follow_ups : DataFrame
        One row per customer on a list.
    listed_at, closed_at, arm : str
        Columns: dates of listing and of closing (blank: still open), and the arm.
    until : date
        Last day on which closing would have been seen.
    within : float
        Days after listing in which a case should be closed.
    by : str, optional
        Column of groups, such as the owner.
    min_group_size : int

    Returns
    -------
    DataFrame
        Per group: ``group`` (with ``by``), ``n`` (listed), ``at_risk``, ``estimate`` (per cent
        closed within the days), ``se``, ``ci_low``, ``ci_high``, ``median_days`` (blank where
        fewer than half are closed), ``note``.

    Notes
    -----
    Kaplan–Meier, with open cases censored: the mean of the closed cases alone is too short,
    because long cases are still open.

    Examples
    --------
    >>> day = pd.Timestamp("2025-10-01")
    >>> rows = pd.DataFrame({"listed_at": [day] * 20, "arm": "listed",
    ...     "closed_at": [day + pd.Timedelta(days=5)] * 15 + [pd.NaT] * 5})
    >>> loop_status(rows, until="2025-12-31")[["n", "estimate", "median_days"]]
        n  estimate  median_days
    0  20      75.0          5.0
    """
    check_columns(
        follow_ups, {"listed_at": listed_at, "closed_at": closed_at, "arm": arm, "by": by}
    )
    end = pd.Timestamp(until)
    rows = follow_ups[follow_ups[arm].isin([LISTED, MUST])]
    start, stop = pd.to_datetime(rows[listed_at]), pd.to_datetime(rows[closed_at])
    early = stop[stop < start]
    if len(early):
        raise ValueError(
            f"`closed_at` must not be before `listed_at`; got {got([str(d.date()) for d in early])}."
        )
    days = (stop.fillna(end) - start).dt.days.astype(float)
    rows = rows.assign(_days=days, _closed=stop.notna() & (stop <= end))
    table = kaplan_meier(rows, time="_days", left="_closed", horizon=within, by=by)
    open_, low, high = (table[name] for name in ("estimate", "ci_low", "ci_high"))
    table = table.assign(estimate=100 - open_, ci_low=100 - high, ci_high=100 - low)
    known = rows.dropna(subset=["_days"])
    table["median_days"] = [_median(part) for _, part in parts(known, by)]
    return with_display(
        suppress_small_groups(table, within=[], min_group_size=min_group_size),
        caption=f"Cases closed within {within:g} days, open cases counted",
        columns=(*(["group"] if by else []), "estimate", "median_days", "n"),
        headers={"estimate": "Closed in time"}, units={"estimate": "%"},
    )  # fmt: skip


def _median(rows: pd.DataFrame) -> float:
    for day in np.unique(rows.loc[rows["_closed"], "_days"]):
        if survival(rows["_days"], rows["_closed"], float(day)).estimate <= 0.5:
            return float(day)
    return np.nan


def loop_effect(
    follow_ups: pd.DataFrame,
    *,
    arm: str = "arm",
    days: str = "days_followed",
    left: str = "left_after",
    horizon: float = 90,
    next_score: str | None = None,
    scale: tuple[float, float] = (0, 10),
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> LoopEffect:
    """Customers who stayed of those listed, less of those held out by chance.

    Parameters
    ----------
    follow_ups : DataFrame
        One row per customer on a list, with what came after. Earlier periods' lists may stand
        below one another: effects pool.
    arm : str
        Column of ``listed`` and ``held out``; others have no part in the comparison.
    days, left : str
        Columns: days followed since listing, and whether the customer left then.
    horizon : float
        Days after listing.
    next_score : str, optional
        Column of the next answer, blank where there is none.
    scale : (low, high)
        Of ``next_score``, for its bounds.
    level : float
    min_group_size : int
        With fewer customers on either side nothing is shown.

    Returns
    -------
    LoopEffect
        Its table: one row for ``stayed`` (per cent; Agresti and Caffo's interval, on the
        size of a sample without censoring) and, with ``next_score``,
        one for those who answered and one for its bounds: ``outcome``, ``n_listed``,
        ``n_held_out``, ``listed``, ``held_out``, ``estimate`` (the first less the second),
        ``se``, ``ci_low``, ``ci_high``, ``note``. Without a hold-out the difference is blank and
        says that it is not identified.

    Notes
    -----
    Everybody on the list counts as listed, reached or not; with a column ``customer``, at the
    first listing only. Comparing those who were called with
    those who were not, or with their own earlier score, mistakes chance and choice for effect.
    Bounds of the next score give the silent of one arm the lowest and of the other the highest.

    References
    ----------
    Agresti & Caffo (2000), American Statistician 54, 280–288.

    Examples
    --------
    >>> rows = pd.DataFrame({"arm": ["listed"] * 100 + ["held out"] * 50,
    ...     "days_followed": [200.0] * 80 + [30] * 20 + [200] * 35 + [30] * 15,
    ...     "left_after": [0] * 80 + [1] * 20 + [0] * 35 + [1] * 15})
    >>> loop_effect(rows).table[["listed", "held_out", "estimate"]].round(1)
       listed  held_out  estimate
    0    80.0      70.0      10.0
    """
    check_columns(follow_ups, {"arm": arm, "days": days, "left": left, "next_score": next_score})
    odd = follow_ups.loc[~follow_ups[arm].isin(ARMS), arm]
    if len(odd):
        raise ValueError(f"`arm` must be one of {', '.join(ARMS)}; got {got(list(odd))}.")
    if "customer" in follow_ups:
        # who is listed again was treated before: the first listing counts
        follow_ups = follow_ups.drop_duplicates("customer")
    sides = [follow_ups[follow_ups[arm] == name] for name in (LISTED, HELD_OUT)]
    check_times(follow_ups[days], follow_ups[left], horizon, days)
    found = [("stayed", *_staying(sides, days, left, horizon, level))]
    if next_score and all(len(side) for side in sides):
        found += _next_scores(sides, next_score, scale, level)
    table = pd.DataFrame(found, columns=list(EFFECT_COLUMNS))
    table = table.astype({"n_listed": "Int64", "n_held_out": "Int64"})
    if any(0 < len(side) < min_group_size for side in sides):
        table[["listed", "held_out", "estimate", "se", "ci_low", "ci_high"]] = np.nan
        table[["n_listed", "n_held_out"]] = pd.NA
        table["note"] = f"hidden: fewer than {min_group_size} customers on one side"
    table = with_display(
        table, caption="Listed less held out by chance",
        columns=("outcome", "listed", "held_out", "estimate", "n_listed", "n_held_out"),
        headers={"outcome": "Afterwards", "listed": "Listed", "held_out": "Held out",
                 "estimate": "Difference", "n_listed": "n listed", "n_held_out": "n held out"},
        units={"estimate": "+points"}, level=level,
    )  # fmt: skip
    notes = tuple(dict.fromkeys(note for note in table["note"] if note))
    return LoopEffect(table=table, notes=notes, horizon=horizon)


def _staying(
    sides: list[pd.DataFrame], days: str, left: str, horizon: float, level: float
) -> tuple[object, ...]:
    sizes = [len(side) for side in sides]
    stays = [
        survival(side[days], side[left].astype(float) > 0, horizon) if len(side) else None
        for side in sides
    ]
    shares = [stay.estimate if stay else np.nan for stay in stays]
    blank = [np.nan] * 4
    if not all(sizes):
        return (*sizes, *(100 * share for share in shares), *blank, NOT_IDENTIFIED)
    estimate = shares[0] - shares[1]
    if np.isnan(estimate):
        return (*sizes, *(100 * s for s in shares), *blank, f"not followed for {horizon:g} days")
    known = [
        _known_size(stay, side[days] >= horizon) for stay, side in zip(stays, sides, strict=True)
    ]
    # one who stayed and one who left more on either side
    padded = [(share * m + 1) / (m + 2) for share, m in zip(shares, known, strict=True)]
    middle = padded[0] - padded[1]
    se = np.sqrt(sum(p * (1 - p) / (m + 2) for p, m in zip(padded, known, strict=True)))
    width = normal_quantile(level) * se
    figures = (*shares, estimate, se, middle - width, middle + width)
    return (*sizes, *(100 * figure for figure in figures), "")


def _known_size(stay: Survival | None, observed: pd.Series) -> float:
    """Size of the sample without censoring that would know as much; all of it without any."""
    if stay is None:
        return 0.0
    variance = stay.variance()
    if variance > 1e-14:
        return stay.estimate * (1 - stay.estimate) / variance
    return float(max(int(observed.sum()), 1))


def _next_scores(
    sides: list[pd.DataFrame], score: str, scale: tuple[float, float], level: float
) -> list[tuple[object, ...]]:
    answered = [side[score].dropna().to_numpy(float) for side in sides]
    sizes = [len(values) for values in answered]
    rows: list[tuple[object, ...]] = []
    if min(sizes) > 1:
        means = [float(values.mean()) for values in answered]
        se = float(np.sqrt(sum(values.var(ddof=1) / len(values) for values in answered)))
        width, gap = normal_quantile(level) * se, means[0] - means[1]
        note = "of those who answered again, which calling may change"
        rows.append(("next score", *sizes, *means, gap, se, gap - width, gap + width, note))
    ends = [
        [(values.sum() + (len(side) - len(values)) * end) / len(side) for end in scale]
        for values, side in zip(answered, sides, strict=True)
    ]
    low, high = ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
    note = "bounds: whatever the silent would have said"
    everyone = [len(side) for side in sides]
    return [*rows, ("next score", *everyone, *[np.nan] * 4, low, high, note)]


def hold_out_needed(
    share: float, difference: float, *, held: float = 0.1, level: float = 0.95
) -> int:
    """Listed and held-out customers together that show a difference four times in five.

    Parameters
    ----------
    share : float
        Share of the held out who stay, 0 to 1.
    difference : float
        What calling adds to it, 0 to 1.
    held : float
        Share held out.
    level : float

    Examples
    --------
    Five points from 70 %, half of them held out: 1,248 an arm.

    >>> hold_out_needed(0.70, 0.05, held=0.5)
    2496
    """
    if not 0 < held < 1 or not 0 < share < share + difference <= 1:
        raise ValueError(
            "`held`, `share` and `share` + `difference` must be shares above 0 and up to 1; got "
            f"{held}, {share} and {share + difference}."
        )
    spread = share * (1 - share) / held + (share + difference) * (1 - share - difference) / (
        1 - held
    )
    return int(np.ceil((normal_quantile(level) + ndtri(POWER)) ** 2 * spread / difference**2))

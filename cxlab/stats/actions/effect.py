"""Whether calling helped: listed less held out, and nothing else beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE, hidden_groups
from cxlab.core.display import display_of, with_display
from cxlab.core.frames import check_columns
from cxlab.core.messages import unknown
from cxlab.core.result import Result
from cxlab.stats.actions.calls import DESIGNS, HELD_OUT, LISTED, WAITING, called_later, check_arms
from cxlab.stats.inference import POWER, normal_quantile, t_quantile, wilson_interval
from cxlab.stats.metrics.two_groups import satterthwaite
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.survival import NO_VARIANCE, check_times, parts, survival

Array = NDArray[np.float64]
TOGETHER = "together"
#: Percentage points that a hold-out should be able to show.
WORTH_SEEING = 5.0
#: Days in one.
MONTH = 365.25 / 12
FIGURES = [
    "listed", "held_out", "estimate", "se", "ci_low", "ci_high", "listed_low", "listed_high",
    "held_out_low", "held_out_high",
]  # fmt: skip
SIZES = ["n_listed", "n_held_out"]
SHOWN = ("listed", "held_out", "estimate", *SIZES)
Row = dict[str, Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class LoopEffect(Result):
    """Who stayed of the listed and of the held out ``horizon`` days after listing.

    Attributes
    ----------
    plan : DataFrame
        When a difference of 5 points could be seen: ``n`` (customers followed for the horizon so
        far), ``a_month`` (new ones), ``held_out`` (per cent of them), ``stay`` (per cent of the
        held out), ``difference``, ``needed`` (customers), ``month`` (such as May 2027: when the
        last of them will have been followed; empty where it is not known).
    meaning : str
        What counts as having left, where it has no date.
    """

    plan: pd.DataFrame
    horizon: float
    level: float = 0.95
    meaning: str = ""

    @property
    def sides(self) -> pd.DataFrame:
        """Per cent who stayed of each side that is shown, to be drawn: ``label`` and an interval."""
        row, headers = self.table.iloc[0], display_of(self.table).headers
        found = [
            (headers[side], row[side], row[f"{side}_low"], row[f"{side}_high"])
            for side in ("listed", "held_out")
        ]
        table = pd.DataFrame(found, columns=["label", "estimate", "ci_low", "ci_high"])
        return table.dropna(subset="estimate")

    @property
    def planning(self) -> str:
        """The plan in one sentence."""
        if self.plan.empty:
            if self.table["note"].iloc[0].endswith("nobody was held out by chance"):
                return "Nobody is held out by chance: no effect of calling can be seen, ever."
            return "When an effect of calling could be seen is not known yet."
        row = self.plan.iloc[0]
        points = f"An effect of {row['difference']:g} points"
        if pd.isna(row["needed"]):
            return f"{points} cannot be seen: {row['stay']:.0f} % of those held out stay anyway."
        told = f"needs {int(row['needed']):,} customers followed for {self.horizon:g} days"
        told += f"; so far there are {int(row['n']):,}"
        rate = (
            f"At {row['a_month']:.0f} new ones a month, {row['held_out']:.0f} % of them held out, "
        )
        seen = f"{rate}it could be seen in {row['month']}." if row["month"] else ""
        return f"{points} {told}. {seen}".strip()


def loop_effect(
    follow_ups: FollowUp | pd.DataFrame,
    *,
    method: str = "hold_out",
    by: str | None = None,
    horizon: float = 90,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> LoopEffect:
    """Customers who stayed of those listed, less of those held out by chance.

    Parameters
    ----------
    follow_ups : FollowUp or DataFrame
        One row per customer on a list, with what came after, as of `study_follow_ups`: ``arm``,
        ``days_followed``, ``left_after`` and, where there, ``customer`` and ``listed_at``.
    method : {"hold_out", "random_order", "random_delay", "staggered_units"}
        As of `call_list`. Those who wait take the place of the held out until they are called
        themselves, so that ``horizon`` must end before most are. In random order, and where some wait for want of capacity,
        owners are compared within themselves (column ``owner``); of staggered units, owners are
        the units.
    by : str, optional
        Column of lists: they are compared within themselves, then pooled.
    horizon : float
        Days after listing.
    level : float
    min_group_size : int
        With fewer customers on either side nothing is shown.

    Returns
    -------
    LoopEffect
        Its table: a row for all lists together and, with ``by``, one for each: ``list``,
        ``outcome``, ``n_listed``, ``n_held_out`` (customers of lists with both sides, followed for
        so long; the note counts the others), ``listed`` and ``held_out`` (per cent who stayed),
        ``estimate`` (the first less the second), ``se``, ``ci_low``, ``ci_high``,
        ``listed_low`` … ``held_out_high`` (Wilson's interval of either side), ``note``. Without a hold-out the difference is blank and says that it is not identified.

    Notes
    -----
    Everybody on the list counts as listed, reached or not; of a customer the first listing.
    Comparing those who were called with those who were not, or with their own earlier score,
    mistakes chance and choice for effect. Differences within lists are weighted by
    n₁n₀/(n₁ + n₀); the interval is Agresti and Caffo's on the size of a sample without censoring,
    at most what these weights leave of it; of staggered units t on the owners' shares within
    lists, with Welch's degrees of freedom or, where they are fewer, those of owners who differ
    alike on both sides (Bell and McCaffrey's): two owners that began hardly show anything.

    References
    ----------
    Agresti & Caffo (2000), American Statistician 54, 280–288. Bell & McCaffrey (2002), Survey
    Methodology 28, 169–181. Mantel & Haenszel (1959), JNCI 22,
    719–748.

    Examples
    --------
    >>> rows = pd.DataFrame({"arm": ["listed"] * 100 + ["held out"] * 50,
    ...     "days_followed": [200.0] * 80 + [30] * 20 + [200] * 35 + [30] * 15,
    ...     "left_after": [0] * 80 + [1] * 20 + [0] * 35 + [1] * 15})
    >>> loop_effect(rows).table[["listed", "held_out", "estimate"]].round(1)
       listed  held_out  estimate
    0    80.0      70.0      10.0
    """
    if method not in DESIGNS:
        raise ValueError(unknown("method", method, DESIGNS))
    control = HELD_OUT if method == "hold_out" else WAITING
    within = [by] if by else []
    if method == "random_order" or (method == "hold_out" and _has_waiting(follow_ups)):
        # what an owner can do decides how many of theirs are listed
        within.append("owner")
    units = "owner" if method == "staggered_units" else None
    columns = {"days": DAYS, "left": LEFT, "by": within, "units": units}
    rows = first_listings(follow_ups, control, columns)
    # a blank is nobody who left
    rows = rows.assign(**{LEFT: rows[LEFT].astype(float) > 0})
    rows, cut = _until_called(rows, control, horizon)
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    found = []
    for label, part in [(TOGETHER, rows), *(parts(rows, by) if by else [])]:
        row = _of_units if units else _pooled
        lists = [by] if by and units else within
        found.append({"list": label, "outcome": "stayed", **row(part, lists, horizon, level)})
    table = effect_table(found, control, min_group_size, level)
    table = with_display(
        table, caption=f"Stayed {horizon:g} days: listed less {control} by chance", bar=("estimate",),
        columns=("list", *SHOWN),
    )  # fmt: skip
    notes = tuple(dict.fromkeys(note for note in [cut, *table["note"]] if note))
    return LoopEffect(
        table=table, notes=notes, horizon=horizon, level=level,
        plan=_plan(rows, table.iloc[0], horizon, level),
        meaning=follow_ups.meaning if isinstance(follow_ups, FollowUp) else "",
    )  # fmt: skip


def _has_waiting(follow_ups: FollowUp | pd.DataFrame) -> bool:
    """Whether owners could not call all that were listed."""
    rows = follow_ups.table if isinstance(follow_ups, FollowUp) else follow_ups
    return {"owner", "arm"} <= set(rows) and bool((rows["arm"] == WAITING).any())


def first_listings(
    follow_ups: FollowUp | pd.DataFrame, control: str, columns: Mapping[str, Any]
) -> pd.DataFrame:
    """First listings of those listed and of those held out, or waiting, by chance."""
    rows = follow_ups.table if isinstance(follow_ups, FollowUp) else follow_ups
    check_columns(rows, {"arm": "arm", **columns})
    check_arms(rows)
    if "called_later" not in rows and {"customer", "listed_at"} <= set(rows):
        rows = rows.assign(called_later=called_later(rows))
    if "customer" in rows:
        # who is listed again was treated before: the first listing counts
        if "listed_at" in rows:
            rows = rows.sort_values("listed_at", kind="stable")
        rows = rows[rows["customer"].isna() | ~rows["customer"].duplicated()]
    if "listed_before" in rows:
        rows = rows[~rows["listed_before"]]
    rows = rows[rows["arm"].isin([LISTED, control])]
    return rows.assign(_called=rows["arm"] == LISTED)


def _until_called(rows: pd.DataFrame, control: str, horizon: float) -> tuple[pd.DataFrame, str]:
    """Those who wait followed until they are called themselves, and a note of how many were."""
    if control != WAITING or not {"called_later", "listed_at"} <= set(rows):
        return rows, ""
    days = (rows["called_later"] - pd.to_datetime(rows["listed_at"])).dt.days
    cut = ~rows["_called"] & (days < rows[DAYS])
    early = int((cut & (days < horizon)).sum())
    followed = {DAYS: rows[DAYS].mask(cut, days), LEFT: rows[LEFT] & ~cut}
    note = f"{early:,} of those waiting were called within {horizon:g} days and are followed until then"
    return rows.assign(**followed), note if early else ""


def effect_table(found: list[Row], control: str, least: int, level: float) -> pd.DataFrame:
    """Differences as a table, those of few customers on one side hidden."""
    table = pd.DataFrame(found, columns=["list", "outcome", *SIZES, *FIGURES, "note"])
    table = table.astype(dict.fromkeys(SIZES, "Int64") | dict.fromkeys(FIGURES, float))
    table = _hide_sides(table.fillna({"note": ""}), least)
    return with_display(
        table, level=level, units={"estimate": "+points"},
        headers={"list": "List", "outcome": "Afterwards", "listed": "Listed",
                 "held_out": control.capitalize(), "estimate": "Difference",
                 "n_listed": "n listed", "n_held_out": f"n {control}"},
    )  # fmt: skip


def _hide_sides(table: pd.DataFrame, least: int) -> pd.DataFrame:
    """Rows with few customers on one side are hidden, and lists that would give them back."""
    few = pd.Series(False, table.index)
    lists = table.index[table["list"] != TOGETHER]
    for side in SIZES:
        few |= table[side].between(1, least - 1)
        few[lists[list(hidden_groups(table.loc[lists, side].to_numpy(float), least))]] = True
    table.loc[few, FIGURES] = np.nan
    table.loc[few, SIZES] = pd.NA
    table.loc[few, "note"] = f"hidden: fewer than {least} customers on one side"
    return table


def _cells(rows: pd.DataFrame, keys: list[str], horizon: float) -> pd.DataFrame:
    """Of each list (or owner) and side that was followed so long: share staying, variance, sizes."""
    found = []
    for key, part in rows.groupby([*keys, "_called"]):
        one = survival(part[DAYS], part[LEFT], horizon)
        observed = int((part[DAYS] >= horizon).sum())
        found.append((*key, one.estimate, one.variance(), observed, len(part)))
    columns = [*keys, "called", "share", "variance", "observed", "n"]
    return pd.DataFrame(found, columns=columns).dropna(subset="share")


def _pooled(rows: pd.DataFrame, within: list[str], horizon: float, level: float) -> Row:
    """Shares who stayed and their difference, within lists and pooled."""
    keys = within or ["_all"]
    cells = _cells(rows.assign(_all=""), keys, horizon).set_index([*keys, "called"])
    places = pd.MultiIndex.from_product([cells.columns, [True, False]])
    both = cells.unstack("called").reindex(columns=places).dropna()
    if both.empty:
        return _one_sided(rows, horizon)
    shares, variances, observed, counts = (both[name].to_numpy(float) for name in cells)
    weight = 1 / (1 / counts).sum(axis=1)
    part = weight / weight.sum()
    share, variance = part @ shares, part**2 @ variances
    spread = share * (1 - share)
    size = np.divide(spread, variance, out=observed.sum(axis=0), where=variance > NO_VARIANCE)
    # where one of a list waits, its variance is not seen: what the weights leave is known
    size = np.maximum(np.minimum(size, 1 / (part**2 @ (1 / counts))), 1)
    low, high = wilson_interval(share, size, level=level)
    used = counts.sum(axis=0).astype(int)
    return {
        **dict(zip(SIZES, used, strict=True)),
        **as_points(of_sides(share) | of_sides(low, "_low") | of_sides(high, "_high")),
        **as_points(agresti_caffo(share, size, level)),
        "note": _without_part(len(rows) - int(used.sum()), horizon),
    }  # fmt: skip


def of_sides(figures: Sequence[float] | Array, suffix: str = "") -> Row:
    """A figure of each side, under its column's name."""
    return {f"listed{suffix}": figures[0], f"held_out{suffix}": figures[1]}


def as_points(figures: Row) -> Row:
    """Shares in per cent."""
    return {name: 100 * float(figure) for name, figure in figures.items()}


def agresti_caffo(share: Array, size: Array, level: float) -> Row:
    """Difference of two shares, its standard error and limits: one more of each on either side."""
    padded = (share * size + 1) / (size + 2)
    se = np.sqrt((padded * (1 - padded) / (size + 2)).sum())
    width, middle = normal_quantile(level) * se, padded[0] - padded[1]
    limits = {"ci_low": middle - width, "ci_high": middle + width}
    return {"estimate": share[0] - share[1], "se": se, **limits}


def _one_sided(rows: pd.DataFrame, horizon: float) -> Row:
    """Where nothing can be compared: the share of either side, and why."""
    sides = [rows[rows["_called"] == side] for side in (True, False)]
    shares = [survival(s[DAYS], s[LEFT], horizon).estimate if len(s) else np.nan
              for s in sides]  # fmt: skip
    note = f"no list has both sides followed for {horizon:g} days"
    if not all(len(side) for side in sides):
        why = "nobody was held out by chance" if len(sides[0]) else "nobody was listed"
        note = f"effect not identified: {why}"
    sizes = {name: len(side) for name, side in zip(SIZES, sides, strict=True)}
    return {**sizes, **as_points(of_sides(shares)), "note": note}


def _without_part(number: int, horizon: float) -> str:
    """Note of customers who are in no comparison."""
    if not number:
        return ""
    have = "customer has" if number == 1 else "customers have"
    return (
        f"{number:,} {have} no part: their list has one side only, or was not followed for "
        f"{horizon:g} days"
    )


def _of_units(rows: pd.DataFrame, by: list[str], horizon: float, level: float) -> Row:
    """Difference of owners that began and owners that waited, within lists; owners are the units."""
    lists = rows[by[0]].astype("str") if by else ""
    table = _cells(rows.assign(_list=lists), ["_list", "owner"], horizon)
    # an owner who begins later has no part in the comparison from then on
    table = table[table["called"] == table.groupby("owner")["called"].transform("first")]
    table = table[table.groupby("_list")["called"].transform("nunique") == 2]
    of_side = table.groupby("called")
    units = of_side["owner"].nunique().reindex([True, False], fill_value=0)
    used = of_side["n"].sum().reindex([True, False], fill_value=0)
    means = of_side["share"].mean().reindex([True, False]).to_numpy()
    shares = as_points(of_sides(means))
    if units.min() < 2:
        sizes = [int(rows["_called"].sum()), int((~rows["_called"]).sum())]
        note = "effect not identified: fewer than two owners on one side"
        return {**dict(zip(SIZES, sizes, strict=True)), **shares, "note": note}
    found = dict(zip(SIZES, used, strict=True)) | shares
    side = table.groupby(["_list", "called"])["share"]
    counts = side.agg(["mean", "size"]).unstack("called")
    weight = 1 / (1 / counts["size"]).sum(axis=1)
    weight = weight / weight.sum()
    gap = float(weight @ (counts["mean"][True] - counts["mean"][False]))
    part = (table["share"] - side.transform("mean")) / side.transform("size")
    moved = (part * table["_list"].map(weight)).groupby([table["owner"], table["called"]]).sum()
    squares = (moved**2).groupby("called").sum()
    spread = squares * units / (units - 1)
    se = float(np.sqrt(spread.sum()))
    if se < 1e-7:
        note = "no interval: owners of a side are all alike"
        return {**found, "estimate": 100 * gap, "note": note}
    # two owners that began beside twenty that wait are known as from two, however alike they are
    pull = (table["_list"].map(weight) / side.transform("size")).groupby(
        [table["owner"], table["called"]]
    )
    expected = (pull.sum() ** 2).groupby("called").sum()
    free = units.sort_index().to_numpy() - 1
    df = min(satterthwaite(one.to_numpy(), free) for one in (spread.sort_index(), expected))
    width = float(t_quantile(level, df)) * se
    difference = {"estimate": gap, "se": se, "ci_low": gap - width, "ci_high": gap + width}
    note = _without_part(len(rows) - int(used.sum()), horizon)
    return {**found, **as_points(difference), "note": note}


def _plan(rows: pd.DataFrame, row: pd.Series, horizon: float, level: float) -> pd.DataFrame:
    """When a difference worth seeing could be seen, at the pace of the last year."""
    stay = row["held_out"] / 100
    if pd.isna(stay) or not rows["_called"].nunique() > 1:
        return pd.DataFrame()
    held, gain = float((~rows["_called"]).mean()), WORTH_SEEING / 100
    needed = hold_out_needed(stay, gain, held=held, level=level) if 0 < stay <= 1 - gain else np.nan
    pace, month, followed = np.nan, "", (rows[DAYS] >= horizon) | rows[LEFT]
    if "listed_at" in rows:
        days = pd.to_datetime(rows["listed_at"]).dt.normalize()
        # who left early of a list that is not followed so long says nothing alone
        end = (days + pd.to_timedelta(rows[DAYS], unit="D")).max()
        followed, days = days + pd.Timedelta(days=horizon) <= end, days.sort_values()
        pace = _pace(days)
        if np.isfinite(needed):
            month = _known_on(days, int(needed), pace, horizon)
    return with_display(
        pd.DataFrame(
            {"n": [int(followed.sum())], "a_month": [pace], "held_out": [100 * held], "stay": [100 * stay],
             "difference": [WORTH_SEEING], "needed": [needed], "month": [month]}
        ),
        caption="When an effect of calling could be seen",
        headers={"n": "Followed so far", "a_month": "New a month", "held_out": "Held out, %",
                 "stay": "Stay without a call, %", "difference": "Effect, points",
                 "needed": "Customers needed", "month": "Month"},
    )  # fmt: skip


def _pace(days: pd.Series) -> float:
    """New customers a month: those after the first list of a year, over the months since it."""
    last_year = days[days >= days.max() - pd.DateOffset(years=1)]
    span = (days.max() - last_year.min()).days
    # lists come by quarters: what is less than nine months of them has no pace
    return float((last_year > last_year.min()).sum() / span * MONTH) if span > 270 else np.nan


def _known_on(days: pd.Series, needed: int, pace: float, horizon: float) -> str:
    """Month in which the last customer that is needed will have been followed; empty: not known."""
    ahead = (needed - len(days)) / pace
    if needed <= len(days):
        day = days.iloc[needed - 1]
    elif pace > 0:
        day = days.iloc[-1] + pd.DateOffset(months=int(np.ceil(ahead)))
    else:
        return ""
    return f"{day + pd.DateOffset(days=int(np.ceil(horizon))):%B %Y}"


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
    called = share + difference
    spread = share * (1 - share) / held + called * (1 - called) / (1 - held)
    return int(np.ceil((normal_quantile(level) + ndtri(POWER)) ** 2 * spread / difference**2))

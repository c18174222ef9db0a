"""Whom to call: a list with a random part held back, so that calling can be judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, hidden_groups
from cxlab.core.display import with_display
from cxlab.core.findings import Findings
from cxlab.core.frames import check_columns
from cxlab.core.messages import refuse, unknown
from cxlab.core.private import private_file
from cxlab.core.result import Result
from cxlab.stats.outcomes.follow_up import LEFT

if TYPE_CHECKING:
    from cxlab.stats.actions.effect import LoopEffect

LISTED, HELD_OUT, MUST, WAITING = "listed", "held out", "must call", "waiting"
ARMS = (LISTED, HELD_OUT, MUST, WAITING)
#: How some are called later or not at all, by chance.
DESIGNS = ("hold_out", "random_order", "random_delay", "staggered_units")
#: Owner of customers whose owner is blank.
NOBODY = "no owner"
CALL_COLUMNS = ("customer", "listed_at", "arm", "owner", "order")


@dataclass(frozen=True, eq=False, kw_only=True)
class CallList(Result):
    """Whom to call: counts to show, ids only in a file that was asked for.

    Attributes
    ----------
    table : DataFrame
        One row per owner and arm: ``owner``, ``arm``, ``n``.
    calls : DataFrame
        One row per customer, to be written to a file and never shown: ``customer``,
        ``listed_at``, ``arm``, ``owner``, ``order``.
    """

    calls: pd.DataFrame
    rule: tuple[float, float]

    def findings(self, status: pd.DataFrame, effect: LoopEffect) -> Findings:
        """What `loop_status` and `loop_effect` say beside the list."""
        from cxlab.stats.actions.findings import call_findings

        return call_findings(self, status, effect)

    def write(self, path: str | Path | None) -> None:
        """Write the calls as CSV, readable by its owner only; nothing without a path."""
        if path is not None:
            self.calls.to_csv(private_file(path), index=False)


def call_list(
    answers: pd.DataFrame,
    *,
    customer: str,
    score: str,
    rule: tuple[float, float],
    listed_at: str | pd.Timestamp,
    owner: str | None = None,
    capacity: int | None = None,
    hold_out: float = 0.1,
    exempt: str | None = None,
    earlier: pd.DataFrame | None = None,
    method: str = "hold_out",
    min_group_size: int = MIN_GROUP_SIZE,
    seed: int = 0,
) -> CallList:
    """Draw whom to call, and hold a random part back within each score.

    Parameters
    ----------
    answers : DataFrame
        One row per answer; a customer's lowest score counts.
    customer, score : str
        Columns.
    rule : (low, high)
        Scores that ask for a call.
    listed_at : date
        Day of the list.
    owner : str, optional
        Column of who calls; blank: "no owner".
    capacity : int, optional
        Calls that each owner can make; the others wait, in random order.
    hold_out : float
        Share held back, 0 to below 1. 0: the effect of calling is not identified.
    exempt : str, optional
        Column that is true where a call must be made (complaint, safety, contract): they are
        listed and taken no part in the draw.
    earlier : DataFrame, optional
        Earlier lists, with ``customer`` and ``arm``: who was drawn before keeps the arm. After a
        random delay, those who waited are listed, whether they answered again or not, unless
        they left since (``left_after``, where it is a column).
    method : {"hold_out", "random_order", "random_delay", "staggered_units"}
        Hold a share back for good; call everybody in random order until capacity ends; call a
        random half a period later; or begin with a random half of the owners.
    min_group_size : int
        Owners of fewer customers who answered are counted together, as others; in the file they
        have their names.
    seed : int

    Returns
    -------
    CallList

    Raises
    ------
    ValueError
        For a share outside 0 to 1, or an unknown method.

    Examples
    --------
    >>> answers = pd.DataFrame({"id": range(20), "recommend": [2] * 10 + [9] * 10})
    >>> drawn = call_list(answers, customer="id", score="recommend", rule=(0, 6),
    ...                   listed_at="2025-10-01", hold_out=0.2)
    >>> drawn.table
          owner       arm  n
    0  everyone    listed  8
    1  everyone  held out  2
    """
    _check(hold_out, capacity, method)
    check_columns(answers, {"customer": customer, "score": score, "owner": owner, "exempt": exempt})
    if method == "staggered_units" and owner is None:
        raise ValueError('`owner` must name who calls for "staggered_units"; got none.')
    calls = _to_call(answers, customer, score, rule, owner)
    if method == "random_delay" and earlier is not None:
        calls = pd.concat([calls, _waited(calls, earlier)], ignore_index=True)
    calls = calls.assign(listed_at=pd.Timestamp(listed_at).date())
    rng = np.random.default_rng(seed)
    # every customer keeps a place in the draw, so that a longer list draws the same
    calls["_draw"] = rng.permutation(len(calls))
    must = calls["customer"].isin(_exempt(answers, customer, exempt)).to_numpy()
    calls["arm"] = _arms(calls, must, earlier, method, hold_out, rng)
    calls["order"] = calls.groupby("owner")["_draw"].rank().astype(int)
    if capacity is not None:
        place = calls[calls["arm"] == LISTED].groupby("owner")["_draw"].rank()
        calls.loc[place.index[place > capacity], "arm"] = WAITING
    shown = _shown_owners(calls["owner"], answers, customer, owner, min_group_size)
    arms = pd.Categorical(calls["arm"], ARMS, ordered=True)
    table = calls.groupby([shown, arms], observed=True).size().rename_axis(["owner", "arm"])
    return CallList(
        table=with_display(
            table.rename("n").reset_index().astype({"arm": "str"}),
            caption="Whom to call, and who is held back by chance",
            headers={"owner": "Owner", "arm": "Arm", "n": "Customers"}, top=len(table),
        ),
        calls=calls.sort_values(["owner", "order"])[list(CALL_COLUMNS)].reset_index(drop=True),
        notes=_notes(hold_out, method, calls), rule=rule,
    )  # fmt: skip


def _arms(
    calls: pd.DataFrame, must: NDArray[np.bool_], earlier: pd.DataFrame | None, method: str,
    hold_out: float, rng: np.random.Generator,
) -> pd.Series:  # fmt: skip
    """Arm of each customer, before capacity."""
    known = _earlier_arm(calls["customer"], earlier, method)
    free = ~must & known.isna().to_numpy()
    # who was drawn once keeps the arm, or repeat detractors would be held out more often
    arm = pd.Series(np.where(must, MUST, LISTED), calls.index).mask(~must & known.notna(), known)
    if method == "staggered_units":
        held = free & ~calls["owner"].isin(_begun(calls["owner"], earlier, rng)).to_numpy()
    else:
        share = {"hold_out": hold_out, "random_delay": 0.5, "random_order": 0.0}[method]
        held = _drawn(calls, free, share, rng)
    return arm.mask(held, WAITING if method in ("random_delay", "staggered_units") else HELD_OUT)


def _shown_owners(
    owners: pd.Series, answers: pd.DataFrame, customer: str, owner: str | None, least: int
) -> pd.Series:
    """Owner as it is shown: of few customers, how many asked for a call would name their scores."""
    if owner is None:
        return owners
    sizes = answers.groupby(_named(answers[owner]))[customer].nunique()
    few = hidden_groups(sizes.to_numpy(float), least)
    kept = [name for i, name in enumerate(sizes.index) if i not in few]
    return owners.where(owners.isin(kept), "others")


def _named(owners: pd.Series) -> pd.Series:
    """Owners as text; customers whom nobody calls yet have a list of their own."""
    return owners.astype("str").fillna(NOBODY)


def _check(hold_out: float, capacity: int | None, method: str) -> None:
    if not 0 <= hold_out < 1:
        raise ValueError(f"`hold_out` must be a share from 0 to below 1; got {hold_out}.")
    if capacity is not None and capacity < 1:
        raise ValueError(f"`capacity` must be 1 or more; got {capacity}.")
    if method not in DESIGNS:
        raise ValueError(unknown("method", method, DESIGNS))


def _to_call(
    answers: pd.DataFrame, customer: str, score: str, rule: tuple[float, float], owner: str | None
) -> pd.DataFrame:
    """Customers who ask for a call, by their lowest score."""
    asked = answers[answers[score].between(*rule) & answers[customer].notna()]
    asked = asked.sort_values([customer, score], kind="stable").drop_duplicates(customer)
    whose = _named(asked[owner]).to_numpy() if owner else "everyone"
    found = {"customer": asked[customer].to_numpy(), "_score": asked[score].to_numpy(float)}
    return pd.DataFrame({**found, "owner": whose})


def _waited(calls: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Customers of earlier lists who only ever waited, are still there and on no list of today."""
    check_columns(earlier, {"earlier": ["customer", "arm"]})
    others = earlier.loc[earlier["arm"] != WAITING, "customer"]
    known = earlier["customer"].isin([*others, *calls["customer"]]) | earlier["customer"].isna()
    rows = earlier[~known].drop_duplicates("customer", keep="last")
    if LEFT in rows:
        rows = rows[~rows[LEFT].astype(bool)]
    whose = _named(rows["owner"]) if "owner" in rows else "everyone"
    return rows[["customer"]].assign(_score=np.nan, owner=whose)


def _earlier_arm(customers: pd.Series, earlier: pd.DataFrame | None, method: str) -> pd.Series:
    """Arm of the first list that drew each customer; null for who was never drawn."""
    if earlier is None:
        return pd.Series(None, index=customers.index, dtype=object)
    check_columns(earlier, {"earlier": ["customer", "arm"]})
    check_arms(earlier)
    counted = [LISTED, HELD_OUT, *([WAITING] if method == "random_delay" else [])]
    drawn = earlier[earlier["arm"].isin(counted)].drop_duplicates("customer")
    # a delay ends with the next list
    return customers.map(drawn.set_index("customer")["arm"].replace(WAITING, LISTED)).astype(object)


def check_arms(lists: pd.DataFrame) -> None:
    """Refuse arms that no list has."""
    odd = lists.loc[~lists["arm"].isin(ARMS), "arm"]
    refuse(odd, f"`arm` must be one of {', '.join(ARMS)}")


def _drawn(
    calls: pd.DataFrame, free: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Who is held back or waits by chance, before capacity."""
    held = np.zeros(len(calls), dtype=bool)
    draw, scores = calls["_draw"].to_numpy(), calls["_score"].to_numpy()
    for score in np.unique(scores[free]):
        places = np.flatnonzero(free & (scores == score))
        # rounded at random, so that the share holds however few have the score
        number = int(share * len(places) + rng.random())
        held[places[np.argsort(draw[places])[:number]]] = True
    return held


def _exempt(answers: pd.DataFrame, customer: str, exempt: str | None) -> pd.Series:
    """Customers any of whose answers asks for a call; a blank does not."""
    if exempt is None:
        return pd.Series(dtype=object)
    asks = answers[exempt].notna() & answers[exempt].eq(True)
    return answers.loc[asks, customer].dropna()


def _begun(owners: pd.Series, earlier: pd.DataFrame | None, rng: np.random.Generator) -> set[str]:
    """Owners that call: who began stays begun, and half of the others, large or small, begin."""
    begun: set[str] = set()
    if earlier is not None and "owner" in earlier:
        begun = set(earlier.loc[earlier["arm"] == LISTED, "owner"].astype(str))
    waiting = sorted(set(owners) - begun)
    return begun | set(rng.permutation(waiting)[: (len(waiting) + 1) // 2])


def called_later(rows: pd.DataFrame) -> pd.Series:
    """Day after its own listing on which a customer was first listed to be called; blank: never."""
    day = pd.to_datetime(rows["listed_at"])
    calls = day.where(rows["arm"].isin([LISTED, MUST]))
    first = calls.groupby(rows["customer"].to_numpy()).min()
    called = pd.to_datetime(rows["customer"].map(first))
    return called.where(called > day)


def _notes(hold_out: float, method: str, calls: pd.DataFrame) -> tuple[str, ...]:
    held = int((calls["arm"] == HELD_OUT).sum())
    if method == "hold_out" and not held:
        return ("Nobody is held out: the effect of calling will not be identified.",)
    return (f"{held:,} of {len(calls):,} customers are held out by chance.",) if held else ()

"""Facts of a driver analysis: what was fitted, on which rows, and what to know about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.explained import explained
from cxlab.stats.drivers.reach import Reach
from cxlab.stats.drivers.replicates import Agreement, Resample
from cxlab.stats.drivers.result import Replicates
from cxlab.stats.drivers.room import RatingShares
from cxlab.stats.drivers.shares import importance
from cxlab.stats.drivers.tables import AMONG_USERS, REACH_ADJUSTED
from cxlab.stats.drivers.uncertainty import FEW_DEGREES, standard_errors
from cxlab.stats.drivers.users import Options, Users

Array = np.ndarray

#: Mean correlation between ratings above which one impression may colour them all.
HALO = 0.6


@dataclass(frozen=True, eq=False)
class Sample:
    """Answers as read, and with the drivers that can be analysed."""

    all: Answers
    kept: Answers
    positions: list[int]
    aside: list[dict[str, object]]


@dataclass(frozen=True, eq=False)
class Part:
    """Everything about one group."""

    users: Users
    reach: Reach | None
    reach_note: str
    performance: dict[str, tuple[Array, Array]]
    ratings: RatingShares
    table: pd.DataFrame
    reach_table: pd.DataFrame


def fit_table(parts: dict[object, Part], resample: Resample, level: float) -> pd.DataFrame:
    """One row per group and estimand: R² with its interval and the rows behind it."""
    rows = []
    for value, part in parts.items():
        users = part.users
        n = users.answers.n
        complete = users.fit.n_complete if users.missing == "complete" else n
        found = [(AMONG_USERS, users.importance, users.fit, users.n_effective, complete)]
        if part.reach:
            reach = part.reach
            whole = int(reach.fit.n_pairs[-1, -1])
            found.append((REACH_ADJUSTED, reach.importance, reach.fit, reach.n_effective, whole))
        for estimand, shared, fit, effective, used in found:
            around = explained(
                fit,
                resample,
                n=effective,
                df=users.df,
                stratified=users.answers.design.stratified,
                level=level,
            )
            rows.append(
                {
                    "group": "" if value is None else value,
                    "estimand": estimand,
                    "n": used,
                    "r_squared": shared.r_squared,
                    "se": around.se,
                    "ci_low": around.low,
                    "ci_high": around.high,
                    "n_effective": effective,
                    "adjusted_r_squared": around.adjusted,
                }
            )
    return pd.DataFrame(rows)


def rows_used(answers: Answers) -> pd.DataFrame:
    """Rows that each treatment of missing answers uses, fewest and most over pairs."""
    known = ~np.isnan(answers.ratings)
    pairs = (known.astype(int).T @ known).astype(int)
    complete = int(known.all(axis=1).sum())
    patterns = len(np.unique(known, axis=0))
    return pd.DataFrame(
        {
            "treatment": ["em", "pairwise", "complete"],
            "n": [answers.n, int(pairs.min()), complete],
            "n_most": [answers.n, int(known.sum(axis=0).max()), complete],
            "note": [
                f"every row, in {patterns:,} patterns of missing answers",
                "rows of each pair of columns: fewest and most",
                "rows without a blank",
            ],
        }
    )


def collinearity(users: Users) -> dict[str, float]:
    """Condition number, mean correlation and largest VIF of the drivers."""
    correlation = to_correlation(users.fit.matrix)[:-1, :-1]
    values = np.linalg.eigvalsh(correlation)
    smallest = max(float(values[0]), 0.0)
    count = len(correlation)
    off = (correlation.sum() - count) / (count * (count - 1)) if count > 1 else 0.0
    return {
        "condition_number": float(np.sqrt(values[-1] / smallest)) if smallest > 1e-12 else np.inf,
        "mean_correlation": float(off),
        "largest_vif": float(users.inflation.max()),
    }


def family_of_tests(parts: dict[object, Part], differences: pd.DataFrame, outcome: str) -> str:
    """The tests among which false discoveries are controlled, in words."""
    size = len(next(iter(parts.values())).users.answers.names)
    text = f"{size} coefficients with '{outcome}'" + (", per group" if len(parts) > 1 else "")
    if len(differences):
        text += f"; {len(differences)} differences of shares"
    return text


def kept_replicates(part: Part, resample: Resample) -> Replicates:
    """What the map and the what-if go on with."""
    users = part.users
    return Replicates(
        resample.kind,
        users.importance.share_replicates,
        part.performance["mean"][1],
        part.performance["reach"][1],
        users.coefficient_replicates,
        part.ratings,
        users.df,
        resample.source,
    )


def covariance_table(part: Part) -> pd.DataFrame:
    """Covariance matrix of drivers and outcome, with its names."""
    names = [*part.users.answers.names, part.users.answers.outcome_name]
    return pd.DataFrame(part.users.fit.matrix, index=names, columns=names)


def analysis_notes(
    sample: Sample, parts: dict[object, Part], resample: Resample, options: Options
) -> tuple[str, ...]:
    """What was done, assumed and left out, in words."""
    answers = sample.kept
    found = [answers.design.note, resample.note]
    if answers.n_missing:
        found.append(f"{answers.n_missing:,} rows without an outcome or group were left out.")
    if sample.aside:
        found.append(f"{len(sample.aside)} drivers or groups were set aside: see set_aside.")
    for value, part in parts.items():
        lead = "" if value is None else f"{value}: "
        found += [lead + note for note in _partnotes(part, resample) if note]
    if options.latent:
        found.append(
            "R² is that of a latent normal outcome; shares are those of the linear outcome, "
            "and R² of other kinds are not comparable."
        )
    if options.adjusted:
        found.append("Importances are of adjusted R²; small ones may be negative.")
    return tuple(dict.fromkeys(note for note in found if note))


def _partnotes(part: Part, resample: Resample) -> list[str]:
    users = part.users
    notes = [*users.notes, *users.fit.notes, users.importance.note, part.reach_note]
    if users.fit.repaired:
        notes.append(
            f"{users.fit.repaired} of {resample.replicates} replicates had an impossible "
            "covariance matrix and were repaired."
        )
    if users.fit.agreement is not None:
        notes.append(_agreement_note(users.fit.agreement))
    if np.isnan(users.p_values).all() and resample.kind == "none":
        notes.append("Without replicates there is no test of the coefficients here.")
    if resample.kind != "none" and users.df < FEW_DEGREES:
        notes.append(f"Few clusters: {users.df:g} degrees of freedom.")
    if users.importance.r_squared > 1:
        notes.append(f"R² is {users.importance.r_squared:.3f}, above 1: the latent model fails.")
    if users.importance.r_squared <= 0:
        notes.append("R² is not above 0, so shares are undefined.")
    if collinearity(users)["mean_correlation"] > HALO:
        notes.append(
            f"Ratings correlate {collinearity(users)['mean_correlation']:.2f} on average: one "
            "impression may colour them all (halo)."
        )
    return notes


def _agreement_note(agreement: Agreement) -> str:
    if agreement.replicates == 0:
        return "No full EM replicate could be made to check the one-step ones."
    full = importance(agreement.full[0], agreement.full).replicates
    quick = importance(agreement.one_step[0], agreement.one_step).replicates
    return _agreement_words(agreement.replicates, full, quick)


def _agreement_words(count: int, full: Array, quick: Array) -> str:
    text = f"One-step replicates against {count} full EM replicates: "
    if count > 2:
        ratio = standard_errors(quick) / standard_errors(full)
        low, middle, high = np.quantile(ratio, [0.0, 0.5, 1.0])
        text += f"standard errors of importances ×{middle:.3f} ({low:.3f} to {high:.3f}), "
    return text + f"largest difference of an importance {np.abs(full - quick).max():.2g}."

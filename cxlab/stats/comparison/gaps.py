"""tNPS less rNPS: as collected, under other metrics and weights, and which gaps are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtr

from cxlab.core.phrases import capital, number
from cxlab.stats.comparison.decomposition import (
    AT_LIMIT,
    NUMBERS,
    Standardised,
    standardised_numbers,
)
from cxlab.stats.comparison.identity import DIFFERENT, R_ONLY, SAME, T_ONLY, UNIT
from cxlab.stats.comparison.programme import ProgrammeData
from cxlab.stats.comparison.quantities import NPS_VALUES
from cxlab.stats.inference import ALPHA, LEVEL, decide_family, effective_number, smallest_shown
from cxlab.stats.metrics.two_groups import tested_difference
from cxlab.stats.variance import Units, contrast_spread

if TYPE_CHECKING:
    from cxlab.stats.comparison.result import NpsComparison

NO_PAIRS = "no customer answered both surveys in the window"
SAME_DIFFERENCE = "every pair has the same difference: no interval"
#: Differences that amount to fewer than this many equal ones have t instead of the normal
#: distribution, with as many degrees of freedom less one.
FEW_DIFFERENCES = 8.0
#: With as many customers in both surveys the normal distribution does as well as t.
MANY_CLUSTERS = 200
#: A variance below this is 0 but for rounding.
ROUNDING = 1e-18
#: Pseudo-answers of the adjusted Wald interval: detractor, passive, promoter.
PSEUDO = (0.75, 1.5, 0.75)
#: The kind of estimate that everything starts from.
RAW = "raw"
#: The gaps that are told from zero.
COLLECTED, ALIKE, PAIRED = "as collected", "customers weighted alike", "the same customers"
#: What a term is in a reader's words, from rNPS to tNPS.
PARTS = {
    "relationship response and contact rules": "who answers the relationship survey",
    "coverage": "asking customers without a transaction",
    "unit weighting": "how often frequent users are counted",
    "residual": "context, wording and timing together",
    "transactional response": "who answers after a transaction",
    "mix": "which touchpoints were asked about",
    R_ONLY: "those who answered the relationship survey only",
    SAME: "those who answered both surveys",
    T_ONLY: "those who answered after a transaction only",
    UNIT: "counting answers instead of people",
    DIFFERENT: "different people in the two surveys",
}
#: The gap in points for which pairs are counted.
WANTED_GAP = 10.0
#: The slope of answering on the score that is put in words.
SHOWN_SLOPE = 0.1
SILENT = "What those who were not asked or stayed silent would have said is not known"
DECIDED = ("p_value", "p_adjusted", "deciding_low", "deciding_high")


@dataclass(frozen=True)
class Contrast:
    """A difference of ``n`` answers, or pairs, of ``customers``, with its standard error.

    ``df`` is infinite where the normal distribution does; ``se_null`` is the standard error under
    no difference; ``effective`` customers differ at all, in effect.
    """

    n: int
    customers: int
    estimate: float
    se: float
    df: float = np.inf
    se_null: float = np.nan
    effective: float = np.inf

    @classmethod
    def of_nothing(cls) -> Contrast:
        """That of nobody's answers."""
        return cls(0, 0, np.nan, np.nan)

    @property
    def test_df(self) -> float:
        """Degrees of freedom of interval and test: fewer where few clusters differ at all."""
        few = self.effective < FEW_DIFFERENCES
        return min(self.df, max(self.effective - 1.0, 1.0)) if few else self.df

    def numbers(self) -> dict[str, float]:
        """Estimate, standard error and interval under the names of a table."""
        row = self.row("wald")
        return {name: row[name] for name in NUMBERS}

    def row(self, method: str) -> dict[str, Any]:
        """Counts, interval and test: ``method`` is wald or score."""
        se = self.se if method == "wald" else self.se_null
        found = tested_difference(self.estimate, se**2, self.test_df, LEVEL, method)
        shown = {name: found[name] for name in (*NUMBERS, "statistic", "p_value")}
        return {"n": self.n, "customers": self.customers, **shown}

    @property
    def note(self) -> str:
        """What to know of the interval."""
        if self.n == 0:
            return NO_PAIRS
        if self.customers < 2:
            return "one customer only: no interval"
        if not self.se > 0:
            return SAME_DIFFERENCE
        if self.test_df < self.df:
            return f"few pairs differ at all: t on {self.test_df:.1f} df"
        if np.isfinite(self.df):
            return f"{self.n:,} pairs of {self.customers:,} clusters; t on {self.df:.0f} df"
        return "one pair a customer"


def contrast(difference: ArrayLike, cluster: pd.Series | np.ndarray) -> Contrast:
    """Mean of paired differences, by customer.

    One pair a customer: Var = (E d² − D²)/N. Else Taylor: G/(G − 1)·Σ_g u_g², u_g the
    customer's sum of (d − D)/N, with t on G − 1 degrees of freedom. Where a handful of customers
    differ at all, (Σ_g (Σ_g d)²)²/Σ_g (Σ_g d)⁴ < 8, t on that less 1.
    """
    difference = np.asarray(difference, dtype=float)
    n = len(difference)
    if n == 0:
        return Contrast.of_nothing()
    estimate = float(difference.sum() / n)
    codes, labels = pd.factorize(cluster)
    groups = len(labels)
    if groups == n:
        square = float((difference**2).mean())
        variance = max(square - estimate**2, 0.0) / n
        few = _effective(difference)
        return Contrast(n, n, estimate, variance**0.5, np.inf, (square / n) ** 0.5, few)
    if groups < 2:
        return Contrast(n, groups, estimate, np.nan, 0.0)
    around = np.bincount(codes, difference - estimate)
    null = np.bincount(codes, difference)
    se = float(np.sqrt(groups / (groups - 1) * (around**2).sum()) / n)
    se_null = float(np.sqrt((null**2).sum()) / n)
    return Contrast(n, groups, estimate, se, groups - 1.0, se_null, _effective(null))


def _effective(totals: np.ndarray) -> float:
    """How many equal clusters would make as uneven a sum of squares."""
    return effective_number(totals**2) or np.inf


def raw_gap(
    surveys: Mapping[str, pd.DataFrame], values: np.ndarray = NPS_VALUES, *, weighted: bool = False
) -> Contrast:
    """Transactional less relationship score as collected.

    The difference is linearised as one statistic and summed within customers: the surveys
    share customers, so two standard errors would not add.
    """
    sides = [
        pd.DataFrame(
            {
                "customer": answers["customer"],
                "weight": answers["weights"] if weighted else 1.0,
                "value": values[answers["score"].to_numpy(dtype=int)],
            }
        )
        for answers in (one.dropna(subset="score") for one in surveys.values())
    ]
    rest = (values[0], (values[7] + values[8]) / 2, values[10])
    return two_means(*sides, pseudo=rest)


def two_means(first: pd.DataFrame, second: pd.DataFrame, *, pseudo: tuple[float, ...]) -> Contrast:
    """Mean of the first group less that of the second; both may hold the same customers.

    Groups have ``customer, weight, value`` of each answer. ``pseudo`` are values (low, middle, high) of the pseudo-answers that stand in for the unknown
    variance of a group all of whose answers are alike.

    With fewer than 200 customers in a group: CR2 and the degrees of freedom of Bell &
    McCaffrey (`cxlab.stats.variance.contrast_spread`). Else Taylor and the normal
    distribution. A group of one customer has no standard error.
    """
    groups = (first, second)
    if any(not one["weight"].sum() > 0 for one in groups):
        return Contrast.of_nothing()
    values = [one["value"].to_numpy() for one in groups]
    codes, labels = pd.factorize(np.concatenate([one["customer"] for one in groups]))
    cluster = np.split(codes, [len(first)])
    sides = [_sums(one, c, len(labels)) for one, c in zip(groups, cluster, strict=True)]
    means = [float(side["wy"].sum() / side["w"].sum()) for side in sides]
    found = Contrast(len(codes), len(labels), means[0] - means[1], np.nan)
    sizes = [len(np.unique(c)) for c in cluster]
    if min(sizes) < 2:
        return found
    if min(sizes) >= MANY_CLUSTERS:
        parts = [
            (side["wy"] - mean * side["w"]) / side["w"].sum()
            for side, mean in zip(sides, means, strict=True)
        ]
        variance = len(labels) / (len(labels) - 1) * ((parts[0] - parts[1]) ** 2).sum()
        df = np.inf
    else:
        units = Units(np.zeros(len(labels), int), np.zeros(len(labels), bool), np.array([np.inf]))
        spread, _ = contrast_spread(sides, units)
        variance, df = spread.variance, spread.df
    variance += sum(
        _pseudo_variance(y, size, pseudo)
        for y, size in zip(values, sizes, strict=True)
        if np.ptp(y) == 0
    )
    return replace(found, se=float(variance**0.5) if variance > ROUNDING else np.nan, df=df)


def _sums(one: pd.DataFrame, cluster: np.ndarray, n_clusters: int) -> dict[str, np.ndarray]:
    """Sums of each cluster as `contrast_spread` takes them."""
    w, y = one["weight"].to_numpy(), one["value"].to_numpy()
    products = {"w": w, "wy": w * y, "ww": w**2, "wwy": w**2 * y, "wwyy": (w * y) ** 2}
    products |= {"www": w**3, "wwww": w**4}
    return {
        name: np.bincount(cluster, values, minlength=n_clusters)
        for name, values in products.items()
    }


def _pseudo_variance(y: np.ndarray, clusters: int, pseudo: tuple[float, ...]) -> float:
    """Variance of the mean of answers that are all alike, as if a few others had come."""
    values = np.array([y[0], *pseudo])
    weight = np.array([clusters, *PSEUDO])
    mean = (weight * values).sum() / weight.sum()
    return float((weight * (values - mean) ** 2).sum() / weight.sum() ** 2)


_S = np.arange(11.0)
#: Points of each score 0 to 10. Bottom box counts against, so that up is better everywhere.
METRICS: dict[str, np.ndarray] = {
    "NPS (9–10 less 0–6)": 100.0 * ((_S >= 9).astype(float) - (_S <= 6)),
    "mean score": _S,
    "top two (9–10)": 100.0 * (_S >= 9),
    "bottom box (0–6), reversed": -100.0 * (_S <= 6),
    "10 less 0–6": 100.0 * ((_S >= 10).astype(float) - (_S <= 6)),
    "9–10 less 0–5": 100.0 * ((_S >= 9).astype(float) - (_S <= 5)),
    "8–10 less 0–5": 100.0 * ((_S >= 8).astype(float) - (_S <= 5)),
    "promoter +1, detractor −2": 100.0 * ((_S >= 9).astype(float) - 2.0 * (_S <= 6)),
    "promoter +2, detractor −1": 100.0 * (2.0 * (_S >= 9) - (_S <= 6)),
}
HEADLINE = "NPS (9–10 less 0–6)"
ONCE = "NPS: one answer per customer, the last"
CONCLUSIONS = ("tNPS higher", "rNPS higher", "undecided")


def robustness_table(data: ProgrammeData, done: Standardised, *, weighted: bool) -> pd.DataFrame:
    """Raw gap, standardised gap and residual under other metrics, weights and counting.

    ``same``: whether the conclusion is that of the headline variant; a quantity with any other
    conclusion is not robust. A quantity that is not identified is left out.
    """
    last = {
        survey: answers.sort_values(["customer", "responded_at"]).drop_duplicates(
            "customer", keep="last"
        )
        for survey, answers in data.valid.items()
    }
    variants = {ONCE: raw_gap(last)}
    if weighted:
        variants["NPS: with the surveys' own weights"] = raw_gap(data.surveys, weighted=True)
    variants |= {name: raw_gap(data.surveys, values) for name, values in METRICS.items()}
    found = {("raw gap", name): gap.numbers() for name, gap in variants.items()}
    for quantity in ("standardised gap", "residual"):
        shares = {} if done.result is None or done.reason(quantity) else done.result.shares
        # the data and two replicates at least
        if shares and shares["B3"].shape[1] > 2:
            found |= {
                (quantity, name): standardised_numbers(shares, quantity, values)
                for name, values in METRICS.items()
            }
    table = pd.DataFrame.from_dict(found, orient="index")
    table = table.rename_axis(["quantity", "variant"]).reset_index()
    above, below = table["ci_low"] > 0, table["ci_high"] < 0
    table["conclusion"] = np.select([above, below], CONCLUSIONS[:2], CONCLUSIONS[2])
    headline = table[table["variant"] == HEADLINE].set_index("quantity")["conclusion"]
    return table.assign(same=table["conclusion"] == table["quantity"].map(headline))


def with_decisions(
    table: pd.DataFrame, rows: pd.Series, method: str, df: pd.Series | float = np.inf
) -> pd.DataFrame:
    """The table with a test of each of these rows in their family, and the interval that decides."""
    chosen = table[["estimate", "se"]].astype(float).where(rows).assign(df=df)
    usable = (chosen["se"] > 0) & (chosen["df"] >= 1)
    statistic = (chosen["estimate"] / chosen["se"]).abs().where(usable)
    chosen["p_value"] = 2 * stdtr(chosen["df"].where(usable), -statistic)
    found = (chosen["p_value"], *decide_family(chosen, method=method))
    return table.assign(**dict(zip(DECIDED, found, strict=True)))


def gaps_table(tables: Mapping[str, pd.DataFrame], df: Mapping[str, float]) -> pd.DataFrame:
    """The gap as collected, for customers weighted alike and of the same customers: one family.

    ``shown`` is the true gap that would be shown four times in five, ``pairs_needed`` the pairs
    that one of 10 points takes.
    """
    estimates, terms = tables["estimates"], tables["decomposition"].set_index("term")
    kinds = {RAW: COLLECTED, "standardised": ALIKE, "paired": PAIRED}
    rows = estimates[estimates["survey"] == "difference"].set_index("estimate_kind").reindex(kinds)
    table = rows[["n", "customers", *NUMBERS, "note"]].set_index(
        pd.Index(kinds.values(), name="gap")
    )
    table = table.astype({"note": "object"}).fillna({"note": ""}).assign(df=np.inf)
    table["df"] = pd.Series(df).reindex(table.index).fillna(np.inf).where(table["se"].notna())
    table = with_decisions(table, table["estimate"].notna(), "holm", table["df"])
    tests = max(int(table["p_value"].notna().sum()), 1)
    shown = [
        smallest_shown(row.se, row.df, tests=tests) if np.isfinite(row.p_value) else np.nan
        for row in table.itertuples()
    ]
    pairs = table.loc[PAIRED, ["n", "se"]].astype("float64")
    needed = np.ceil(
        pairs["n"] * (smallest_shown(pairs["se"], np.inf, tests=tests) / WANTED_GAP) ** 2
    )
    bounds = terms.reindex(["standardised gap"]).set_index(pd.Index([ALIKE]))
    table = table.assign(shown=shown, pairs_needed=pd.Series({PAIRED: needed}))
    return table.assign(**bounds[["bound_low", "bound_high"]]).reset_index()


def parts_table(result: NpsComparison) -> pd.DataFrame:
    """From rNPS to tNPS by the terms that have an estimate or bounds, as charts take them."""
    table, order = result.table, list(PARTS)
    names = table["term"].map(lambda name: order.index(name) if name in order else len(order))
    terms = table.assign(order=names)[table["kind"] == "term"].sort_values("order", kind="stable")
    parts = terms[["estimate"]].assign(
        label=[capital(part_in_words(name)) for name in terms["term"]],
        kind="part",
        ci_low=terms["deciding_low"],
        ci_high=terms["deciding_high"],
        clear=terms["p_adjusted"] < ALPHA,
    )
    raw = result.estimates[result.estimates["estimate_kind"] == RAW].set_index("survey")
    scores = raw.loc[["relationship", "transactional"], ["estimate", "ci_low", "ci_high"]]
    labels = ["rNPS, as collected", "tNPS, as collected"]
    ends = scores.assign(label=labels, kind="score", clear=True)
    found = pd.concat([ends.iloc[:1], parts, ends.iloc[1:]], ignore_index=True)
    return found[["label", "kind", "estimate", "ci_low", "ci_high", "clear"]]


def part_in_words(name: str) -> str:
    """A term, or terms that are shown together, in a reader's words."""
    return " and ".join(PARTS[one] for one in name.split(" + "))


def beliefs_table(result: NpsComparison) -> pd.DataFrame:
    """What is left of the gap when all else is put right, by what is believed of the silent.

    ``belief, estimate, ci_low, ci_high`` of the residual in points; ``bound_low, bound_high`` where
    nothing is assumed; ``needed``: by how much those who did not answer would have to score higher.
    """
    terms = result.decomposition.set_index("term")
    if "residual" not in terms.index:
        return _beliefs([{"belief": SILENT}])
    residual = terms.loc["residual"]
    limits, bounds = ["estimate", "ci_low", "ci_high"], ["bound_low", "bound_high"]
    rows: list[dict[str, Any]] = []
    if np.isfinite(residual["estimate"]):
        words = "Answering depends only on what is known of the customers"
        rows.append({"belief": words, **residual[limits]})
        table = result.tilting
        slope = table[["slope_transactional", "slope_relationship"]].max(axis=1)
        tried = (table["term"] == "residual") & (table["note"] != AT_LIMIT)
        start = f"Odds of answering rise {100 * np.expm1(SHOWN_SLOPE):.0f} % a point of the score"
        for row in table[tried & (slope == SHOWN_SLOPE)].to_dict("records"):
            rows.append({**row, "belief": f"{start}: {row['answering']}"})
    rows.append({"belief": "Nothing is assumed of the silent", **residual[bounds]})
    for survey, needed in result.tipping:
        known, side = bool(np.isfinite(needed)), "above" if needed > 0 else "below"
        words = f"No difference of the silent of the {survey} survey alone does away with it"
        if known:
            size = f"{number(abs(needed))} {side} those who answered"
            words = f"The silent of the {survey} survey are {size}"
        rows.append({"belief": words, "estimate": 0.0 if known else np.nan, "needed": needed})
    return _beliefs(rows)


def _beliefs(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = ["belief", "estimate", "ci_low", "ci_high", "bound_low", "bound_high", "needed"]
    return pd.DataFrame(rows).reindex(columns=columns)

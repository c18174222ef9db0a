"""Key drivers from sums that stand for answers: themes of comments, corrected by hand codes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.messages import unknown
from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.coefficients import adjusted_r_squared, coefficients
from cxlab.stats.drivers.covariances import TABLE, CovarianceFit, possible
from cxlab.stats.drivers.estimands import Options
from cxlab.stats.drivers.importance import importance
from cxlab.stats.drivers.replicates import drawn_totals, make_resample
from cxlab.stats.drivers.result import (
    AMONG_USERS,
    DriverAnalysis,
    fits_table,
    importance_columns,
)
from cxlab.stats.resampling import SampledSums


def sums_analysis(
    sums: SampledSums,
    outcome: str,
    words: dict[str, str],
    options: Options,
    replicates: int,
    seed: int,
) -> DriverAnalysis:
    """Importances of some columns of sums, with their intervals; see `cxlab.drivers`."""
    columns = list(sums.labels)
    for argument, name in [("outcome", outcome), *(("drivers", one) for one in words)]:
        if name not in columns:
            raise ValueError(unknown(argument, name, columns))
    resample, unit = make_resample(sums, replicates, seed)
    places = [columns.index(name) for name in (*words, outcome)]
    size = max(1, TABLE // (2 * sums.table(slice(0, 1)).shape[1]))
    matrices = sums.matrices(drawn_totals(sums.table, unit, resample, size))
    matrices = matrices[:, places][:, :, places]
    # divisor n − 1, as of rows
    matrix, drawn = matrices[0] * sums.n / (sums.n - 1), matrices[1:]
    known = drawn[np.isfinite(drawn).all(axis=(1, 2))]
    drawn, repaired = possible(known)
    fit = CovarianceFit(np.full(len(places), np.nan), matrix, drawn, repaired)
    shared = importance(matrix, drawn, method=options.method)
    kind, df, level = resample.kind, sums.df, options.level
    table = importance_columns(words, shared, sums.n, kind, df, level)
    table.insert(0, "estimand", AMONG_USERS)
    table["correlation"] = to_correlation(matrix)[:-1, -1]
    table["coefficient"] = coefficients(matrix[None])[0]
    explained = adjusted_r_squared(
        fit, resample, n=sums.n_effective, df=df, stratified=sums.design.stratified, level=level
    )
    head = {"estimand": AMONG_USERS, "n": sums.n, "r_squared": shared.r_squared}
    fits = fits_table({None: [{**head, **explained, "n_effective": sums.n_effective}]})
    notes = [resample.note] if resample.note else []
    if repaired:
        notes.append(
            f"{repaired} of {len(drawn)} replicates had an impossible covariance matrix and were repaired."
        )
    return DriverAnalysis(
        table=with_display(
            table.sort_values("estimate", ascending=False, kind="stable", ignore_index=True),
            caption="What counts for how much of the score's spread", about=_explained(shared.r_squared, explained),
            columns=("label", "share", "rank"), headers={"label": "Theme", "share": "Counts for"},
            bar=("share",), level=level,
        ),
        notes=tuple(notes), reach_adjusted=pd.DataFrame(), fits=fits, rows_used=pd.DataFrame(),
        set_aside=pd.DataFrame(columns=["group", "driver", "reason"]), outcome=outcome,
        outcome_scale=options.outcome_scale, method=options.method, missing="complete", interval=kind,
        adjusted=False, level=level, n=sums.n, n_total=sums.n, collinearity={}, df=df, family="",
        covariances={None: pd.DataFrame(matrix, index=[*words, outcome], columns=[*words, outcome])},
        rating_ends=dict.fromkeys(words, (0.0, 1.0)), labels={**words, outcome: sums.labels[outcome]},
    )  # fmt: skip


def _explained(r_squared: float, around: dict[str, float]) -> str:
    low, high = around["ci_low"], around["ci_high"]
    known = f" (adjusted, {low:.2f} to {high:.2f})" if np.isfinite(low) else ""
    return f"shares of R² = {r_squared:.2f}{known}: association, not what would be gained"

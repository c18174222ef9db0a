"""What needs the frame and the invitations: engine, replicates, what is identified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.stats.comparison.bootstrap import Replicates, replicate
from cxlab.stats.comparison.checks import identification, response_check
from cxlab.stats.comparison.collected import Collected, collect_window
from cxlab.stats.comparison.columns import Rules
from cxlab.stats.comparison.columns import contact_rules as declared_rules
from cxlab.stats.comparison.contract import ProgrammeData
from cxlab.stats.comparison.decomposition import NEEDS_FRAME, Identification
from cxlab.stats.comparison.quantities import Engine, answer_weights, build_engine, fit_all
from cxlab.stats.comparison.tilting import check_limits, slopes_of


@dataclass(frozen=True)
class Options:
    """What the caller of `compare_tnps_rnps` chose."""

    periods: Sequence[str] | None
    pairing: str
    window_days: float
    half_life: float
    response: str
    trim: float | None
    transport: bool
    level: float
    replicates: int
    seed: int
    weighted: Sequence[str]
    min_group_size: int = MIN_GROUP_SIZE


NOTHING_KNOWN = Identification(NEEDS_FRAME, NEEDS_FRAME)


@dataclass(frozen=True, eq=False)
class Standardised:
    """What needs the frame and the invitations; None all through without them."""

    collected: Collected | None = None
    engine: Engine | None = None
    result: Replicates | None = None
    checks: pd.DataFrame | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    known: Identification = NOTHING_KNOWN
    note: str = ""

    @property
    def reason(self) -> str:
        """Why nothing was standardised."""
        return self.note or NEEDS_FRAME


def standardise(data: ProgrammeData, rules: Rules, options: Options) -> Standardised:
    """Fit, bootstrap and judge what is identified; empty with a reason where that can't be."""
    lacking = needed(data)
    asked = data.invitations
    if lacking or asked is None:
        return Standardised(note=f"needs {' and '.join(lacking)}")
    found = [str(name) for name in asked["rule"].dropna().unique()]
    collected = collect_window(
        data, declared_rules(rules, found), options.periods, contact_days=options.window_days
    )
    empty = [
        survey
        for survey, rows in (
            ("transactional", collected.episodes),
            ("relationship", collected.waves),
        )
        if not rows.answered.any()
    ]
    if empty:
        note = f"no valid {' and no valid '.join(empty)} answer in the window"
        return Standardised(collected=collected, known=Identification(note, note), note=note)
    engine = _trimmed(build_engine(collected, data.traits, data.n_units), options.trim)
    if not len(engine.relationship.answered):
        note = "nobody who answered the relationship survey had a known chance to be asked"
        return Standardised(collected=collected, known=Identification(note, note), note=note)
    checks = response_check(engine, smallest=options.min_group_size)
    limits = check_limits(checks, options.level)
    rng = np.random.default_rng(options.seed)
    replicates = options.replicates if data.n_units > 1 else 0
    return Standardised(
        collected=collected,
        engine=engine,
        result=replicate(engine, replicates, rng, slopes_of(limits)),
        checks=checks,
        limits=limits,
        known=identification(engine, response=options.response),
    )


def needed(data: ProgrammeData) -> list[str]:
    """What is not there and would be needed to standardise."""
    found = [] if data.has_frame else ["the frame of customers"]
    asked, rows = data.invitations, "with unsampled and suppressed rows"
    if asked is None:
        return [*found, f"the invitations {rows}"]
    there = asked["transactional"]
    for survey, some in (("transactional", there.any()), ("relationship", (~there).any())):
        if not some:
            found.append(f"the {survey} survey's invitations {rows}")
    return found


def _trimmed(engine: Engine, trim: float | None) -> Engine:
    if trim is None:
        return engine
    chances = fit_all(engine, np.ones((engine.n_units, 1)))
    caps = {}
    for survey in ("transactional", "relationship"):
        side = getattr(engine, survey)
        weight = answer_weights(engine, chances, survey, side.answered)
        caps[survey] = float(np.quantile(weight, trim)) if len(weight) else np.inf
    return replace(engine, caps=caps)

"""Accounts with several contacts: the account is the unit, counted once or by its value."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from cxlab import load_study, study_scorecard
from cxlab.core.design import Design
from cxlab.stats.metrics.estimates import nps
from cxlab.stats.metrics.scorecard import account_scores

STUDY = """
[study]
name = "firm"
title = "Firm"

[scales.ltr]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["nps"]

[tables.answers]
file = "answers.csv"
[tables.answers.columns.contact]
role = "customer"
[tables.answers.columns.period]
role = "period"
[tables.answers.columns.account]
role = "account"
[tables.answers.columns.contract]
role = "value"
[tables.answers.columns.recommend]
role = "outcome"
scale = "ltr"
"""


def contacts(rng, accounts=60, few=1, most=8, named="A"):
    """Large accounts are worth more and score lower; contacts of one account score alike."""
    sizes = rng.integers(few, most + 1, accounts)
    of = np.repeat(np.arange(accounts), sizes)
    mood = rng.normal(8.5 - 0.25 * sizes, 1.5)
    scores = np.clip(np.round(mood[of] + rng.normal(0, 1, len(of))), 0, 10)
    return pd.DataFrame(
        {"contact": range(len(of)), "period": "2025", "account": [f"{named}{one}" for one in of],
         "contract": (1.0 + sizes[of]) ** 2, "recommend": scores}
    )  # fmt: skip


def firm(tmp_path, answers, text=STUDY):
    answers.to_csv(tmp_path / "answers.csv", index=False)
    (tmp_path / "study.toml").write_text(text)
    return load_study(tmp_path / "study.toml")


def scores_of(study):
    answers = study.read()
    return account_scores(answers, study, study.metrics("outcome")).set_index("counted")


def test_account_means_and_value_weighted_scores_by_hand(tmp_path):
    rows = [
        ("A", 4.0, 10),
        ("A", 4.0, 3),
        ("B", 1.0, 9),
        ("C", 0.0, 2),
        ("C", 0.0, 2),
        ("C", 0.0, 9),
    ]
    answers = pd.DataFrame(rows, columns=["account", "contract", "recommend"])
    answers = answers.assign(contact=range(6), period="2025")
    text = STUDY.replace('title = "Firm"', 'title = "Firm"\nmin_group_size = 1')
    table = scores_of(firm(tmp_path, answers, text))
    # 3 promoters and 3 detractors; accounts 0, 100, −33.3; by value (4·0 + 1·100)/5
    assert table["estimate"].tolist() == pytest.approx([0, 200 / 9, 20])
    # an account of no value has no part in what is by value
    assert table["accounts"].tolist() == [3, 3, 2]


def test_the_account_is_the_cluster_in_every_period(tmp_path):
    rng = np.random.default_rng(1)
    answers = contacts(rng)
    later = answers.assign(contact=answers["contact"] + 1_000, period="2026")
    study = firm(tmp_path, pd.concat([answers, later]))
    assert study.design.cluster == "account"
    assert study.read()["account"].nunique() == 60
    each = scores_of(study).loc["each contact"]
    own = nps(study.read(), "recommend", design=Design(cluster="account")).iloc[0]
    assert each["se"] == pytest.approx(own["se"])
    assert each["se"] > 1.3 * nps(study.read(), "recommend")["se"].iloc[0]


def test_rows_as_units_cover_too_seldom_and_accounts_do_not():
    """METHODS 9.3: rows cover .713, accounts .931."""
    rng = np.random.default_rng(2)
    truth = nps(contacts(rng, 20_000), "recommend")["estimate"].iloc[0]
    studies = pd.concat(contacts(rng, named=f"{k} ").assign(study=k) for k in range(40))
    found = (nps(studies, "recommend", by="study", design=design)
             for design in (None, Design(cluster="account")))  # fmt: skip
    inside = [(one["ci_low"] <= truth) & (truth <= one["ci_high"]) for one in found]
    rows, accounts = np.mean(inside, axis=1)
    assert rows < 0.88
    assert accounts > 0.86


def test_scorecard_has_accounts_where_they_are_declared_only(tmp_path):
    study = firm(tmp_path, contacts(np.random.default_rng(3)))
    card = study_scorecard(study.read(), study)
    assert card.accounts["counted"].tolist() == ["each contact", "each account", "by value"]
    text = re.sub(r"\[tables.answers.columns.(account|contract)\]\n.*\n", "", STUDY)
    answers = contacts(np.random.default_rng(3)).drop(columns=["account", "contract"])
    plain = firm(tmp_path, answers, text)
    assert not len(study_scorecard(plain.read(), plain).accounts.columns)


def test_few_accounts_are_hidden_and_two_values_refused(tmp_path):
    answers = contacts(np.random.default_rng(4), accounts=6)
    table = scores_of(firm(tmp_path, answers))
    assert table["estimate"].isna().all()
    assert (table["note"] == "hidden: fewer than 10 accounts").all()
    study = firm(tmp_path, contacts(np.random.default_rng(4)).assign(contract=1.0))
    two = study.read().assign(contract=lambda t: np.arange(len(t)) * 1.0)
    with pytest.raises(ValueError, match="`value` must be the account's, the same for all"):
        account_scores(two, study, study.metrics("outcome"))
    with pytest.raises(ValueError, match="`value` must be 0 or more; got -1.0"):
        account_scores(study.read().assign(contract=-1.0), study, study.metrics("outcome"))


def test_accounts_worth_nothing_do_not_count_for_what_is_shown_by_value(tmp_path):
    answers = contacts(np.random.default_rng(5), accounts=12)
    last = answers["account"].isin(["A0", "A1"])
    table = scores_of(firm(tmp_path, answers.assign(contract=np.where(last, 5.0, 0.0))))
    assert table.loc["by value", "accounts"] == 2
    assert np.isnan(table.loc["by value", "estimate"])
    assert table.loc["each account", "accounts"] == 12

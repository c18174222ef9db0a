"""Which rows are previews, unfinished or spam, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cxlab.core.messages import one_of

#: Bits of a numeric status: 1 preview, 2 generated test, 8 spam (4 imported, 16 offline count).
_PREVIEW, _SPAM = 3, 8
_PREVIEW_WORDS = ("preview", "test", "vorschau", "aperçu", "vista previa", "anteprima")
_FALSE = ("0", "false", "falsch", "faux", "falso", "no", "nee", "nein")
_IN_WORDS = {
    "preview": "a preview or test of the questionnaire, which no respondent gave",
    "unfinished": "not finished",
    "spam": "marked as spam by the platform",
}
_KEPT = {
    "preview": "kept, as `leave_out` doesn't name it",
    "unfinished": (
        "kept, because what somebody answered before leaving is an answer; the questions after "
        "that are blank"
    ),
    "spam": "kept, because the mark may be wrong",
}


def kinds_of_responses(answers: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, pd.Series]:
    """Kind to the rows of that kind, as far as the platform's own columns tell.

    Parameters
    ----------
    answers : DataFrame
    columns : mapping of str to str
        ``status``, ``finished``, ``progress`` to the column that holds it.
    """
    kinds = {}
    if "status" in columns:
        status = answers[columns["status"]].str.strip().str.casefold()
        kinds["preview"] = status.isin([s for s in status.unique() if _is_preview(s)])
        kinds["spam"] = status.isin([s for s in status.unique() if _is_spam(s)])
    if "finished" in columns:
        kinds["unfinished"] = answers[columns["finished"]].str.strip().str.casefold().isin(_FALSE)
    elif "progress" in columns:
        progress = pd.to_numeric(answers[columns["progress"]], errors="coerce")
        kinds["unfinished"] = progress < 100
    return kinds


def _is_preview(status: str) -> bool:
    if status.isdecimal():
        return bool(int(status) & _PREVIEW) and int(status) < 256
    return any(word in status for word in _PREVIEW_WORDS)


def _is_spam(status: str) -> bool:
    return bool(int(status) & _SPAM) and int(status) < 256 if status.isdecimal() else (
        "spam" in status
    )  # fmt: skip


def without(
    answers: pd.DataFrame,
    kinds: Mapping[str, pd.Series],
    leave_out: Sequence[str],
    file: str,
) -> tuple[pd.DataFrame, dict[str, int], list[str]]:
    """Answers without the kinds to leave out; how many of each; what was done, in sentences.

    Raises
    ------
    ValueError
        When nothing is left.
    """
    left_out, notes = {}, []
    keep = pd.Series(True, index=answers.index)
    for kind, rows in kinds.items():
        dropped = kind in leave_out
        if dropped:
            keep &= ~rows
            left_out[kind] = int(rows.sum())
        if rows.any():
            are = "is" if rows.sum() == 1 else "are"
            done = "left out" if dropped else _KEPT[kind]
            notes.append(
                f"{int(rows.sum()):,} of {len(answers):,} responses {are} {_IN_WORDS[kind]}: "
                f"{done}."
            )
    if not keep.any():
        raise ValueError(
            f"{file} must hold at least one answer; all {len(answers):,} are left out as "
            f"{one_of(leave_out)}. Change `leave_out`, or collect answers first."
        )
    return answers[keep], left_out, notes

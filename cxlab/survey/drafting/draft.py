"""One file → a study file with a guess, marked to be confirmed, for every column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxlab.survey.definition import SINGLE_ROLES
from cxlab.survey.drafting.batteries import find_choices, find_rankings
from cxlab.survey.drafting.describing import describing, leave_out
from cxlab.survey.drafting.direction import note_directions
from cxlab.survey.drafting.guesses import Guess
from cxlab.survey.drafting.names import items as items_of
from cxlab.survey.drafting.profile import Profile, profile_column
from cxlab.survey.drafting.reading import RawFile, open_raw
from cxlab.survey.drafting.scored import scored, settle_roles
from cxlab.survey.drafting.write import study_text, write_whole


@dataclass(frozen=True)
class Draft:
    """A study file that was drafted.

    Attributes
    ----------
    path : Path
        The study file.
    guesses : tuple of Guess
        One per column of the file, in its order.
    """

    path: Path
    guesses: tuple[Guess, ...]

    @property
    def summary(self) -> str:
        """Columns by role, in words."""
        roles = Counter(guess.role for guess in self.guesses)
        ignored = roles.pop("ignore", 0)
        parts = [f"{number} {role}" for role, number in roles.items()]
        parts += [f"{ignored} ignored"] if ignored else []
        return f"guessed: {len(self.guesses)} columns: {', '.join(parts)}"


def draft_study(
    file: str | Path, output: str | Path | None = None, *, force: bool = False
) -> Draft:
    """Write a study file for a file of answers, every guess marked to be confirmed.

    Parameters
    ----------
    file : path
        ``.csv``, ``.tsv`` (also ``.gz``) or ``.parquet``, one header row, one answer a row.
    output : path, optional
        The study file; default: ``<stem>.study.toml`` beside ``file``.
    force : bool
        Replace a study file that is already there.

    Returns
    -------
    Draft

    Raises
    ------
    FileNotFoundError
        When ``file`` isn't there.
    FileExistsError
        When the study file is, and ``force`` is False.
    ValueError
        For a file that is not one plain table.

    Notes
    -----
    Nothing is read as an answer before every ``confirm`` is gone: `Study.read` refuses. A
    0–10 question is never assumed to be an NPS; codes that look missing are listed with a
    reason; values between two scores are asked about, never rounded.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("id,overall\\n1,5\\n2,4\\n3,99\\n4,1\\n")
    >>> draft = draft_study(folder / "a.csv")
    >>> [(guess.role, guess.missing) for guess in draft.guesses]
    [('id', {}), ('outcome', {'99': 'no answer'})]
    """
    source = Path(file)
    path = Path(output) if output is not None else source.with_name(f"{_stem(source)}.study.toml")
    if path.exists() and not force:
        raise FileExistsError(
            f"{path} must not be there yet; it is. Choose another with --output, or replace it "
            "with --force."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`output` must be in a folder that exists; got '{path}'.")
    raw = open_raw(source)
    guesses = guess_columns(raw)
    write_whole(path, study_text(raw, guesses, path, _stem(source)))
    return Draft(path, tuple(guesses))


def guess_columns(raw: RawFile) -> list[Guess]:
    """A guess for each column, in the order of the file."""
    profiles = [profile_column(raw.texts.iloc[:, i], i) for i in range(raw.texts.shape[1])]
    items = dict(enumerate(items_of([profile.header for profile in profiles])))
    found: dict[int, Guess] = {}
    for profile in profiles:
        left_out = leave_out(profile, items[profile.place])
        if left_out is not None:
            found[profile.place] = left_out
    found |= _belonging_together(raw, [p for p in profiles if p.place not in found])
    free = [profile for profile in profiles if profile.place not in found]
    ratings = scored(free, items)
    settle_roles(ratings, items)
    note_directions(raw.texts, ratings)
    found |= {guess.profile.place: guess for guess in ratings}
    taken: set[str] = set()
    for profile in profiles:
        if profile.place not in found:
            guess = describing(profile, items[profile.place], taken)
            found[profile.place] = guess
            taken |= {guess.role} & set(SINGLE_ROLES)
    return [found[profile.place] for profile in profiles]


def _belonging_together(raw: RawFile, profiles: Sequence[Profile]) -> dict[int, Guess]:
    texts = raw.texts.iloc[:, [profile.place for profile in profiles]]
    found: dict[int, Guess] = {}
    for run in find_rankings(texts, profiles):
        question = (
            f"Guessed: a rank from 1 to {len(run)} in a ranking of {len(run)} columns, because "
            "every row holds each rank once. Kept as a number and not as a rating: 1 is the first "
            "choice, not the worst score. Is it so?"
        )
        found |= {profiles[i].place: Guess(profiles[i], "number", question) for i in run}
    for run in find_choices(profiles):
        question = (
            f"Guessed: one of {len(run)} choices of a 'select all that apply' question. Filled "
            "means chosen; blank, not chosen or not asked, which cannot be told apart. Kept as "
            "text; nothing is computed from it. Is it so?"
        )
        found |= {profiles[i].place: Guess(profiles[i], "text", question) for i in run}
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]

"""What a study declares: tables, columns, operational figures."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from cxlab.core.characters import visible_text
from cxlab.core.metric import Metric
from cxlab.core.phrases import listed
from cxlab.survey.scales import Scale

#: What a column can be. Ratings are answers on a scale; the others describe the row.
Role = Literal[
    "outcome", "touchpoint", "rating", "segment", "number", "text", "date", "id", "customer",
    "account", "active", "left", "purchase", "value", "period", "weight", "strata", "cluster",
    "unit", "comment", "codes",
]  # fmt: skip
#: What they mean.
ROLES: dict[str, str] = {
    "outcome": "a rating of the whole, such as overall satisfaction or likelihood to recommend",
    "touchpoint": "a rating of one part of the journey",
    "rating": "any other rating; reported, and neither an outcome nor a driver",
    "segment": "which group the customer or the episode belongs to",
    "number": "a figure, such as minutes waited",
    "text": "kept as it is",
    "date": "when something happened",
    "id": "of the row; two rows may not share one",
    "customer": "id of the customer",
    "account": "id of the firm that the customer works for; its answers belong together",
    "active": "whether a customer was there at the end of the window, in a table of customers",
    "left": "day on which a customer left; empty: still there",
    "purchase": "when a customer bought, in a table of purchases",
    "value": "what a customer is worth, such as the revenue of a year",
    "period": "of the answer, where one file holds several",
    "weight": "how much the answer counts",
    "strata": "stratum of the sample",
    "cluster": "answers that belong together, such as those of one customer or one flight",
    "unit": "the team, store or agent that served the customer or employs the employee",
    "comment": "what the respondent wrote",
    "codes": "codes that people gave the comment",
}
RATING_ROLES = ("outcome", "touchpoint", "rating")
#: When something happened, a customer's leaving or purchase included; how much of something.
DATE_ROLES = ("date", "left", "purchase")
NUMBER_ROLES = ("number", "value")
#: What may be written with a decimal comma.
DECIMAL_ROLES = (*RATING_ROLES, *NUMBER_ROLES, "segment", "weight")
#: Roles that one column of a table at most may have.
SINGLE_ROLES = (
    "id", "customer", "account", "period", "weight", "strata", "cluster", "left", "purchase",
    "value", "comment",
)  # fmt: skip
#: What a theme's comments mean for the firm.
Tone = Literal["praise", "complaint", "neutral"]
#: Survey platforms and file formats that a table's ``format`` may name.
Format = Literal["plain", "qualtrics", "surveymonkey", "limesurvey", "excel", "spss", "stata"]
FORMATS: tuple[str, ...] = get_args(Format)
#: Responses that ``leave_out`` may name: trials of the questionnaire; begun and not submitted;
#: marked as spam by the platform.
KindOfResponse = Literal["preview", "unfinished", "spam"]
KINDS_OF_RESPONSE: tuple[str, ...] = get_args(KindOfResponse)
#: Left out unless something else is said: only what no respondent gave.
LEFT_OUT = ("preview",)


@dataclass(frozen=True)
class Column:
    """What one column of a table means."""

    name: str  # name in the cleaned answers
    role: str  # one of `ROLES`
    #: Header in the file, or header per period; a period without one did not ask it.
    source: str | Mapping[str, str]
    label: str  # words for reports
    stage: str = ""  # stage of the journey, for touchpoints
    scale: Scale | None = None  # for ratings
    #: Code to label, for segments; empty: the file's own text.
    values: Mapping[str, str] = field(default_factory=dict)
    #: Code to reason, the scale's and the column's own together.
    missing: Mapping[str, str] = field(default_factory=dict)
    blank: str = "no answer"  # reason of an empty cell
    format: str | None = None  # ``strftime`` format of a date; None: ISO
    decimal_comma: bool = False  # for numbers: 36,6 stands for 36.6 and 1.200 for 1200
    #: Metrics to report, the scale's unless the column declares its own.
    metrics: tuple[str, ...] = ()
    targets: Mapping[str, float] = field(default_factory=dict)  # metric to what the study wants
    #: Metric to the smallest difference that matters.
    margins: Mapping[str, float] = field(default_factory=dict)
    #: Whether its first metric with a target, or else its first, is a headline measure.
    headline: bool = False
    short: str = ""  # label where there is little room; the label itself unless declared
    owner: str = ""  # who acts on a touchpoint
    #: For clusters: the same id in two periods is the same cluster; of accounts always.
    spans_periods: bool = False
    #: For units (stores, teams, agents): each is one person, and is in no report.
    persons: bool = False
    shift: int = 0  # for ratings: stored code + shift = score. Missing codes are as stored
    #: For ratings: the lowest stored code is the best answer; scores are turned round.
    reverse: bool = False

    def header(self, period: str | None) -> str | None:
        """Header in the file of a period; None when it was not asked then."""
        if isinstance(self.source, str):
            return self.source
        return self.source.get(str(period))

    def all_metrics(self) -> list[Metric]:
        """Metrics of this column, in declared order."""
        if self.scale is None:
            return []
        return [
            self.scale.metric(self.name, m, self.targets.get(m), self.margins.get(m))
            for m in self.metrics
        ]

    def headline_metric(self) -> Metric | None:
        """The first metric with a target, else the first."""
        metrics = self.all_metrics()
        aimed = [metric for metric in metrics if metric.target is not None]
        return next(iter(aimed or metrics), None)


@dataclass(frozen=True)
class Theme:
    """What comments may be about, in the analyst's codebook."""

    name: str
    label: str  # in words
    #: Words and phrases that give it away, case aside; an asterisk stands for any ending.
    words: tuple[str, ...] = ()
    tone: str = "neutral"
    #: Period to the codes that people gave such comments in it. Codes change their meaning
    #: between waves: a period that is not named has none.
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Operational:
    """A touchpoint's operational figure, beside the score of its experience."""

    touchpoint: str  # value of the table's ``touchpoint_column``, or a name of its own
    column: str  # column of the figure: minutes waited, resolved at first contact …
    better: str  # ``lower`` or ``higher``
    target: float  # the mean figure wanted; a share from 0 to 1 where ``success`` is given
    experience: str  # rating column
    experience_target: float  # the mean rating wanted
    success: str | None = None  # where the figure is text, the value that counts as 1
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """One table of a study: its files and columns.

    ``format`` names the survey platform whose export the files are (see `read_export`);
    None: one header row. ``leave_out`` and ``sheet`` are as in `read_export`. ``beside``: a file
    with more columns of the same rows.
    """

    name: str
    label: str
    files: Mapping[str, str]
    columns: Mapping[str, Column]
    beside: str | None = None
    ignore: tuple[str, ...] = ()
    encoding: str = "utf-8"
    separator: str | None = None
    touchpoint_column: str | None = None
    format: str | None = None
    leave_out: tuple[str, ...] | None = None
    sheet: str | None = None
    operational: Mapping[str, Operational] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Column name to words, for every column of this table."""
        return {column.name: column.label for column in self.columns.values()}

    @property
    def short_labels(self) -> dict[str, str]:
        """As `labels`, short where a short label is declared."""
        return {column.name: column.short or column.label for column in self.columns.values()}

    def with_role(self, *roles: str) -> list[Column]:
        """Columns that have one of the roles, in declared order."""
        return [column for column in self.columns.values() if column.role in roles]

    def only(self, role: str) -> Column | None:
        """The column of a role that at most one may have."""
        found = self.with_role(role)
        return found[0] if found else None

    @property
    def cluster(self) -> Column | None:
        """Column of the rows that belong together: the account, else the cluster, else the customer.

        A customer who answers once is a cluster of one row, which is as without.
        """
        return self.only("account") or self.only("cluster") or self.only("customer")

    @property
    def customer(self) -> Column | None:
        """Column of who answered, the same in every period: customers, or such a cluster."""
        cluster = self.only("cluster")
        return self.only("customer") or (cluster if cluster and cluster.spans_periods else None)

    @property
    def design_notes(self) -> str:
        """Sentences about periods that lack the weight or the cluster; often empty."""
        told = {"weight": "every answer has the weight 1", "cluster": "every answer is its own"}
        notes = []
        for role, instead in told.items():
            column = self.only(role)
            without = [p for p in self.files if p and column and column.header(p) is None]
            if without:
                notes.append(f"No {role} in {', '.join(without)}: {instead} there.")
        return " ".join(notes)

    def ignores(self, header: str) -> bool:
        """Whether the study says to pass over a header of the file."""
        folded = normal_header(header)
        return any(fnmatch.fnmatchcase(folded, normal_header(p, "")) for p in self.ignore)


#: Outcomes of a study that are named where it shows itself.
MOST_OUTCOMES = 6


@dataclass(frozen=True)
class OpenQuestion:
    """A guess that somebody has still to confirm."""

    place: str  # in words, such as ``column 'parking'``
    guess: str  # what the study file says now
    question: str  # what to check
    #: Name of the column, where somebody has to decide about it by hand: its role was guessed
    #: from a name or from values alone.
    column: str = ""
    role: str = ""  # the role guessed for that column


@dataclass(frozen=True)
class Definition:
    """Everything a study file says.

    ``contact_rules`` holds each rule's days after a transactional invitation and the share
    of customers who are exempt from it at random. ``engine`` is what reads the answers
    where nobody says it; None: their size decides. ``observed_until`` is the last day on which
    a customer's leaving would have been seen; who has not bought for ``inactive_after`` days
    counts as having left, where leaving has no date. ``confidential``: answers may not be linked
    to what customers did, nor customers be listed. ``codebook`` is what comments are about.
    """

    name: str
    title: str
    source: str
    licence: str
    simulated: bool
    main: str
    min_group_size: int
    scales: Mapping[str, Scale]
    tables: Mapping[str, Table]
    contact_rules: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    open_questions: tuple[OpenQuestion, ...] = ()
    engine: str | None = None
    observed_until: str | None = None
    inactive_after: int | None = None
    confidential: bool = False
    codebook: Mapping[str, Theme] = field(default_factory=dict)

    def check_confirmed(self, path: Path) -> None:
        """Refuse a study file that still holds guesses."""
        questions = self.open_questions
        if not questions:
            return
        here = Path.cwd()
        typed = path.relative_to(here) if path.is_relative_to(here) else path
        raise ValueError(
            f"{path.name}: every guess must be confirmed before answers are read; "
            f"{len(questions)} still to confirm, first {questions[0].place}: "
            f"{questions[0].question} To see them all, run cxlab study check {typed}"
        )

    @property
    def smallest_group(self) -> str:
        """Fewest people of whom figures are shown: customers, where these are known."""
        counted = "customers" if self.tables[self.main].customer else "answers"
        return f"{self.min_group_size} {counted}"

    def in_words(self) -> dict[str, str]:
        """What the study file says of the study, its main table and the others, a line each."""
        main = self.tables[self.main]
        said = {
            "Study": f"{self.title} ({self.name})" + ("; SIMULATED" if self.simulated else ""),
            "Source": ". ".join(part.rstrip(".") for part in (self.source, self.licence) if part),
            "Answers": f"{main.label} ({main.name})",
            "Periods": _periods_in_words(main),
        }
        outcomes = main.with_role("outcome")
        for column in outcomes[:MOST_OUTCOMES]:
            said[f"Outcome {column.name}"] = _outcome_in_words(column)
        if len(outcomes) > MOST_OUTCOMES:
            said["More outcomes"] = str(len(outcomes) - MOST_OUTCOMES)
        for word, role in (("Touchpoints", "touchpoint"), ("Segments", "segment")):
            names = [column.short or column.label for column in main.with_role(role)]
            said[f"{word} ({len(names)})"] = listed(names, most=8) if names else "none"
        roles = {role: main.only(role) for role in ("weight", "strata", "cluster", "account")}
        said["Design"] = ", ".join(f"{role} {c.name}" for role, c in roles.items() if c) or "none"
        said["Confidential"] = "answers are linked to nothing else" if self.confidential else ""
        others = [name for name in self.tables if name != self.main]
        said["Other tables"] = listed(others, most=6)
        said["Contact rules"] = listed(list(self.contact_rules))
        said["Smallest group shown"] = self.smallest_group
        said["Open questions"] = str(len(self.open_questions) or "")
        return {name: words for name, words in said.items() if words}


def _periods_in_words(table: Table) -> str:
    named = [period for period in table.files if period]
    column = table.only("period")
    if not named:
        return f"in column {column.name}" if column else "one"
    return f"{len(named)}: " + (named[0] if len(named) == 1 else f"{named[0]} to {named[-1]}")


def _outcome_in_words(column: Column) -> str:
    told = [
        metric.title + (f" (target {metric.target:g})" if metric.target is not None else "")
        for metric in column.all_metrics()
    ]
    scale = f", {column.scale.range[0]:g} to {column.scale.range[1]:g}" if column.scale else ""
    return f"{column.label}{scale}: {', '.join(told)}{'; headline' if column.headline else ''}"


def normal_header(header: str, strip: str = "*") -> str:
    """Headers are compared as they are seen, case folded and without leading asterisks.

    Examples
    --------
    >>> normal_header("*RESPNUM"), normal_header("Q14FIND "), normal_header("Q13  COUNTY")
    ('respnum', 'q14find', 'q13 county')
    """
    return visible_text(visible_text(header).lstrip(strip)).casefold()

"""``cxlab …``: thin, over the same functions."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cxlab.survey.study import Study


#: Exit codes of `cxlab report`.
MOST_FAILURES = 100
DROP = 120
TROUBLE = {"unwritable": 121, "full": 122}
#: What they mean, for `--help` and the book.
EXIT_CODES = {
    "0": "Every report is there. A format that could not be made (--to) counts as no failure: the "
    "run says `without pdf: …`, the page's checks name it, and the next run tries again.",
    f"1 to {MOST_FAILURES}": f"So many reports failed ({MOST_FAILURES}: or more); the others are there.",
    "2": "The command itself is wrong, and nothing has run, where the last line starts with `Error:`.",
    f"{DROP}": "With --fail-on-drop: no report failed, and a score fell significantly; `changes.json` "
    "beside the report says which.",
    f"{TROUBLE['unwritable']}": "The folder of the reports, or a part of it, cannot be written to; "
    "reports may be missing.",
    f"{TROUBLE['full']}": "The disk is full; reports may be missing. Earlier reports are still whole.",
}
#: Answers that a run prints.
MOST_ANSWERS = 24


def one_sentence(command: Callable[..., Any]) -> Callable[..., Any]:
    """A user's mistake ends with its sentence and exit code 2, not with a traceback."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (ValueError, TypeError, FileNotFoundError) as error:
            raise click.UsageError(str(error)) from error
        except OSError as error:
            full = "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            click.ClickException(str(error)).show()
            raise SystemExit(TROUBLE.get(getattr(error, "trouble", full), 1)) from error

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cxlab")
def main() -> None:
    """Open research tools for customer experience."""


@main.command(
    short_help="Make the reports of a study.",
    epilog="\n\n".join(f"Exit code {code}: {means}" for code, means in EXIT_CODES.items()),
)
@click.argument("study", required=False)
@click.option(
    "--period",
    "periods",
    multiple=True,
    metavar="PERIOD",
    help="One of the study's periods, or latest; may be repeated. Default: all together.",
)
@click.option("--all-periods", is_flag=True, help="Every period on its own.")
@click.option(
    "--each",
    multiple=True,
    metavar="SEGMENT",
    help="Reports for every group of SEGMENT; repeated: for every combination.",
)
@click.option(
    "--notebook",
    "notebooks",
    multiple=True,
    metavar="NAME",
    help="Notebook by name, topic or path; may be repeated. Default: all whose needs are met.",
)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only answers with this value; may be repeated.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other parameter that a notebook declares.",
)
@click.option("--to", "formats", multiple=True, metavar="FORMAT", help="Also as xlsx, pdf or pptx.")
@click.option(
    "--timeout",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="Longest that a cell may run; default: 1800. A report that takes longer fails.",
)
@click.option("--plan", metavar="FILE", help="A reports.toml that lists reports, instead of STUDY.")
@click.option(
    "--output", default="reports", metavar="FOLDER", show_default=True, help="Of all reports."
)
@click.option(
    "--jobs", "n_jobs", type=click.IntRange(1), metavar="N", help="Processes; default: all cores."
)
@click.option("--force", is_flag=True, help="Make also what is unchanged.")
@click.option(
    "--backend", type=click.Choice(["local", "dask"]), default="local", show_default=True,
    help="This machine, or a Dask cluster.",
)  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster, for --backend dask.")
@click.option("--fail-on-drop", is_flag=True, help="Exit code 120 if a score fell significantly.")
@one_sentence
def report(
    study: str | None,
    periods: tuple[str, ...],
    all_periods: bool,
    each: tuple[str, ...],
    notebooks: tuple[str, ...],
    conditions: tuple[str, ...],
    settings: tuple[str, ...],
    formats: tuple[str, ...],
    timeout: int | None,
    plan: str | None,
    output: str,
    fail_on_drop: bool,
    **options: Any,
) -> None:
    """Make the reports of STUDY, a name (demo, sfo) or the path of a study file."""
    # before NumPy is loaded: what is hidden together takes many small matrices, on which
    # several threads wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from cxlab.report.factory.requests import Request, read_plan
    from cxlab.report.factory.runs import run_requests
    from cxlab.report.parameters import CELL_SECONDS

    if (study is None) == (plan is None):
        raise ValueError("`STUDY` or `--plan` must be given, and only one of them.")
    if all_periods and periods:
        raise ValueError("`--period` must be left out with `--all-periods`, which takes every one.")
    if plan is not None:
        _check_left_out(
            {"--period": periods, "--all-periods": all_periods, "--each": each,
             "--notebook": notebooks, "--where": conditions, "--set": settings,
             "--to": formats, "--timeout": timeout}
        )  # fmt: skip
        requests = read_plan(plan)
    else:
        requests = [
            Request(
                study=study or "",
                periods=periods or (None,),
                all_periods=all_periods,
                each=each,
                where=_pairs("--where", conditions),
                notebooks=notebooks,
                settings=_pairs("--set", settings),
                formats=formats,
                timeout=timeout or CELL_SECONDS,
            )
        ]
    run = run_requests(requests, output=output, tell=_tell, **options)
    _print_run(run)
    if run.trouble:
        raise SystemExit(TROUBLE[run.trouble])
    if run.failures:
        raise SystemExit(min(len(run.failures), MOST_FAILURES))
    if fail_on_drop and run.drops:
        raise SystemExit(DROP)


def _check_left_out(options: dict[str, Any]) -> None:
    """Refuse options that a plan's entries say."""
    given = [option for option, value in options.items() if value]
    if given:
        raise ValueError(
            f"`{given[0]}` must be left out with `--plan`, whose entries say it. "
            "Write it into the plan."
        )


def _print_run(run: Any) -> None:
    """What a run left out and hid, what it found, and where its reports are."""
    from cxlab.core.messages import one_line

    answers = [outcome.answer for outcome in run.outcomes if outcome.answer]
    if len(answers) > MOST_ANSWERS:
        more = len(answers) - MOST_ANSWERS
        answers = [*answers[:MOST_ANSWERS], f"{more} more: see the index"]
    for word, lines in (
        ("left out", run.left_out), ("hidden", run.hidden), ("answer", answers), ("drop", run.drops)
    ):  # fmt: skip
        for line in lines:
            click.echo(f"{word}: {one_line(line)}")
    click.echo(f"{run}\nindex:  {run.index}")


def _tell(outcome: Any) -> None:
    """One line as soon as a report's state is known, above the progress bar."""
    from tqdm import tqdm

    with tqdm.external_write_mode():
        click.echo(str(outcome), err=outcome.state == "failed")


@main.command(short_help="Make a report again and compare every file.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--timeout", type=click.IntRange(1), default=1800, metavar="SECONDS", show_default=True,
    help="Longest that a cell may run.",
)  # fmt: skip
@one_sentence
def verify(folder: str, timeout: int) -> None:
    """Make the report in FOLDER again and compare every file; says what differs.

    The exit code is 0 where all is the same (also to 1e-9, on another processor), 1 where
    something differs.
    """
    from cxlab.core.messages import one_line
    from cxlab.report.verify import verify_report

    found = verify_report(folder, timeout=timeout)
    for line in str(found).splitlines():
        click.echo(one_line(line))
    if not found.same:
        raise SystemExit(1)


@main.group()
def study() -> None:
    """Study files: what the columns of a survey mean."""


@study.command("draft", short_help="Write a study file, with guesses to confirm.")
@click.argument("files", metavar="FILE | PERIOD=FILE ...", nargs=-1, required=True)
@click.option("--output", help="Study file to write; default: FILE.study.toml beside FILE.")
@click.option("--force", is_flag=True, help="Replace a study file that is already there.")
@click.option("--format", metavar="NAME", help="Platform of FILE, if it is not recognised.")
@click.option("--encoding", metavar="NAME", help="Of a text file, if it is not found rightly.")
@click.option("--sheet", metavar="NAME", help="Of a workbook, if several hold something.")
@one_sentence
def study_draft(
    files: tuple[str, ...], output: str | None, force: bool, **options: str | None
) -> None:
    """Write a study file for FILE, or for a file a wave, with guesses to confirm.

    FILE is a survey platform's export (Qualtrics, SurveyMonkey, LimeSurvey), SPSS (.sav),
    Stata (.dta), Excel (.xlsx), .csv, .tsv or .parquet; which, is recognised.
    """
    from cxlab.survey.drafting import draft_study, draft_waves

    told = partial(click.echo, err=True)
    if len(files) == 1 and Path(files[0]).is_file():
        draft = draft_study(files[0], output, force=force, progress=told, **options)
    else:
        draft = draft_waves(_waves(files), output, force=force, progress=told, **options)
    export = draft.export
    rows, columns = export.answers.shape
    click.echo(f"read:    {export.platform}, {rows:,} responses, {columns} columns")
    for note in export.notes:
        click.echo(f"         {note}")
    click.echo(f"drafted: {draft.path}")
    click.echo(draft.summary)
    click.echo(f"next:    read it, correct it, then cxlab study check {draft.path} --confirm-all")


def _waves(files: tuple[str, ...]) -> dict[str, Path]:
    """Period to file, from PERIOD=FILE."""
    given = [item.partition("=") for item in files]
    if len(files) == 1 and not given[0][1]:
        raise FileNotFoundError(f"`FILE` must be a file; got '{files[0]}', which isn't there.")
    for (period, _, file), item in zip(given, files, strict=True):
        if not period or not file:
            raise ValueError(
                f"several files must be given as PERIOD=FILE, as in 2025=answers.csv; got '{item}'."
            )
        if not Path(file).is_file():
            raise FileNotFoundError(f"`FILE` of {period} must be a file; got '{file}'.")
    if len({period for period, _, _ in given}) < len(given):
        raise ValueError(f"each period must have one file; got {', '.join(files)}.")
    return {period: Path(file) for period, _, file in given}


@study.command("check", short_help="Say what is to be confirmed, or what tables hold.")
@click.argument("name_or_path")
@click.option("--period", help="Only this period.")
@click.option(
    "--confirm-all", is_flag=True, help="Accept the guesses for which the file gives evidence."
)
@one_sentence
def study_check(name_or_path: str, period: str | None, confirm_all: bool) -> None:
    """Say what is still to be confirmed and, once nothing is, what every table holds."""
    from cxlab.survey.datasets import find_study
    from cxlab.survey.drafting import accept_guesses
    from cxlab.survey.study import load_study

    loaded = load_study(name_or_path)
    if confirm_all and loaded.definition.open_questions:
        accepted = accept_guesses(find_study(name_or_path))
        click.echo(f"{accepted} guesses accepted in {loaded.path.name}")
        loaded = load_study(name_or_path)
    if loaded.definition.open_questions:
        _show_questions(loaded, name_or_path)
        raise SystemExit(1)
    _show_tables(loaded, period)


@study.command("confirm")
@click.argument("name_or_path")
@click.argument("roles", metavar="COLUMN=ROLE ...", nargs=-1, required=True)
@one_sentence
def study_confirm(name_or_path: str, roles: tuple[str, ...]) -> None:
    """Decide what columns of a study file are.

    ROLE is a role of study files, `nps` (an outcome that is reported as an NPS) or `ignore`.
    """
    from cxlab.survey.datasets import find_study
    from cxlab.survey.drafting import settle_columns

    given = [item.rpartition("=") for item in roles]
    for (column, _, role), item in zip(given, roles, strict=True):
        if not column or not role:
            raise ValueError(f"`COLUMN=ROLE` must be as in overall=outcome; got '{item}'.")
    settle_columns(find_study(name_or_path), {column: role for column, _, role in given})
    for column, _, role in given:
        click.echo(f"{column}: {role}")


def _show_questions(loaded: Study, name_or_path: str) -> None:
    questions = loaded.definition.open_questions
    click.echo(
        f"{loaded.path.name}: {len(questions)} {'guess' if len(questions) == 1 else 'guesses'} to confirm"
    )
    for question in questions:
        click.echo(f"\n{question.place}: {question.guess}".rstrip(": "))
        click.echo(click.wrap_text(question.question, 92, "    ", "    "))
    by_hand = [question for question in questions if question.column]
    if len(by_hand) < len(questions):
        click.echo(
            f"\nCorrect {loaded.path.name} and delete the `confirm` lines that are settled, or "
            "accept the guesses for which the file gives evidence: cxlab study check "
            f"{name_or_path} --confirm-all"
        )
    if by_hand:
        roles = " ".join(shlex.quote(f"{q.column}={q.role}") for q in by_hand)
        click.echo(
            "\nGuessed from a name or from values alone, so decide yourself "
            "(another role, nps or ignore):\n"
            f"cxlab study confirm {name_or_path} {roles}"
        )


def _show_tables(loaded: Study, period: str | None) -> None:
    from cxlab.survey.check import check_answers, periods_and_rows

    click.echo(loaded.about)
    for name in loaded.definition.tables:
        answers = loaded.read(name, period=period if name == loaded.definition.main else None)
        periods, rows = periods_and_rows(answers)
        click.echo(f"\n{name}: {rows:,} rows, {len(periods)} period(s)")
        table = check_answers(answers, loaded, name)
        if len(table):
            shown = table.drop(columns=["label", "out_of_range"])
            click.echo(shown.to_string(index=False, float_format="%.3f"))


@main.group()
def data() -> None:
    """Public data, and clean copies of a study's answers."""


@data.command("list")
@one_sentence
def data_list() -> None:
    """List public data: files, licence, size, and where each is."""
    from cxlab.survey.datasets import datasets, file_state

    for dataset in datasets():
        size = f"{dataset.size / 1e6:.1f} MB" if dataset.size else "size unknown"
        click.echo(f"{dataset.name}: {dataset.title}")
        click.echo(f"  {dataset.publisher}; {dataset.licence}; {len(dataset.files)} files, {size}")
        for one in dataset.files:
            click.echo(f"  {one.file}: {file_state(dataset, one)}")


@data.command("clear")
@click.argument("study")
@one_sentence
def data_clear(study: str) -> None:
    """Remove the clean copies of STUDY's answers from the cache folder."""
    from cxlab.survey.store import clear, study_folder
    from cxlab.survey.study import load_study

    loaded = load_study(study)
    folder = study_folder(loaded.path, loaded.name)
    size = clear(loaded.path, loaded.name)
    click.echo(f"removed: {folder}, {size / 1e6:,.1f} MB" if size else f"nothing in {folder}")


@data.command("fetch", short_help="Fetch public data, checked by SHA-256.")
@click.argument("name")
@one_sentence
def data_fetch(name: str) -> None:
    """Fetch the public data NAME (sfo) into the cache folder, checked by SHA-256."""
    from cxlab.survey.datasets import fetch

    for path in fetch(name):
        click.echo(f"here: {path}")


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"`{option}` must be NAME=VALUE; got '{text}'.")
        if name.strip() in pairs:
            raise ValueError(
                f"`{option}` must name '{name.strip()}' once; got it twice. "
                "Make one report for each value."
            )
        pairs[name.strip()] = value
    return pairs

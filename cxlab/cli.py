"""``cxlab …``: thin, over the same functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click


def one_sentence(command: Callable[..., Any]) -> Callable[..., Any]:
    """A user's mistake ends with its sentence and exit code 2, not with a traceback."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (ValueError, TypeError, FileNotFoundError) as error:
            raise click.UsageError(str(error)) from error

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cxlab")
def main() -> None:
    """Open research tools for customer experience."""


@main.command()
@click.argument("study")
@click.option("--period", help="One of the study's periods; default: all together.")
@click.option(
    "--notebook",
    "notebooks",
    multiple=True,
    metavar="NAME",
    help="Notebook by name, topic or path; may be repeated. Default: all.",
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
@click.option("--output", default="reports", show_default=True, help="Folder of all reports.")
@one_sentence
def report(
    study: str,
    period: str | None,
    notebooks: tuple[str, ...],
    conditions: tuple[str, ...],
    settings: tuple[str, ...],
    output: str,
) -> None:
    """Make the reports of STUDY, a name (demo, sfo) or the path of a study file."""
    from cxlab.report.runs import run_reports

    run = run_reports(
        study,
        period=period,
        notebooks=notebooks,
        where=_pairs("--where", conditions) or None,
        settings=_pairs("--set", settings),
        output=output,
    )
    for failure in run.failures:
        click.echo(f"failed: {failure}", err=True)
    for page in run.pages:
        click.echo(f"report: {page}")
    click.echo(f"index:  {run.index}")
    if run.failures:
        raise SystemExit(1)


@main.group()
def study() -> None:
    """Study files: what the columns of a survey mean."""


@study.command("check")
@click.argument("name_or_path")
@click.option("--period", help="Only this period.")
@one_sentence
def study_check(name_or_path: str, period: str | None) -> None:
    """Read every table of a study and say what it holds."""
    from cxlab.survey.check import check_answers
    from cxlab.survey.study import load_study

    loaded = load_study(name_or_path)
    click.echo(loaded.about)
    for name in loaded.definition.tables:
        answers = loaded.read(name, period=period if name == loaded.definition.main else None)
        click.echo(f"\n{name}: {len(answers):,} rows, {answers['period'].nunique()} period(s)")
        table = check_answers(answers, loaded, name)
        if len(table):
            shown = table.drop(columns=["label", "out_of_range"])
            click.echo(shown.to_string(index=False, float_format="%.3f"))


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"`{option}` must be NAME=VALUE; got '{text}'.")
        pairs[name.strip()] = value
    return pairs

"""The command line, from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from cxlab.cli import EXIT_CODES, main
from docs.book.markdown import code, page, table


def commands(
    group: click.Group = main, before: str = "cxlab"
) -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name."""
    for name, command in group.commands.items():
        whole = f"{before} {name}"
        if isinstance(command, click.Group):
            yield from commands(command, whole)
        else:
            yield whole, command


def options(command: click.Command) -> list[tuple[str, str]]:
    """Options of a command, and what each does."""
    context = click.Context(command)
    known = [one for one in command.params if isinstance(one, click.Option)]
    records = [record for one in known if (record := one.get_help_record(context))]
    return [(code(names), words) for names, words in records]


def usage(whole: str, command: click.Command) -> str:
    """How a command is written."""
    pieces = command.collect_usage_pieces(click.Context(command, info_name=whole))
    return " ".join([whole, *pieces])


def command_line_page() -> str:
    """Every command with its arguments, options and exit codes."""
    parts = ["`cxlab COMMAND --help` prints the same."]
    for whole, command in commands():
        told = inspect.cleandoc(command.help or "").replace("\n\n", "\0").replace("\n", " ")
        parts += [f"## {whole}", f"```\n{usage(whole, command)}\n```", *told.split("\0")]
        if options(command):
            parts.append(table(["option", "does"], options(command)))
        if whole == "cxlab report":
            parts += ["### Exit codes", exit_codes()]
    return page("The command line", *parts)


def exit_codes() -> str:
    """Exit codes of `cxlab report`."""
    return table(["exit code", "means"], EXIT_CODES.items())

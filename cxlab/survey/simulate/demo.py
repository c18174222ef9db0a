"""The embedded demo data: a simulated programme written to files."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd

from cxlab.survey.simulate.programme import Programme, simulate_programme

DEMO_CUSTOMERS = 2500
DEMO_SEED = 20240101
DEMO_PERIODS = 8


def write_demo(folder: str | Path) -> list[Path]:
    """Write the demo programme's four files, the same bytes every time.

    Parameters
    ----------
    folder : str or Path
        Made if missing; files of the same names are replaced.

    Returns
    -------
    list of Path
        relationship.csv, transactional.csv, invitations.csv.gz, customers.csv.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    programme = simulate_programme(DEMO_CUSTOMERS, seed=DEMO_SEED, periods=DEMO_PERIODS)
    written = []
    for name, text in _files(programme).items():
        path = folder / name
        data = text.encode()
        # a gzip file carries its time and name: both fixed, or the bytes would differ
        path.write_bytes(_gzip(data) if name.endswith(".gz") else data)
        written.append(path)
    return written


def _files(programme: Programme) -> dict[str, str]:
    return {
        "relationship.csv": _csv(programme.relationship, "%Y-%m-%d"),
        "transactional.csv": _csv(programme.transactional, "%Y-%m-%dT%H:%M"),
        "invitations.csv.gz": _csv(programme.invitations, "%Y-%m-%dT%H:%M"),
        "customers.csv": _csv(programme.customers, "%Y-%m-%d"),
    }


def _csv(frame: pd.DataFrame, dates: str) -> str:
    ratings = frame.select_dtypes("float").columns.difference(
        ["weight", "wait_minutes", "probability", "yearly_spend"]
    )
    whole = frame.astype(dict.fromkeys(ratings, "Int64"))
    return whole.to_csv(index=False, date_format=dates, lineterminator="\n")


def _gzip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=9) as file:
        file.write(data)
    return buffer.getvalue()

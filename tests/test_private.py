"""Files with ids, persons or comments are their owner's, also where a wider one stood before."""

import os

import pandas as pd
import pytest

from cxlab.stats.actions.calls import CallList
from cxlab.stats.teams.units import UnitResult
from cxlab.stats.verbatims.coding import CodingSheet

ROWS = pd.DataFrame({"customer": ["C1"], "comment": ["fine"]})


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize(
    ("kind", "rows", "name"),
    [(CallList, "calls", "a.csv"), (UnitResult, "every", "a.csv"),
     (CodingSheet, "rows", "a.csv"), (CodingSheet, "rows", "a.xlsx")],
)  # fmt: skip
def test_a_file_that_is_there_becomes_its_owners(tmp_path, kind, rows, name):
    path = tmp_path / name
    path.write_text("older")
    path.chmod(0o644)
    given = object.__new__(kind)
    object.__setattr__(given, rows, ROWS)
    given.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"older" not in path.read_bytes()

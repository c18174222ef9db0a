"""``python -m cxlab.survey.simulate FOLDER`` writes the demo data."""

import sys

from cxlab.survey.simulate.programme import write_demo

if len(sys.argv) != 2:
    sys.exit("usage: python -m cxlab.survey.simulate FOLDER")
for path in write_demo(sys.argv[1]):
    print(f"{path.stat().st_size:>9,} {path.name}")

"""Customers whose truth is known: a simulated programme to prove the methods on.

Nothing here is a measurement. `simulate_programme` draws customers, their journeys, both
surveys and the contact rules between them; `Programme.truth` holds what the estimators of
`cxlab.stats` are asked to find. `write_demo` writes the embedded demo data.
"""

from benchmarks.simulate.mechanisms import Mechanisms
from benchmarks.simulate.programme import Programme, simulate_programme, write_demo

__all__ = ["Mechanisms", "Programme", "simulate_programme", "write_demo"]

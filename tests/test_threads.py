import threading

import numpy as np
import pandas as pd
import pytest
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController, threadpool_limits

from cxlab.core.threads import one_blas_thread
from cxlab.stats.drivers import analysis, drivers


def blas_threads():
    """Threads of each BLAS in the process."""
    pools = ThreadpoolController().info()
    return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        if set(blas_threads()) != {2}:
            pytest.skip("this BLAS takes one thread only")
        yield


class TestOneThread:
    def test_every_blas_has_one_thread_inside_and_its_own_afterwards(self, two_threads):
        inside = one_blas_thread(blas_threads)()
        assert len(inside) >= 2
        assert set(inside) == {1}
        assert set(blas_threads()) == {2}

    def test_an_error_gives_the_threads_back(self, two_threads):
        @one_blas_thread
        def failing():
            raise ValueError("wrong")

        with pytest.raises(ValueError, match="wrong"):
            failing()
        assert set(blas_threads()) == {2}

    def test_the_last_of_several_calls_gives_the_threads_back(self, two_threads):
        started, first_is_over = threading.Event(), threading.Event()
        seen = []

        @one_blas_thread
        def long():
            started.set()
            first_is_over.wait(120)
            seen.extend(blas_threads())

        thread = threading.Thread(target=long)
        thread.start()
        started.wait(120)
        one_blas_thread(lambda: one_blas_thread(blas_threads)())()
        assert set(blas_threads()) == {1}
        first_is_over.set()
        thread.join()
        assert set(seen) == {1}
        assert set(blas_threads()) == {2}

    def test_drivers_are_worked_out_on_one_thread(self, two_threads, monkeypatch):
        seen = []

        def watched(*args):
            seen.extend(blas_threads())
            return varying(*args)

        varying = analysis._varying
        monkeypatch.setattr(analysis, "_varying", watched)
        generator = np.random.default_rng(0)
        frame = pd.DataFrame(generator.normal(size=(50, 3)), columns=["a", "b", "y"])
        drivers(frame, "y", ["a", "b"], replicates=0)
        assert set(seen) == {1}

    def test_a_decorated_function_keeps_its_name_and_words(self):
        assert drivers.__name__ == "drivers"
        assert "What goes with an outcome" in drivers.__doc__

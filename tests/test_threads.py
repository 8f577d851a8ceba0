import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from neurosim.numerics import single_blas_thread


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_runs_on_one_thread_inside_the_block_and_as_before_after_it():
    assert np.ones((2, 2)).dot(np.ones((2, 2))).sum() == 8
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with single_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == before

"""Kernels: plain functions over arrays, compiled by numba on first use. Only a process that trains imports numba."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.models.base import CannotTrain

# Two Python threads in numba's default threading layer at once abort the process. A Celery child trains after it was
# forked and its parent never does, so no layer that a fork would break is alive before the fork.
_one_at_a_time = threading.RLock()

prange: Any = range  # what a kernel says; compiled, it is numba.prange, and uncompiled it still runs


def lazy_njit(*, parallel: bool = False, fastmath: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function with numba when it is first called, and keep the result on disk where that is possible.

    parallel: loops over `numba.prange` run on all threads; such kernels never run two at once.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        kernel: list[Callable[..., Any]] = []

        def call(*arguments: Any) -> Any:
            with _one_at_a_time:
                if not kernel:
                    kernel.append(_compile(function, parallel=parallel, fastmath=fastmath))
                return kernel[0](*arguments)

        return call

    return decorate


@contextmanager
def numba_threads(count: int) -> Iterator[None]:
    """Kernels on so many threads, 0 for all cores; what it was before is restored."""
    numba = _numba()
    before = numba.get_num_threads()
    numba.set_num_threads(min(count or before, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    numba = _numba()
    function.__globals__["prange"] = numba.prange
    try:
        return numba.njit(function, cache=True, nogil=True, **options)
    except RuntimeError:  # no folder to keep it in can be written to
        return numba.njit(function, nogil=True, **options)


def _numba() -> Any:
    try:
        import numba
    except ImportError as error:
        raise CannotTrain(f"numba cannot be imported ({error})") from error
    return numba

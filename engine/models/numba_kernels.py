"""Compile plain functions over arrays with Numba on first use, so that only a process that trains imports Numba."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.models.base import CannotTrain

# Numba's default threading layer aborts the process when two Python threads use it at once. Forking after its start
# would break it too, but a Celery worker trains only in child processes, after the fork.
_kernel_lock = threading.RLock()

prange: Any = range  # kernels use this name: it becomes numba.prange on compilation, and uncompiled kernels still run


def lazy_njit(*, parallel: bool = False, fastmath: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function to be compiled with Numba when it is first called; the result is cached on disk if possible.

    Only one such function runs at a time in a process.

    Args:
        parallel: run loops over `prange` on all threads.
        fastmath: allow the compiler to reorder floating-point operations.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        kernel: list[Callable[..., Any]] = []

        def call(*arguments: Any) -> Any:
            with _kernel_lock:
                if not kernel:
                    kernel.append(_compile(function, parallel=parallel, fastmath=fastmath))
                return kernel[0](*arguments)

        return call

    return decorate


@contextmanager
def numba_threads(count: int) -> Iterator[None]:
    """Run kernels on `count` threads, 0 for all cores, within the context."""
    numba = _import_numba()
    previous = numba.get_num_threads()
    numba.set_num_threads(min(count or previous, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(previous)


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    numba = _import_numba()
    function.__globals__["prange"] = numba.prange
    try:
        return numba.njit(function, cache=True, nogil=True, **options)
    except RuntimeError:  # no writable folder for the cache
        return numba.njit(function, nogil=True, **options)


def _import_numba() -> Any:
    try:
        import numba
    except ImportError as error:
        raise CannotTrain(f"numba: cannot be imported ({error}); install requirements.txt") from error
    return numba

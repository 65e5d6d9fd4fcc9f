"""How many threads the kernels use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backend import Late

if TYPE_CHECKING:
    from .simd import threads
else:
    threads = Late("binnet_kernels.simd.threads")


def set_num_threads(n: int) -> None:
    """Use ``n`` threads in every kernel from now on, for all Python threads.

    With 1, kernels run on a serial path that never enters the thread pool. Results are the same bits for any ``n``.

    Parameters
    ----------
    n : int
        1 to the number of threads that Numba may start (``NUMBA_NUM_THREADS``, by default the number of cores); in a
        process forked after Numba's pool has started 1 is all there is.

    Raises
    ------
    ValueError
        For anything else.
    """
    threads.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that kernels use; the number of cores unless set."""
    return threads.get_num_threads()

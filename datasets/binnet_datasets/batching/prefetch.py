"""Computation of results ahead of time in background threads, returned in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def prefetch(work: Callable[[int], T], tasks: Iterable[int], workers: int) -> Generator[T, None, None]:
    """Yield ``work(task)`` for each task in turn, computed ahead of the consumer.

    At most ``workers + 2`` results are being computed or waiting, in addition to the consumer's. Python threads suffice
    because NumPy and Pillow release the interpreter lock. When the consumer leaves the loop for any reason, each thread
    finishes its present task and ends.

    Parameters
    ----------
    work : called with a task, from several threads at once
    tasks : in the order of the results
    workers : number of threads; 0 computes in the calling thread when the consumer asks

    Raises
    ------
    Exception
        The exception that ``work`` raised, at the position of its task.
    """
    if not workers:
        yield from map(work, tasks)
        return
    from concurrent.futures import Future, ThreadPoolExecutor  # takes longer to import than small batches to make

    left = iter(tasks)
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="binnet-prefetch")
    try:
        # Two results beyond the threads' own bound the memory, and cover a slow task.
        pending.extend(pool.submit(work, task) for task in islice(left, workers + 2))
        while pending:
            yield pending.popleft().result()  # not kept in a variable: the consumer decides how long it lives
            pending.extend(pool.submit(work, task) for task in islice(left, 1))
    finally:
        pool.shutdown(cancel_futures=True)

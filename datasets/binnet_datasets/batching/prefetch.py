"""Work done ahead in background threads and handed over in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def prefetch(work: Callable[[int], T], tasks: Iterable[int], workers: int) -> Generator[T, None, None]:
    """Yield ``work(task)`` for each task in turn, computed ahead of the consumer.

    At most ``workers + 2`` results are under way or waiting, besides the one the consumer holds. Python threads suffice
    where the work is NumPy's and Pillow's, which let other threads run meanwhile. Leaving the loop, whatever
    the reason, ends the threads: each finishes the task it is at and starts no other.

    Parameters
    ----------
    work : called with a task, from several threads at once
    tasks : in the order of the results
    workers : number of threads; 0 computes in the calling thread when the consumer asks

    Raises
    ------
    Exception
        What ``work`` raises, at its turn.
    """
    if not workers:
        yield from map(work, tasks)
        return
    from concurrent.futures import Future, ThreadPoolExecutor  # takes longer to import than small batches to make

    left = iter(tasks)
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="binnet-prefetch")
    try:
        pending.extend(pool.submit(work, task) for task in islice(left, workers + 2))
        while pending:
            yield pending.popleft().result()  # not kept in a variable: the consumer decides how long it lives
            pending.extend(pool.submit(work, task) for task in islice(left, 1))
    finally:
        pool.shutdown(cancel_futures=True)

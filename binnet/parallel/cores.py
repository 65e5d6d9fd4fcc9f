"""The share of a host's cores that each worker on it gets."""

from __future__ import annotations

from collections.abc import Sequence, Set
from fractions import Fraction


def threads_for(affinities: Sequence[Set[int]], own: int) -> int:
    """Number of kernel threads of one worker, so that the workers of a host together do not exceed its cores.

    Launchers differ: MPICH binds no process, so that all sets are equal and are divided; Open MPI binds each process
    to a core, so that the sets are disjoint and each is used whole. Both follow from one rule, which also holds for
    sets that overlap in part: each core is shared equally by the workers that may use it.

    Parameters
    ----------
    affinities
        For each worker on this host the numbers of the cores that it may use, as :func:`binnet_system.machine.cores`
        gives them.
    own
        Index of this worker in ``affinities``.

    Returns
    -------
    int
        At least 1.
    """
    # Fractions, because three times a third must be a whole core.
    share = sum(Fraction(1, sum(core in cores for cores in affinities)) for core in affinities[own])
    return max(1, int(share))

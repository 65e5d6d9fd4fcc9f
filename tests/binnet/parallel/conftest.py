"""Fixtures of trainings by several workers."""

from mpi_trainings import alone as alone
from mpi_trainings import train as train

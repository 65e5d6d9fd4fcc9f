"""Modules: what has parameters, a mode (training or evaluation) and a place in the network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..context import state
from ..watch import Memory
from . import init

Array = npt.NDArray[Any]


class Parameter(Tensor):
    """A tensor that is learned.

    Parameters
    ----------
    data
        Initial values; copied, unless it is the outline of some (:func:`binnet.nn.init.outline`).
    binary
        Whether the network computes with its signs only.
    clip
        The optimiser keeps the values within ±clip; None for no limit.
    decay
        Whether weight decay applies.
    by_signs
        Whether signs and the mean magnitude of each filter are all that the network takes from the values.
    """

    def __init__(
        self,
        data: Any,
        *,
        binary: bool = False,
        clip: float | None = None,
        decay: bool = True,
        by_signs: bool = False,
    ) -> None:
        values = data if isinstance(data, np.ndarray) and init.is_outline(data) else np.array(data, np.float32)
        super().__init__(values, requires_grad=True)
        self.memory = Memory(exposed=False)  # the values were copied, so nobody else can change them
        self.binary, self.clip, self.decay, self.by_signs = binary, clip, decay, by_signs

    def _in_place(self, other: Any) -> NoReturn:
        raise TypeError("a parameter += … would become a tensor that nothing trains: change its array, p.data += …")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __imatmul__ = _in_place


class LayerError(ValueError):
    """What went wrong inside a layer, beginning with the layer's path and class."""


class Loaded(NamedTuple):
    """What :meth:`Module.load_state_dict` did, by names.

    Attributes
    ----------
    loaded
        Copied into the module.
    missing
        In the module only, and left as they were.
    unexpected
        In the state only, and ignored.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


class Module:
    """Base class of layers and networks.

    Parameters and child modules are found among the attributes, in the order in which they were set; arrays that belong
    to the state without being learned are named in ``buffer_names``. Subclasses write ``forward``. Several modules in a
    row go into :class:`binnet.nn.ModuleList`; in a plain list they would not be found, so that is a TypeError.

    Attributes
    ----------
    training : bool
    path : str
        The name inside the network, such as ``"block1.conv2"``, which setting the attribute gives; empty for the root.
    """

    buffer_names: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.training = True
        self.path = ""

    def __setattr__(self, name: str, value: Any) -> None:
        _refuse_hidden(self, name, value)
        if isinstance(value, Module | Parameter) and (not name.isprintable() or not name or set(name) & {".", "/"}):
            rule = "files take printable names without dots and slashes"
            raise ValueError(f"{name!r} cannot be the name of a {type(value).__name__}: {rule}")
        if isinstance(value, Module):
            if "path" not in vars(self):
                raise TypeError(f"{type(self).__name__} must call super().__init__() before it sets {name}")
            # Paths of all below change with it; the same walk finds a module that would contain itself.
            for path, module in value.named_modules(_join(self.path, name)):
                if module is self:
                    raise ValueError(f"{self.label} cannot be a part of itself, as {name} would make it")
                module.path = path
        super().__setattr__(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the result; to be overridden."""
        raise NotImplementedError

    def __call__(self, x: Tensor | Array) -> Tensor:
        """Run :meth:`forward`; LayerError (a ValueError) naming the layer when it refuses its input."""
        x = x if isinstance(x, Tensor) else Tensor(x)
        recorder = state.recorder  # while a graph is traced, calls are listed with the module that makes them
        with self.naming_errors(), nullcontext() if recorder is None else recorder.running(self):
            return self.forward(x)

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        """Within this block a ValueError becomes a LayerError that names this layer, unless one inside was named."""
        try:
            yield
        except LayerError:
            raise  # the innermost layer has named itself
        except ValueError as error:
            raise LayerError(f"{self.label}: {error}") from error

    @property
    def label(self) -> str:
        """Path and class, to name this module in messages."""
        name = type(self).__name__
        return f"{self.path} ({name})" if self.path else name

    def expect(self, shape: tuple[int, ...], *axes: str | int) -> None:
        """Raise LayerError unless an input's ``shape`` has these axes: a word for any length, a number for that one."""
        fits = len(shape) == len(axes) and all(isinstance(a, str) or a == n for a, n in zip(axes, shape, strict=False))
        if not fits:
            raise LayerError(f"{self.label}: expected input ({', '.join(map(str, axes))}), got {shape}")

    def children(self) -> Iterator[tuple[str, Module]]:
        """Direct child modules with their names."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under ``prefix``) and all below it, depth first; TypeError when some are hidden in a list."""
        for name, value in vars(self).items():
            _refuse_hidden(self, name, value)
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(_join(prefix, name))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its full name."""
        # A parameter that several modules share has the name of its first place, and is updated once.
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(path, name), value

    def parameters(self) -> list[Parameter]:
        """All parameters."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Arrays of the state that are not learned, such as running statistics."""
        for path, module in self.named_modules():
            for name in module.buffer_names:
                yield _join(path, name), getattr(module, name)

    def buffers(self) -> list[Array]:
        """All buffers."""
        return [buffer for _, buffer in self.named_buffers()]

    def train(self, mode: bool = True) -> Self:
        """Switch to training (or, with False, to evaluation); returns the module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation: running statistics, no dropout, nothing is changed by a call."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by name; what training needs to go on, and real weights only."""
        return {name: array.copy() for name, array in self._state().items()}

    def load_state_dict(self, state: dict[str, Array], strict: bool = True) -> Loaded:
        """Copy arrays into the parameters and buffers; all is checked before anything is written.

        Parameters
        ----------
        state
            Arrays by name.
        strict
            False leaves out names that only one side has; shapes always have to agree, and one name at least.

        Returns
        -------
        Loaded
            Which names were copied, and which only one side has.

        Raises
        ------
        ValueError
            Naming every missing and unexpected key, and every key with a wrong shape, both shapes and all; also when
            no name fits at all.
        """
        own = self._state()
        problems = _key_problems(own, state) if strict else []
        common = [name for name in own if name in state]
        for name in common:
            received = np.shape(state[name])
            if received != own[name].shape:
                problems.append(f"{name}: expected shape {own[name].shape}, got {received}")
            # NumPy would also convert text and complex numbers, or fail half-way.
            elif np.asarray(state[name]).dtype.kind not in "fiub":
                problems.append(f"{name}: expected real numbers, got dtype {np.asarray(state[name]).dtype}")
        if own and not common and not problems:
            problems.append(f"it has none of the names of the network, such as {next(iter(own))}")
        if problems:
            raise ValueError("the state does not fit the network: " + "; ".join(problems))
        # Graphs that are still to be swept need the old values, and notice (ADR 0024).
        for parameter in self.parameters():
            parameter.memory.before_change()
        for name in common:
            own[name][...] = state[name]
        missing, unexpected = (tuple(n for n in one if n not in other) for one, other in ((own, state), (state, own)))
        return Loaded(tuple(common), missing, unexpected)

    def _state(self) -> dict[str, Array]:
        """The arrays themselves."""
        return {**{name: p.array for name, p in self.named_parameters()}, **dict(self.named_buffers())}


def _refuse_hidden(module: Module, name: str, value: Any) -> None:
    """TypeError for modules or parameters in a plain container, where nothing would find and train them."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.ravel().tolist()
    if not isinstance(value, Collection) or isinstance(value, str | bytes | np.ndarray | Module):
        return
    for entry in value.values() if isinstance(value, Mapping) else value:
        if isinstance(entry, Module | Parameter):
            raise TypeError(
                f"{module.label}: {name} holds a {type(entry).__name__} in a plain {type(value).__name__}, where "
                "it would not be found; use nn.ModuleList, or an attribute for each"
            )
        if entry is not value:  # not the entries of themselves
            _refuse_hidden(module, name, entry)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _key_problems(own: dict[str, Array], state: dict[str, Array]) -> list[str]:
    missing = [f"{name}: missing, expected shape {own[name].shape}" for name in own if name not in state]
    return missing + [f"{name}: not known to the network" for name in state if name not in own]

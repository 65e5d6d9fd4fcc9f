"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import ops
from ..autograd import Tensor
from .fusion import fused
from .module import LayerError, Module

Named = tuple[str, Module]


class _Row(Module):
    """Modules in a row, to be looked through as a list."""

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]


class Sequential(_Row):
    """Modules one after the other; neighbours run as one function where :func:`binnet.nn.fusion.fused` finds them.

    Parameters
    ----------
    *modules
        Modules, named by their number, or pairs of a name and a module. A name becomes an attribute.
    """

    def __init__(self, *modules: Module | Named) -> None:
        super().__init__()
        for number, entry in enumerate(modules):
            name, module = (str(number), entry) if isinstance(entry, Module) else entry
            if hasattr(self, name) or "." in name or not name:
                raise ValueError(f"{name!r} cannot be the name of a module: it is taken, empty or has a dot")
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        for call in fused(self):
            x = call(x)
        return x


class ModuleList(_Row):
    """Modules in a row that a network calls itself: ``for layer in self.layers: x = layer(x)``. It cannot be called.

    Parameters
    ----------
    modules
        Named by their number.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def forward(self, x: Tensor) -> Tensor:
        """TypeError: a ModuleList does not say in which order it computes."""
        raise TypeError(f"{self.label} cannot be called: call its modules one by one, or use nn.Sequential")

    def append(self, module: Module) -> None:
        """Add a module at the end; TypeError for anything else."""
        if not isinstance(module, Module):
            raise TypeError(f"a ModuleList holds modules, got {type(module).__name__}")
        taken = [int(name) for name, _ in self.children()]
        setattr(self, str(max(taken, default=-1) + 1), module)

    def extend(self, modules: Iterable[Module]) -> None:
        """Add several modules."""
        for module in modules:
            self.append(module)

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, [name for name, _ in self.children()][index], module)

    def __delitem__(self, index: int) -> None:
        kept, names = list(self), [name for name, _ in self.children()]
        del kept[index]
        # Names are numbers without gaps, because the state is stored by name.
        for name in names:
            delattr(self, name)
        self.extend(kept)  # numbered anew


class Residual(Module):
    """``body(x) + shortcut(x)``; without a shortcut ``body(x) + x``."""

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        z = x if self.shortcut is None else self.shortcut(x)
        # `add` would broadcast, for example over a lost batch axis.
        if y.shape != z.shape:
            raise LayerError(f"{self.label}: the body gives {y.shape}, the shortcut {z.shape}")
        return ops.add(y, z)

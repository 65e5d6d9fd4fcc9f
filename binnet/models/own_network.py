"""Custom networks, named ``FILE.py:FUNCTION``: a function in a Python file that builds a module.

Only :func:`load` runs the code of a file, and only of a file that the user names. The source text in a checkpoint is
compared with that file and never run.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..context import no_grad
from ..nn import Module
from .registry import build_spec
from .spec import ModelSpec

GIVEN = ("num_classes", "in_channels", "image_size", "binarize", "seed")  # beside the options of the binary layers
_NAME = re.compile(r"(.+\.py):([^\W\d]\w*)")
_LARGEST = 1 << 20  # limit in bytes, since each checkpoint holds a copy of the file


class OwnNetworkError(ValueError):
    """A file does not build a network, or not the expected one; the message is one sentence with the file's name."""


def is_own(name: str | None) -> bool:
    """Whether a model's name is ``FILE.py:FUNCTION``."""
    return name is not None and _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class OwnNetwork:
    """A function in a file, and the text of the file when it was run.

    Attributes
    ----------
    path : Path
        The file.
    called : str
        The name of the function in it.
    text : str
        The contents of the file.
    function : callable
        Called by keyword with those of :data:`GIVEN`, and of the options of the binary layers, that its signature
        has; a signature with ``**options`` receives all. ``image_size`` is (rows, columns).
    """

    path: Path
    called: str
    text: str
    function: Callable[..., Any]

    @property
    def name(self) -> str:
        """``FILE.py:FUNCTION`` without the folder."""
        return f"{self.path.name}:{self.called}"

    def spec(self, asked: Mapping[str, Any], changed: Collection[str] = ()) -> ModelSpec:
        """The description of a network that this function builds.

        Parameters
        ----------
        asked
            By name: all of :data:`GIVEN` but the seed, and the options of the binary layers.
        changed
            Which of them were set by the user.

        Raises
        ------
        OwnNetworkError
            When the function requires another argument, or does not take an option that the user set.
        """
        takes = self._takes([*asked, "seed"])
        for name in asked:
            # Sizes follow from the data: `_try_out` finds a network that does not fit them.
            if name in changed and name not in takes and name not in ("num_classes", "in_channels", "image_size"):
                flag = "--" + name.replace("_", "-")
                raise OwnNetworkError(f"{flag} would have no effect, because {self.name} does not take {name}")
        options = {name: value for name, value in asked.items() if name in takes and name not in GIVEN}
        binarize = asked["binarize"] if "binarize" in takes else ""
        sizes = (asked["num_classes"], asked["in_channels"], asked["image_size"])
        return ModelSpec(self.name, binarize, *sizes, options, self.text)

    def build(self, spec: ModelSpec, seed: int = 0) -> Module:
        """The network of a description; OwnNetworkError unless it maps (N, H, W, C) images to (N, num_classes)."""
        given = {name: getattr(spec, name) for name in GIVEN if name != "seed"} | spec.options | {"seed": seed}
        takes = self._takes(list(given))
        with self._running(f"{self.called}()"):
            network = self.function(**{name: value for name, value in given.items() if name in takes})
        if not isinstance(network, Module):
            raise OwnNetworkError(f"{self.name} must return a binnet.nn.Module, got {_kind(network)}")
        self._try_out(network, spec)
        return network

    def _try_out(self, network: Module, spec: ModelSpec) -> None:
        """Raise OwnNetworkError unless the network, in evaluation mode, maps two images to one score per class."""
        shape = (2, *spec.image_size, spec.in_channels)
        # Two images, so that a network which mixes up the batch axis does not pass.
        images = Tensor(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
        with self._running(f"its network, on images {shape},"), no_grad():
            scores = network.eval()(images)
            learned = network.parameters()
        if not learned:
            raise OwnNetworkError(f"the network of {self.name} has no parameters to learn")
        expected = (2, spec.num_classes)
        if not isinstance(scores, Tensor):
            raise OwnNetworkError(f"the network of {self.name} must return a Tensor {expected}, got {_kind(scores)}")
        if scores.shape != expected:
            raise OwnNetworkError(
                f"the network of {self.name} must map {shape} images to {expected} scores, one a class, "
                f"got {scores.shape}"
            )

    def _takes(self, offered: list[str]) -> set[str]:
        """The offered keywords that the signature takes; OwnNetworkError when it needs another."""
        with self._running(f"the signature of {self.called}"):  # which may run code of the file
            parameters = inspect.signature(self.function).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            named = set(offered)
        else:
            named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)} & set(offered)
        needed = [
            p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        for name in needed:
            if name not in named:
                raise OwnNetworkError(
                    f"{self.name} needs {name}, but is called by keyword with any of: {', '.join(offered)}"
                )
        return named

    def _running(self, what: str) -> contextlib.AbstractContextManager[None]:
        return _running(self.path, what)


def load(name: str, expected: ModelSpec | None = None, instead: str = "") -> OwnNetwork:
    """Run a file and find its function. This executes the file's code.

    Parameters
    ----------
    name
        ``FILE.py:FUNCTION``.
    expected
        The description in a checkpoint: the text must be the same, and is not run when it is another.
    instead
        Advice for the case of another text, which ends the error message.

    Raises
    ------
    OwnNetworkError
        When there is no such file or function, the text is not the expected one, or the code raises an exception.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise OwnNetworkError(f"a custom network is named FILE.py:FUNCTION, such as net.py:build, got {name!r}")
    path, function = Path(match[1]), match[2]
    text = _read(path)
    # Before the code runs: a file that has changed is only refused.
    if expected is not None:
        _require_same(path, function, text, expected, instead)
    module = types.ModuleType(f"binnet_own_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for the module of a class
    with _running(path, "it"):
        # The text that was compared, not the file again; "dont_inherit" keeps the future import of this module out of
        # it.
        exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))
    found = vars(module).get(function)
    if not callable(found):
        # Those that the file defines, not those that it imports.
        there = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        known = f"; it has {', '.join(there)}" if there else ""
        raise OwnNetworkError(f"there is no function {function} in {path}{known}")
    return OwnNetwork(path, function, text, found)


def rebuild(file: object, spec: ModelSpec, own: OwnNetwork | str | None = None) -> Module:
    """The network that a checkpoint describes, with fresh weights.

    Parameters
    ----------
    file
        The checkpoint, for messages.
    spec
        The description in it.
    own
        For a custom network: the result of :func:`load`, or ``FILE.py:FUNCTION``, whose code is then run.

    Raises
    ------
    OwnNetworkError
        When ``own`` is missing, is not needed, or differs from the checkpoint's text.
    """
    if spec.source is None:
        if own is not None:
            raise OwnNetworkError(f"{file} holds a {spec.name}, which comes with binnet: leave out --model")
        return build_spec(spec)
    if own is None:
        raise OwnNetworkError(
            f"{file} holds a custom network, and the code in a file is never run: "
            f"name the Python file that it was built from with --model FILE:FUNCTION, such as --model {spec.name}"
        )
    if isinstance(own, OwnNetwork):
        _require_same(own.path, own.called, own.text, spec, "")
    else:
        own = load(own, spec, f"the text that {file} was trained with is in its run folder")
    return own.build(spec)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise OwnNetworkError(f"there is no file {path}") from None
    except OSError as error:
        raise OwnNetworkError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise OwnNetworkError(f"{path} has {len(data):,} bytes, expected a Python file of at most {_LARGEST:,}")
    try:
        return data.decode("utf-8-sig")  # editors on Windows put a byte order mark in front
    except UnicodeDecodeError as error:
        raise OwnNetworkError(f"{path} is not text in UTF-8") from error


def _require_same(path: Path, function: str, text: str, expected: ModelSpec, instead: str) -> None:
    """OwnNetworkError unless file and function are those of a description."""
    wanted = expected.name.rpartition(":")[2]
    if expected.source is None:
        raise OwnNetworkError(f"expected the network {expected.name}, which comes with binnet, got {path}:{function}")
    # The whole text is compared, not its hash: the checkpoint holds both.
    if text != expected.source:
        digest = hashlib.sha256(text.encode()).hexdigest()
        raise OwnNetworkError(
            f"{path} has changed since the training began (SHA-256 {expected.sha256[:12]}… then, {digest[:12]}… now)"
            + (f"; {instead}" if instead else "")
        )
    if function != wanted:
        raise OwnNetworkError(f"the training began with the function {wanted} of {path}, got {function}")


@contextlib.contextmanager
def _running(path: Path, what: str) -> Iterator[None]:
    """Context manager in which code of a file runs.

    The code can import modules beside the file, like a script. Its output goes to standard error, because standard
    output may be a command's JSON. Its exceptions become an OwnNetworkError with file and line.
    """
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except OwnNetworkError:
        raise
    except (Exception, SystemExit) as error:  # a script may end in sys.exit()
        said = " ".join(str(error).split())
        kind = type(error).__name__ + (f": {said}" if said else "")
        raise OwnNetworkError(f"{path}{_line(error, path)}: {what} raised {kind}") from error
    finally:
        with contextlib.suppress(ValueError):  # when the code took it out itself
            sys.path.remove(str(path.parent.absolute()))


def _line(error: BaseException, path: Path) -> str:
    """The last line of the file that an exception came through, as ``, line 3``."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f", line {line}"


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"

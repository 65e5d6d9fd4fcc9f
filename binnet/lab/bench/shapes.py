"""The layers that are timed: those of the paper's networks, or one's own."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Layer:
    """A convolution of ``channels`` x ``size`` x ``size`` images with square filters; a dense layer has size 1."""

    channels: int
    size: int
    filters: int
    kernel_size: int
    stride: int
    padding: int

    def __str__(self) -> str:
        image, window = f"{self.channels}@{self.size}x{self.size}", f"{self.kernel_size}x{self.kernel_size}"
        step = "" if self.stride == 1 else f"/{self.stride}"
        border = f" p{self.padding}" if self.padding else ""
        return f"{image} * {self.filters}@{window}{step}{border}"

    @property
    def output_size(self) -> int:
        """Rows, and columns, of the output."""
        return (self.size + 2 * self.padding - self.kernel_size) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.output_size**2 * self.filters * self.kernel_size**2 * self.channels

    @property
    def theory(self) -> float:
        """The paper's speed-up over float (section 4.1): S = 64 c N_W / (c N_W + 64), with N_W the filter's area."""
        taps = self.channels * self.kernel_size**2
        return 64 * taps / (taps + 64)


# The binary layers, without the first and the last; channels, image, filters, kernel size, stride, padding.
NETWORKS: dict[str, tuple[Layer, ...]] = {
    name: tuple(Layer(*values) for values in layers)
    for name, layers in {
        "resnet18": [
            (64, 56, 64, 3, 1, 1),
            (64, 56, 128, 3, 2, 1),
            (64, 56, 128, 1, 2, 0),
            (128, 28, 128, 3, 1, 1),
            (256, 14, 256, 3, 1, 1),
            (256, 14, 512, 1, 2, 0),
            (512, 7, 512, 3, 1, 1),
        ],
        "alexnet": [
            (96, 27, 256, 5, 1, 2),
            (256, 13, 384, 3, 1, 1),
            (384, 13, 384, 3, 1, 1),
            (384, 13, 256, 3, 1, 1),
            (256, 6, 4096, 6, 1, 0),
            (4096, 1, 4096, 1, 1, 0),
        ],
        "nin": [
            (192, 32, 160, 1, 1, 0),
            (160, 32, 96, 1, 1, 0),
            (96, 16, 192, 5, 1, 2),
            (192, 16, 192, 1, 1, 0),
            (192, 8, 192, 3, 1, 1),
        ],
        "lenet5": [(20, 12, 50, 5, 1, 0), (800, 1, 500, 1, 1, 0)],
    }.items()
}


def parse(text: str) -> list[tuple[str, Layer]]:
    """Layers with the network each belongs to, from the names of networks and shapes ``C,H,O,k,s,p``.

    Parameters
    ----------
    text
        Parts with ``;`` between them: ``all``, a name of :data:`NETWORKS`, or six whole numbers for channels, rows and
        columns of the image, filters, rows and columns of the filter, stride and padding.

    Raises
    ------
    ValueError
        Naming the part that is neither.
    """
    found: list[tuple[str, Layer]] = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        names = tuple(NETWORKS) if part == "all" else (part,) if part in NETWORKS else ()
        found += [(name, layer) for name in names for layer in NETWORKS[name]] if names else [("own", _layer(part))]
    if not found:
        raise ValueError(f"--shapes names no layer: give all, {', '.join(NETWORKS)}, or C,H,O,k,s,p")
    return found


def _layer(text: str) -> Layer:
    try:
        layer = Layer(*(int(value) for value in text.split(",")))
    except (ValueError, TypeError):
        names = ", ".join(NETWORKS)
        raise ValueError(
            f"a shape is all, {names}, or the six whole numbers C,H,O,k,s,p such as 64,56,64,3,1,1; got {text!r}"
        ) from None
    if min(astuple(layer)[:5]) < 1 or layer.padding < 0:
        raise ValueError(f"C, H, O, k and s of a shape must be at least 1 and p at least 0, got {text!r}")
    if layer.output_size < 1:
        raise ValueError(f"the filter of the shape {text!r} is larger than its image with the border")
    return layer

"""Layer shapes of the benchmarks: those of the paper's networks, and a parser for others."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Layer:
    """Shape of a convolution of square images with square filters; a dense layer has images of size 1.

    Attributes
    ----------
    channels, size : int
        Channels, and rows and columns of the images.
    filters, kernel_size : int
        Number of filters, and their rows and columns.
    stride, padding : int
        Of rows and columns alike.
    """

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
        """Number of rows and of columns of the output."""
        return (self.size + 2 * self.padding - self.kernel_size) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-adds per image."""
        return self.output_size**2 * self.filters * self.kernel_size**2 * self.channels

    @property
    def theory(self) -> float:
        """The speed-up over float that the paper predicts (section 4.1): S = 64 c N_W / (c N_W + 64), N_W = k²."""
        taps = self.channels * self.kernel_size**2
        return 64 * taps / (taps + 64)


# The binary layers, that is without the first and the last, each shape once: C, H, O, k, s, p as in --shapes.
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
    """Parse names of networks and shapes ``C,H,O,k,s,p`` into pairs of network name and layer.

    Parameters
    ----------
    text
        Parts separated by ``;``: ``all``, a name of :data:`NETWORKS`, or six integers for channels, image size,
        filters, kernel size, stride and padding. The network of a shape is called ``own``.

    Raises
    ------
    ValueError
        When a part is neither, with that part in the message.
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
        layer = Layer(*(int(value) for value in text.split(",")))  # TypeError for any number of values but six
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

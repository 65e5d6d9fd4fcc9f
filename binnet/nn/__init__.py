"""Modules, layers, binary layers, and the blocks that networks are built from."""

from ..ops import InputBinariser, WeightBinariser
from . import init
from .binary import BinaryLayer, BinConv2d, BinLinear, BwnConv2d, BwnLinear, Sign
from .blocks import Blocks
from .channels import PReLU, RPReLU, Scale, Shift, SpatialScale
from .containers import ModuleList, Named, Residual, Sequential
from .layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
    Softmax,
    ZeroPad2d,
)
from .lowbit import GradientRounding, Quantise
from .module import LayerError, Loaded, Module, Parameter
from .options import MODES, BinaryOptions
from .real_weights import SignConv2d, SignLinear
from .shortcuts import ShortcutBlocks, ShortcutOptions

__all__ = [
    "MODES",
    "AvgPool2d",
    "BatchNorm",
    "BinConv2d",
    "BinLinear",
    "BinaryLayer",
    "BinaryOptions",
    "Blocks",
    "BwnConv2d",
    "BwnLinear",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GradientRounding",
    "InputBinariser",
    "LayerError",
    "Linear",
    "Loaded",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Named",
    "PReLU",
    "Parameter",
    "Quantise",
    "RPReLU",
    "ReLU",
    "Residual",
    "Scale",
    "Sequential",
    "Shift",
    "ShortcutBlocks",
    "ShortcutOptions",
    "Sign",
    "SignConv2d",
    "SignLinear",
    "Softmax",
    "SpatialScale",
    "WeightBinariser",
    "ZeroPad2d",
    "init",
]

"""Differentiable functions: tensors in, a tensor out. Each is a :class:`binnet.autograd.Function`.

What goes beyond the paper's layers of one bit is in :mod:`binnet.ops.lowbit`.
"""

from ..autograd import Tensor as Tensor
from ..autograd import operations
from .activations import prelu, relu, rprelu, softmax
from .arithmetic import add, divide, dropout, matmul, mul, neg, subtract
from .binarize import (
    NotFiniteError,
    WeightBinariser,
    centred,
    check_finite,
    grad_alpha,
    grad_weight,
    sign,
    weight_alpha,
)
from .bwn_conv import bwn_conv2d, bwn_linear
from .conv import as_pixels, as_rows, conv2d, conv2d_norm_relu, linear
from .loss import cross_entropy, distillation, squared_hinge
from .norm import Normalisation, Statistics, batch_norm
from .pool import avg_pool2d, max_pool2d
from .reduce import global_average, mean, sum
from .shapes import concatenate, flatten, pad, reshape
from .xnor_conv import BinaryConv, InputBinariser, norm_xnor_conv2d, xnor_conv2d, xnor_linear

# What a tensor has as an operator or a method (ADR 0026). `autograd` cannot import it, because operations make tensors.
operations.update(add=add, subtract=subtract, mul=mul, divide=divide, neg=neg, matmul=matmul)
operations.update(reshape=reshape, sum=sum, mean=mean)

__all__ = [
    "BinaryConv",
    "InputBinariser",
    "Normalisation",
    "NotFiniteError",
    "Statistics",
    "WeightBinariser",
    "add",
    "as_pixels",
    "as_rows",
    "avg_pool2d",
    "batch_norm",
    "bwn_conv2d",
    "bwn_linear",
    "centred",
    "check_finite",
    "concatenate",
    "conv2d",
    "conv2d_norm_relu",
    "cross_entropy",
    "distillation",
    "divide",
    "dropout",
    "flatten",
    "global_average",
    "grad_alpha",
    "grad_weight",
    "linear",
    "matmul",
    "max_pool2d",
    "mean",
    "mul",
    "neg",
    "norm_xnor_conv2d",
    "pad",
    "prelu",
    "relu",
    "reshape",
    "rprelu",
    "sign",
    "softmax",
    "squared_hinge",
    "subtract",
    "sum",
    "weight_alpha",
    "xnor_conv2d",
    "xnor_linear",
]

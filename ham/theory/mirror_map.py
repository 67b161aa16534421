"""The mirror map of HAM's flow with beta = 0, and its inverse.

The flow ``d theta = -(1 + alpha |theta|) grad f dt`` is the mirror flow of the potential R with
``R''(x) = 1 / (1 + alpha |x|)``. R is x^2 / 2 for alpha = 0, and approaches a multiple of |x|, up
to logarithms, as alpha grows.

Reference: Jacobs et al., ICLR 2026, https://arxiv.org/abs/2506.02630.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mirror_potential(x: Tensor, alpha: float) -> Tensor:
    """Return ``R(x) = ((1 + alpha|x|) log(1 + alpha|x|) - alpha|x|) / alpha^2``, elementwise.

    Args:
        x: any shape.
        alpha: strength of the sign-gradient term, >= 0; 0 gives the limit x^2 / 2.
    """
    if alpha == 0:
        return x.square() / 2
    scaled = alpha * x.abs()
    return ((1 + scaled) * scaled.log1p() - scaled) / alpha**2


def mirror_derivative(x: Tensor, alpha: float) -> Tensor:
    """Return ``R'(x) = sign(x) log(1 + alpha|x|) / alpha``, elementwise; x itself at alpha = 0.

    Examples:
        >>> mirror_derivative(torch.tensor([-1.0, 0.0, 1.0]), alpha=1.0).tolist()
        [-0.6931471824645996, 0.0, 0.6931471824645996]
    """
    return x if alpha == 0 else x.sign() * (alpha * x.abs()).log1p() / alpha


def mirror_inverse(u: Tensor, alpha: float) -> Tensor:
    """Return the x with ``R'(x) = u``: ``sign(u) (exp(alpha|u|) - 1) / alpha``, elementwise.

    At alpha = 0 this is u itself.
    """
    return u if alpha == 0 else u.sign() * torch.expm1(alpha * u.abs()) / alpha

"""The continuous-time limit of the HAM step."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def follow_flow(
    theta: Tensor,
    gradient: Callable[[Tensor], Tensor],
    *,
    time: float,
    alpha: float,
    beta: float,
    steps: int = 10_000,
) -> Tensor:
    """Integrate ``d theta = -(1 + alpha|theta|) grad f dt - beta theta dt`` by Runge-Kutta 4.

    Args:
        theta: starting point, float64.
        gradient: grad f as a function of theta.
        time: how long to follow the flow, in units of learning rate times steps.
        alpha: HAM's alpha.
        beta: HAM's beta.
        steps: steps of the integrator.

    Shape:
        theta, result: the same, any.
    """

    def velocity(at: Tensor) -> Tensor:
        return -(1 + alpha * at.abs()) * gradient(at) - beta * at

    h = time / steps
    for _ in range(steps):
        k1 = velocity(theta)
        k2 = velocity(theta + h / 2 * k1)
        k3 = velocity(theta + h / 2 * k2)
        k4 = velocity(theta + h * k3)
        theta = theta + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return theta

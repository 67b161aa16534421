"""The flow of HAM: the limit of its step as the learning rate goes to 0."""

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
        theta: starting point; use float64.
        gradient: grad f as a function of theta.
        time: end time of the flow, in units of learning rate times optimizer steps.
        alpha: strength of the sign-gradient term, >= 0.
        beta: strength of the shrinkage term, >= 0.
        steps: steps of the integrator, >= 1.

    Shape:
        theta, result: the same, any.
    """

    def velocity(theta: Tensor) -> Tensor:
        return -(1 + alpha * theta.abs()) * gradient(theta) - beta * theta

    h = time / steps
    for _ in range(steps):
        k1 = velocity(theta)
        k2 = velocity(theta + h / 2 * k1)
        k3 = velocity(theta + h / 2 * k2)
        k4 = velocity(theta + h * k3)
        theta = theta + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return theta

"""The Triton source of the one-pass step; imported only where Triton is installed.

The arithmetic is that of native.c, line for line.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ham.optim.kernels import tables

_FIELDS = tables.ROW.names or ()
# Compile-time constants of the kernel: the layout of a row and the names of the bases.
_SGD = tl.constexpr(tables.SGD)
_ADAM = tl.constexpr(tables.ADAM)
_FIRST = tl.constexpr(_FIELDS.index("first"))
_SECOND = tl.constexpr(_FIELDS.index("second"))
_COUNT = tl.constexpr(_FIELDS.index("count"))
_LR = tl.constexpr(_FIELDS.index("lr"))
_ALPHA = tl.constexpr(_FIELDS.index("alpha"))
_BETA = tl.constexpr(_FIELDS.index("beta"))
_MAX_EXPONENT = tl.constexpr(_FIELDS.index("max_exponent"))
_GRAD_SIGN = tl.constexpr(_FIELDS.index("grad_sign"))
_COUPLED_DECAY = tl.constexpr(_FIELDS.index("coupled_decay"))
_DECOUPLED_DECAY = tl.constexpr(_FIELDS.index("decoupled_decay"))
_FIRST_KEEP = tl.constexpr(_FIELDS.index("first_keep"))
_FIRST_TAKE = tl.constexpr(_FIELDS.index("first_take"))
_NESTEROV = tl.constexpr(_FIELDS.index("nesterov"))
_SECOND_KEEP = tl.constexpr(_FIELDS.index("second_keep"))
_STEP_SIZE = tl.constexpr(_FIELDS.index("step_size"))
_SECOND_SCALE = tl.constexpr(_FIELDS.index("second_scale"))
_EPS = tl.constexpr(_FIELDS.index("eps"))


@triton.jit
def _array(row, field: tl.constexpr, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    address = tl.load(row + field)
    if DTYPE == 0:
        return address.to(tl.pointer_type(tl.float32))
    elif DTYPE == 1:
        return address.to(tl.pointer_type(tl.float64))
    else:
        return address.to(tl.pointer_type(tl.bfloat16))


@triton.jit
def _number(row, field: tl.constexpr, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    value = tl.load((row + field).to(tl.pointer_type(tl.float64)))
    return value if DTYPE == 1 else value.to(tl.float32)


@triton.jit
def step(  # type: ignore[no-untyped-def]
    table,
    places,
    ROW_LENGTH: tl.constexpr,
    BASE: tl.constexpr,
    PREVIOUS: tl.constexpr,
    MOMENTUM: tl.constexpr,
    DTYPE: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Update one chunk: ``places`` holds (row of the table, first element) per program.

    MOMENTUM is False for an SGD without momentum, which has no first moment.
    """
    real = tl.float64 if DTYPE == 1 else tl.float32
    row = table + tl.load(places + 2 * tl.program_id(0)) * ROW_LENGTH
    start = tl.load(places + 2 * tl.program_id(0) + 1)
    count = tl.load(row + _COUNT)
    thetas = _array(row, 0, DTYPE)
    grads = _array(row, 1, DTYPE)
    firsts = _array(row, _FIRST, DTYPE)
    seconds = _array(row, _SECOND, DTYPE)
    lr = _number(row, _LR, DTYPE)
    grad_sign = _number(row, _GRAD_SIGN, DTYPE)
    decay = _number(row, _COUPLED_DECAY, DTYPE)
    keep = _number(row, _FIRST_KEEP, DTYPE)
    take = _number(row, _FIRST_TAKE, DTYPE)
    bound = _number(row, _MAX_EXPONENT, DTYPE)
    pull = lr * _number(row, _ALPHA, DTYPE) * grad_sign
    shrink = lr * _number(row, _BETA, DTYPE)
    for offset in range(0, CHUNK, BLOCK):
        at = start + offset + tl.arange(0, BLOCK)
        inside = at < count
        before = tl.load(thetas + at, mask=inside).to(real)
        raw = tl.load(grads + at, mask=inside).to(real)
        usable = inside & (raw - raw == 0)
        half = before
        d = grad_sign * raw + decay * before
        if BASE == _SGD:
            if MOMENTUM:
                velocity = keep * tl.load(firsts + at, mask=inside).to(real) + take * d
                tl.store(firsts + at, velocity, mask=usable)
                nesterov = _number(row, _NESTEROV, DTYPE)
                d = nesterov * d + (nesterov * (keep - 1) + 1) * velocity
            half = before - lr * d
        if BASE == _ADAM:
            second_keep = _number(row, _SECOND_KEEP, DTYPE)
            m = keep * tl.load(firsts + at, mask=inside).to(real) + take * d
            v = second_keep * tl.load(seconds + at, mask=inside).to(real)
            v += (1 - second_keep) * d * d
            tl.store(firsts + at, m, mask=usable)
            tl.store(seconds + at, v, mask=usable)
            scale = tl.sqrt(v) * _number(row, _SECOND_SCALE, DTYPE) + _number(row, _EPS, DTYPE)
            half = before - lr * _number(row, _DECOUPLED_DECAY, DTYPE) * before
            half -= _number(row, _STEP_SIZE, DTYPE) * m / scale
        signs_of = half
        if PREVIOUS:
            signs_of = before
            if BASE == 0:
                signs_of = tl.load(firsts + at, mask=inside).to(real)
        sign = (signs_of > 0).to(real) - (signs_of < 0).to(real)
        exponent = tl.minimum(tl.maximum(-sign * pull * raw - shrink, -bound), bound)
        moved = (half * tl.exp(exponent)).to(thetas.dtype.element_ty).to(real)
        tl.store(thetas + at, tl.where(moved - moved == 0, moved, half), mask=usable)

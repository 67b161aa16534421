"""The source of the one-pass kernel in Triton; imported only where Triton is installed.

The arithmetic is that of native.c, line by line.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ham.optim.kernels import tensor_table

_FIELDS = tensor_table.ENTRY.names or ()
# Compile-time constants of the kernel: the bases, and the position of each field in an entry.
_SGD = tl.constexpr(tensor_table.SGD)
_ADAM = tl.constexpr(tensor_table.ADAM)
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
def _array(entry, field: tl.constexpr, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    address = tl.load(entry + field)
    if DTYPE == 0:
        return address.to(tl.pointer_type(tl.float32))
    elif DTYPE == 1:
        return address.to(tl.pointer_type(tl.float64))
    else:
        return address.to(tl.pointer_type(tl.bfloat16))


@triton.jit
def _number(entry, field: tl.constexpr, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    value = tl.load((entry + field).to(tl.pointer_type(tl.float64)))
    return value if DTYPE == 1 else value.to(tl.float32)


@triton.jit
def step(  # type: ignore[no-untyped-def]
    table,
    chunks,
    ENTRY_LENGTH: tl.constexpr,
    BASE: tl.constexpr,
    PREVIOUS: tl.constexpr,
    MOMENTUM: tl.constexpr,
    DTYPE: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Update one chunk of a tensor.

    table: the entries, flat; chunks: (entry, first element of the chunk) for each program.
    MOMENTUM is False for SGD without momentum, which has no first moment.
    """
    real = tl.float64 if DTYPE == 1 else tl.float32
    entry = table + tl.load(chunks + 2 * tl.program_id(0)) * ENTRY_LENGTH
    start = tl.load(chunks + 2 * tl.program_id(0) + 1)
    count = tl.load(entry + _COUNT)
    thetas = _array(entry, 0, DTYPE)
    grads = _array(entry, 1, DTYPE)
    firsts = _array(entry, _FIRST, DTYPE)
    seconds = _array(entry, _SECOND, DTYPE)
    lr = _number(entry, _LR, DTYPE)
    grad_sign = _number(entry, _GRAD_SIGN, DTYPE)
    decay = _number(entry, _COUPLED_DECAY, DTYPE)
    keep = _number(entry, _FIRST_KEEP, DTYPE)
    take = _number(entry, _FIRST_TAKE, DTYPE)
    bound = _number(entry, _MAX_EXPONENT, DTYPE)
    lr_alpha = lr * _number(entry, _ALPHA, DTYPE) * grad_sign
    lr_beta = lr * _number(entry, _BETA, DTYPE)
    for offset in range(0, CHUNK, BLOCK):
        index = start + offset + tl.arange(0, BLOCK)
        inside = index < count
        before = tl.load(thetas + index, mask=inside).to(real)
        raw = tl.load(grads + index, mask=inside).to(real)
        usable = inside & (raw - raw == 0)
        theta_half = before
        d = grad_sign * raw + decay * before
        if BASE == _SGD:
            if MOMENTUM:
                velocity = keep * tl.load(firsts + index, mask=inside).to(real) + take * d
                tl.store(firsts + index, velocity, mask=usable)
                nesterov = _number(entry, _NESTEROV, DTYPE)
                d = nesterov * d + (nesterov * (keep - 1) + 1) * velocity
            theta_half = before - lr * d
        if BASE == _ADAM:
            second_keep = _number(entry, _SECOND_KEEP, DTYPE)
            m = keep * tl.load(firsts + index, mask=inside).to(real) + take * d
            v = second_keep * tl.load(seconds + index, mask=inside).to(real)
            v += (1 - second_keep) * d * d
            tl.store(firsts + index, m, mask=usable)
            tl.store(seconds + index, v, mask=usable)
            scale = tl.sqrt(v) * _number(entry, _SECOND_SCALE, DTYPE) + _number(entry, _EPS, DTYPE)
            theta_half = before - lr * _number(entry, _DECOUPLED_DECAY, DTYPE) * before
            theta_half -= _number(entry, _STEP_SIZE, DTYPE) * m / scale
        sign_source = theta_half
        if PREVIOUS:
            sign_source = before
            if BASE == 0:
                sign_source = tl.load(firsts + index, mask=inside).to(real)
        sign = (sign_source > 0).to(real) - (sign_source < 0).to(real)
        exponent = tl.minimum(tl.maximum(-sign * lr_alpha * raw - lr_beta, -bound), bound)
        updated = (theta_half * tl.exp(exponent)).to(thetas.dtype.element_ty).to(real)
        is_finite = updated - updated == 0
        tl.store(thetas + index, tl.where(is_finite, updated, theta_half), mask=usable)

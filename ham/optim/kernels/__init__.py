"""Fast paths of the HAM step. Each gives the result of ``ham/optim/formula.py`` up to rounding.

One ``HAM.step`` (``ham/optim/hyperbolic.py``) uses these modules in this order:

1. ``dispatch``: ``choose_path`` selects one of four paths.
2. ``one_pass``: on the path ``fused_base``, ``fused_base_step`` takes the base step and the HAM
   step together, and the step is done. Every other path, and a step that ``fused_base`` cannot
   take, continues with 3.
3. ``parameter_updates``: ``collect_updates`` lists the parameters that take the HAM step, each
   with its raw gradient. Then the base optimizer steps.
4. ``dispatch``: ``ham_step`` applies the HAM step to that list. The paths ``reference`` and
   ``foreach`` use PyTorch operations (``eager``), the path ``fused`` uses a kernel (``one_pass``).

A one-pass kernel reads and writes each value once. Its parts:

- ``tensor_table``: the kernel's input, one entry per tensor with addresses and coefficients.
- ``fusible_bases``: the base step of SGD, Adam and AdamW as coefficients.
- ``native`` and ``native.c``: the kernel of CPUs.
- ``triton_kernel`` and ``_triton_source``: the kernel of CUDA GPUs.
- ``finiteness``: the check of gradients for NaN and infinity, with native.c or with PyTorch.
"""

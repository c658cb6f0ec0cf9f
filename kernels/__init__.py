"""Engines of the tiled layer: bit layout, reference, dispatch, the Triton and the C kernels, and the benchmark.

``kernels`` knows tensors, bits and alphas, and nothing of ``tbn``, which reaches it through ``kernels.dispatch``. Importing it loads neither
torch nor triton; ``kernels.triton_linear`` and ``kernels.triton_conv`` need triton, and ``kernels.dispatch`` imports them for a CUDA input only.
"""

"""Engines of the tiled layer: bit layout, reference, dispatch, the Triton kernel and the benchmark.

``kernels`` knows tensors, bits and alphas, and nothing of ``tbn``, which reaches it through ``kernels.dispatch``. Importing it loads neither
torch nor triton; ``kernels.triton_linear`` alone needs triton, and only ``kernels.dispatch`` imports it, for a CUDA input.
"""

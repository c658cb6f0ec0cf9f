"""The shared parts against torch's own or a plain loop."""

import torch
from torch import nn

from tbn.models.blocks import Attention, PatchEmbedding


def test_attention_is_torchs():
    attention = Attention(12, 3, qkv_bias=True)
    torchs = nn.MultiheadAttention(12, 3, batch_first=True)
    torchs.in_proj_weight.data, torchs.in_proj_bias.data = attention.qkv.weight.data, attention.qkv.bias.data
    torchs.out_proj.load_state_dict(attention.proj.state_dict())
    x, bias = torch.randn(2, 7, 12), torch.randn(7, 7)
    torch.testing.assert_close(attention(x), torchs(x, x, x, need_weights=False)[0])
    expected = torchs(x, x, x, need_weights=False, attn_mask=bias)[0]
    torch.testing.assert_close(attention(x, bias), expected)
    torch.testing.assert_close(attention(x.expand(3, -1, -1, -1), bias), expected.expand(3, -1, -1, -1))


def test_patches_lie_row_by_row():
    embed = PatchEmbedding(2, 3, 5)
    x = torch.randn(4, 2, 6, 9)
    out = embed(x)
    assert out.shape == (4, 6, 5)
    patch = x[:, :, 3:6, 0:3].permute(0, 2, 3, 1).flatten(1)  # second row, first column
    torch.testing.assert_close(out[:, 3], embed.proj(patch))

"""Linear layers and an LSTM that give the same bits on every processor, at the speed of each.

MKL and oneDNN's own LSTM choose the order of their sums by processor. oneDNN's matrix product adds the
products of an output element in order, whatever the vector width, if there are at most LONGEST of them.
Longer sums are therefore cut. On a GPU, in bf16 and inside `plain()` the layers are those of torch.

B batch, L words, E and H inputs and outputs of the LSTM; G = 4 H: its gates i f n o
"""

from contextlib import contextmanager

import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

LONGEST = 512  # sums of 768 products differ between AVX2 and AVX-512
_plain = False


@contextmanager
def plain():
    """Use the layers of torch, which can be exported, counted and differentiated forwards."""
    global _plain
    before, ours = (_plain, torch.backends.mkldnn.enabled), (True, False)
    try:
        _plain, torch.backends.mkldnn.enabled = ours
        yield
    finally:
        _plain, torch.backends.mkldnn.enabled = before


def applies(x):
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not (_plain or torch.is_autocast_enabled("cpu"))
    )


def product(a, b, bias=None):
    """a @ b.T + bias, for matrices; their sums run over the second dimension of both."""
    total = None
    for a_piece, b_piece in zip(a.split(LONGEST, 1), b.split(LONGEST, 1), strict=True):
        piece = torch.ops.mkldnn._linear_pointwise(a_piece, b_piece, bias, "none", [], "")
        total, bias = piece if total is None else total.add_(piece), None
    return total


class Linear(nn.Linear):
    def forward(self, x):
        return _Linear.apply(x, self.weight, self.bias) if applies(x) else super().forward(x)


class _Linear(Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return product(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):
        x, weight = ctx.saved_tensors
        flat, rows = slope.flatten(0, -2).contiguous(), x.flatten(0, -2)
        by_x, by_weight, by_bias = ctx.needs_input_grad
        return (
            product(flat, weight.T).view_as(x) if by_x else None,
            product(flat.T, rows.T) if by_weight else None,
            flat.sum(0) if by_bias else None,
        )


class LSTM(nn.LSTM):
    """One layer, batch first, from a state of zeros; returns the outputs of all words and None."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, batch_first=True)

    def forward(self, x_BLE):
        if not applies(x_BLE):
            return super().forward(x_BLE)
        bias_G = self.bias_ih_l0 + self.bias_hh_l0
        return _LSTM.apply(x_BLE, self.weight_ih_l0, self.weight_hh_l0, bias_G), None


class _LSTM(Function):
    """c_t = f c_(t-1) + i n, h_t = o tanh(c_t), with few and large operations.

    tanh(x) = 2 sigmoid(2x) - 1 makes one sigmoid of the four gates; the doubling is exact. What the gradients
    of a word need of its state is computed for all words at once.
    """

    @staticmethod
    def forward(ctx, x_BLE, in_GE, back_GH, bias_G):
        (B, L, _), H = x_BLE.shape, back_GH.shape[1]
        x_XE = x_BLE.transpose(0, 1).flatten(0, 1)  # X = L B: the rows of a word lie together
        double_G = x_BLE.new_tensor([1, 1, 2, 1]).repeat_interleave(H)
        double_G1 = double_G.unsqueeze(1)
        gates_LBG = product(x_XE, in_GE * double_G1, bias_G * double_G).view(L, B, 4 * H)
        again_GH = back_GH * double_G1
        h_LBH, c_LBH = x_BLE.new_zeros(2, L + 1, B, H)  # from before the first word on
        bent_LBH = x_BLE.new_empty(L, B, H)
        for t, gates_BG in enumerate(gates_LBG):
            if t:  # h is zero before
                gates_BG.add_(product(h_LBH[t], again_GH))
            i, f, n, o = gates_BG.sigmoid_().chunk(4, 1)
            n.mul_(2).sub_(1)
            torch.mul(f, c_LBH[t], out=c_LBH[t + 1]).addcmul_(i, n)
            torch.mul(c_LBH[t + 1], 2, out=bent_LBH[t]).sigmoid_().mul_(2).sub_(1)
            torch.mul(o, bent_LBH[t], out=h_LBH[t + 1])
        ctx.save_for_backward(x_XE, in_GE, back_GH, gates_LBG, h_LBH, c_LBH, bent_LBH)
        return h_LBH[1:].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, slope_BLH):
        x_XE, in_GE, back_GH, gates_LBG, h_LBH, c_LBH, bent_LBH = ctx.saved_tensors
        L, B, H = bent_LBH.shape
        i, f, n, o = gates_LBG.chunk(4, 2)
        by_gates_LBG = torch.empty_like(gates_LBG)  # of i, f, n by c, of o by h, until both are known
        by_i, by_f, by_n, by_o = by_gates_LBG.chunk(4, 2)
        torch.mul(i, 1 - i, out=by_i).mul_(n)
        torch.mul(f, 1 - f, out=by_f).mul_(c_LBH[:-1])
        torch.mul(n, n, out=by_n).neg_().add_(1).mul_(i)
        torch.mul(o, 1 - o, out=by_o).mul_(bent_LBH)
        c_by_h_LBH = (1 - bent_LBH * bent_LBH).mul_(o)
        by_h_BH, by_c_BH = slope_BLH.new_zeros(2, B, H)
        for t in reversed(range(L)):
            by_h_BH = by_h_BH + slope_BLH[:, t]
            by_c_BH = torch.addcmul(by_c_BH, by_h_BH, c_by_h_LBH[t])
            by_gates_B4H = by_gates_LBG[t].view(B, 4, H)
            by_gates_B4H[:, :3].mul_(by_c_BH.unsqueeze(1))
            by_gates_B4H[:, 3].mul_(by_h_BH)
            if t:
                by_c_BH = by_c_BH * f[t]
                by_h_BH = product(by_gates_LBG[t], back_GH.T)
        by_gates_XG = by_gates_LBG.flatten(0, 1)
        by_x_XE = product(by_gates_XG, in_GE.T) if ctx.needs_input_grad[0] else None
        return (
            None if by_x_XE is None else by_x_XE.view(L, B, -1).transpose(0, 1),
            product(by_gates_XG.T, x_XE.T),
            product(by_gates_XG.T, h_LBH[:-1].flatten(0, 1).T),
            by_gates_XG.sum(0),
        )

"""How images are normalised, learned from the training images: `zca` (as in CMCL, MCL-KD) or `standard`.

N images, D = 3072 their values (32 x 32 pixels of red, green, blue), in float64, which makes both repeatable
"""

import torch

SCALE, RIDGE = 55.0, 0.1


def zca(train_ND):
    """Contrast normalised, less the mean, turned by V diag(1 / sqrt(e)) V^T of the covariance + 0.1 I."""
    normal_ND = contrast(train_ND)
    mean_D = normal_ND.mean(0)
    normal_ND -= mean_D
    covariance_DD = normal_ND.T @ normal_ND / len(normal_ND)
    e_D, v_DD = torch.linalg.eigh(covariance_DD + RIDGE * torch.eye(len(mean_D), dtype=mean_D.dtype))
    turn_DD = (v_DD / e_D.sqrt()) @ v_DD.T
    return lambda values_ND: (contrast(values_ND) - mean_D) @ turn_DD


def contrast(values_ND):
    """GCN as in pylearn2: less the image's mean, then to a length of 55; an image of one colour stays 0."""
    centred_ND = values_ND - values_ND.mean(1, keepdim=True)
    length_N1 = centred_ND.norm(dim=1, keepdim=True)
    return centred_ND.mul_(SCALE).div_(torch.where(length_N1 < 1e-8, 1, length_N1))


def standard(train_ND):
    """Mean 0 and deviation 1 of each colour channel."""
    channels = train_ND.reshape(-1, 3)
    times = train_ND.shape[1] // 3
    mean_D, std_D = channels.mean(0).repeat(times), channels.std(0, correction=0).repeat(times)
    return lambda values_ND: (values_ND - mean_D) / std_D


KINDS = {"zca": zca, "standard": standard}

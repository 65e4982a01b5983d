"""From image files to a file of features: in bounded memory, decoded on all cores while the network computes.

B images, H W pixels, R rows and C columns of cells, F channels
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from tqdm import tqdm

from specialists.base.runtime import precision
from specialists.data import png

BATCH = 64
LARGEST_FP16 = 65504


def batches(paths, size):
    """Yield (image_BHW3, sizes_B2) over the files in order, the next batch being decoded meanwhile."""

    def submit(start):
        return [pool.submit(png.read, path, size) for path in paths[start : start + BATCH]]

    with ThreadPoolExecutor() as pool:
        ahead = submit(0)
        for start in range(0, len(paths), BATCH):
            ready, ahead = ahead, submit(start + BATCH)
            pixels, sizes = zip(*(future.result() for future in ready), strict=True)
            yield torch.from_numpy(np.stack(pixels)), np.array(sizes)


def load(paths, size):
    """All the images at once: (image_BHW3, sizes_B2)."""
    images, sizes = zip(*batches(paths, size), strict=True)
    return torch.cat(images), np.concatenate(sizes)


@torch.no_grad()
def extract(network, paths, file):
    """Write the maps of the images to a file as a .npy array (images, R C, F) fp16; returns sizes_B2."""
    (rows, columns), sizes = network.grid, []
    shape = (len(paths), rows * columns, network.channels)
    np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
    todo = batches(paths, network.size)
    for image_BHW3, sizes_B2 in tqdm(todo, "features", -(-len(paths) // BATCH), disable=None):
        with precision():
            map_BRCF = network(image_BHW3).float()
        bad_B = ~(map_BRCF.abs() <= LARGEST_FP16).flatten(1).all(1)
        if bad_B.any():
            path = paths[sum(map(len, sizes)) + bad_B.int().argmax().item()]
            raise ValueError(f"{path}: its features are not finite in fp16; check the weights of the eyes")
        file.write(map_BRCF.half().numpy().astype("<f2").tobytes())
        sizes.append(sizes_B2)
    return np.concatenate(sizes)

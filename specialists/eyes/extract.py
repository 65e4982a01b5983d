"""From image files to files of features: in bounded memory, decoded on all cores while the network computes.

B images, H W pixels, R rows and C columns of cells, F channels
"""

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from tqdm import tqdm

from specialists.base.files import read_json, replacing, write_json
from specialists.base.runtime import precision
from specialists.data import png, shards
from specialists.eyes import weights
from specialists.training.checkpoint import place

BATCH = 64
SHARD = BATCH * BATCH  # images of a file, 1.6 GB of the largest maps; a killed run loses one at most
LARGEST_FP16 = 65504


def batches(paths, size, formats=("PNG",)):
    """Yield (image_BHW3, sizes_B2) over the files in order, the next batch being decoded meanwhile."""

    def submit(start):
        return [pool.submit(png.read, path, size, formats) for path in paths[start : start + BATCH]]

    with ThreadPoolExecutor() as pool:
        ahead = submit(0)
        for start in range(0, len(paths), BATCH):
            ready, ahead = ahead, submit(start + BATCH)
            pixels, sizes = zip(*(future.result() for future in ready), strict=True)
            yield torch.from_numpy(np.stack(pixels)), np.array(sizes)


def load(paths, size, formats=("PNG",)):
    """All the images at once: (image_BHW3, sizes_B2)."""
    images, sizes = zip(*batches(paths, size, formats), strict=True)
    return torch.cat(images), np.concatenate(sizes)


@torch.no_grad()
def maps(network, paths, formats=("PNG",)):
    """Yield (map_BRCF in fp16, sizes_B2) over the files in order."""
    seen, todo = 0, batches(paths, network.size, formats)
    for image_BHW3, sizes_B2 in tqdm(todo, "features", -(-len(paths) // BATCH), disable=None):
        with precision():
            map_BRCF = network(image_BHW3).float()
        bad_B = ~(map_BRCF.abs() <= LARGEST_FP16).flatten(1).all(1)
        if bad_B.any():
            path = paths[seen + bad_B.int().argmax().item()]
            raise ValueError(f"{path}: its features are not finite in fp16; check the weights of the eyes")
        yield map_BRCF.half().numpy().astype("<f2"), sizes_B2
        seen += len(sizes_B2)


def extract(network, paths, path):
    """Write the maps of the images as shards of `path`, (images, R C, F) fp16; returns (sizes_N2, the files).

    Those that are whole wait in scratch/ for the others, so that a killed run goes on with the next.
    """
    eyes, sizes, waiting = hashlib.sha256(weights.content(network)).hexdigest(), [], {}
    for index, first in enumerate(range(0, len(paths), SHARD)):
        file, some = shards.name(path, index), paths[first : first + SHARD]
        waiting[file] = place(file.name, some, eyes)
        if not waiting[file].exists():
            _shard(network, some, waiting[file])
        sizes += read_json(waiting[file].with_suffix(".json"))
    for file, whole in waiting.items():
        shutil.move(whole, file)
        whole.with_suffix(".json").unlink()
    return np.array(sizes), [*waiting]


def _shard(network, paths, path):
    """Write the sizes of the images beside the maps, and first: maps that are there are whole."""
    (rows, columns), sizes = network.grid, []
    shape = (len(paths), rows * columns, network.channels)
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    list(map(os.remove, path.parent.glob(f".{path.name}.*.tmp")))  # of killed runs
    with replacing(path) as draft:
        with open(draft, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for map_BRCF, sizes_B2 in maps(network, paths):
                file.write(map_BRCF.tobytes())
                sizes += sizes_B2.tolist()
        write_json(path.with_suffix(".json"), sizes)

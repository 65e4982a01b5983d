"""What every CIFAR network reads: small images in bf16, resident in memory, and their labels.

images.safetensors   image (images, 32, 32, 3) bfloat16; label, group int64 (images);
                     train, select, report: the rows of each split, int64
meta.json            reader; answers (the classes), families (the superclasses), how the images were made,
                     splits, digest of the other
"""

from dataclasses import dataclass

import torch
from safetensors.torch import load_file

from specialists.answers import label
from specialists.base.files import DAMAGED, read_json
from specialists.base.runtime import DEVICE, dtype
from specialists.data import columns
from specialists.data.splits import SPLITS


@dataclass(frozen=True)
class Images:
    columns: dict[str, torch.Tensor]
    meta: dict
    task = label

    def rows(self, split):
        return self.columns[split].cpu()

    def order(self, batch, generator):
        """A permutation of train in full batches, for compiled code wants one shape; the rest is left out."""
        order = torch.randperm(len(self.columns["train"]), generator=generator)
        return order[: max(len(order) - len(order) % batch, min(batch, len(order)))]

    def batch(self, rows):
        """((image_B3HW,), label_B), channels last."""
        rows = rows.to(DEVICE, non_blocking=True)
        image_BHW3 = self.columns["image"][rows].to(dtype())
        return (image_BHW3.permute(0, 3, 1, 2),), self.columns["label"][rows]

    def targets(self, rows):
        return self.columns["label"].cpu()[rows]

    def groups(self, rows):
        """The superclass of each row, a position in `group_names`."""
        return self.columns["group"].cpu()[rows]

    @property
    def group_names(self):
        return self.meta["families"]

    @property
    def shape(self):
        """What the data give to a network: the number of classes."""
        return (len(self.meta["answers"]),)


def load(folder):
    meta = read_json(folder / "meta.json")
    try:
        found, one = load_file(folder / "images.safetensors"), (torch.int64, "N")
        kinds = {"image": (torch.bfloat16, "NHW3"), "label": one, "group": one}
        last = {"label": len(meta["answers"]) - 1, "group": len(meta["families"]) - 1}
        columns.checked(found, kinds, last)
        for split in SPLITS:
            columns.checked(found, {split: one}, {split: len(found["label"]) - 1})
    except DAMAGED as error:
        raise ValueError(f"{folder}: cannot be read ({error}); run the features stage again") from None
    return Images({name: column.to(DEVICE) for name, column in found.items()}, meta)

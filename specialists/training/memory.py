"""How much a training step keeps until its backward pass, which decides what batch fits."""

from torch.autograd.graph import saved_tensors_hooks


def kept(ensemble, inputs, loss):
    """MiB of the tensors that one forward pass saves, without the parameters; each storage counts once."""
    own = {each.untyped_storage().data_ptr() for each in ensemble.parameters()}
    found = {}

    def save(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes(), tensor  # held, so that no other takes its place
        return tensor

    with saved_tensors_hooks(save, lambda tensor: tensor):
        loss(ensemble(*inputs))
    return sum(size for size, _ in found.values()) / 2**20

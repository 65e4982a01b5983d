"""What a stage that trains leaves behind: weights, a curve, and what computed them; the checkpoint goes."""

from specialists.answers import ensemble as members
from specialists.base import environment
from specialists.base.files import write_json


def write(ensemble, weights, name, record, seconds, scratch):
    """models/... as `weights` says, metrics/curves/NAME.json, metrics/environment/NAME.json."""
    members.save(ensemble, weights)
    write_json(f"metrics/curves/{name}.json", record)
    environment.write(name, seconds, weights)
    scratch.unlink(missing_ok=True)

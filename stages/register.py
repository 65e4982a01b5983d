"""python -m stages.register NAME

Register a model file in MLflow as the newest version of the model NAME. Unless it comes from an experiment,
it becomes the champion of NAME:

    python -m tools.serve models:/NAME@champion

reads   params: data.root; models/onnx/NAME-int8.onnx, an image of data.root
writes  MLflow's registry, in mlflow.db of the main checkout, or where MLFLOW_TRACKING_URI points
"""

import os

from specialists.base.command import run
from specialists.base.params import read
from specialists.data.clevr import official
from specialists.tracking.store import Store, alone, reachable


def main(name: str):
    if os.getenv("DVC_EXP_NAME"):
        print("an experiment: the champion stays what it is")
        return
    picture = official.read(read("data.root", str), "val").images[0]
    with reachable(), alone():
        from specialists.serving.served import register  # loads mlflow, which --help does not need

        version = register(Store(), name, f"models/onnx/{name}-int8.onnx", picture)
        print(f"models:/{name}@champion is version {version}")


if __name__ == "__main__":
    run(main)

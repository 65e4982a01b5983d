"""python -m stages.register NAME

Register a model file in MLflow as the newest version of the model NAME, and call it its champion, unless it
is that of an experiment:

    mlflow models serve -m models:/NAME@champion --env-manager local

reads   models/onnx/NAME-int8.onnx, an image of data.root
writes  MLflow's registry, in mlflow.db of the main checkout, or where MLFLOW_TRACKING_URI points
"""

import os

from specialists.data import clevr
from specialists.params import read
from specialists.tracking import Store, alone, reachable
from stages import run


def main(name: str):
    if os.getenv("DVC_EXP_NAME"):
        print("an experiment: the champion stays what it is")
        return
    picture = clevr.read(read("data.root", str), "val").images[0]
    with reachable(), alone():
        from specialists.served import register  # which loads mlflow, for which --help need not wait

        version = register(Store(), name, f"models/onnx/{name}-int8.onnx", picture)
        print(f"models:/{name}@champion is version {version}")


if __name__ == "__main__":
    run(main)

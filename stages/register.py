"""python -m stages.register NAME

Register a model file in MLflow as the newest version of the model NAME, and call it its champion:

    mlflow models serve -m models:/NAME@champion --env-manager local

reads   models/onnx/NAME-int8.onnx, an image of data.root
writes  MLflow's registry, in mlflow.db of the main checkout, or where MLFLOW_TRACKING_URI points
"""

from specialists.data import clevr
from specialists.params import read
from specialists.tracking import Store, alone, reachable
from stages import run


def main(name: str):
    picture = clevr.read(read("data.root", str), "val").images[0]
    with reachable(), alone():
        from specialists.served import register  # which loads mlflow, for which --help need not wait

        version = register(Store(), name, f"models/onnx/{name}-int8.onnx", picture)
        print(f"models:/{name}@champion is version {version}")


if __name__ == "__main__":
    run(main)

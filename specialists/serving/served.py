"""A model file as MLflow serves it: pictures and questions in, answers out, mistakes as HTTP 400."""

import base64
import hashlib
from pathlib import Path

import mlflow
import pandas
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema

from specialists.serving.answering import Onnx, best

INPUTS = ("image", "question")
NULL = "None"  # what MLflow makes of null
QUESTION = "How many red cubes are there?"
ROOT = Path(__file__).parents[2]
SOURCES = ("serving/answering", "serving/served", "data/png", "data/text")  # what an answer comes from
NEEDED = {"mlflow", "numpy", "onnxruntime", "pillow"}  # of requirements.txt, to answer


class Refused(MlflowException):
    """An error of one line: MLflow would put the whole request, picture and all, before it.

    It still does so for a request that MLflow itself refuses, because of an unknown field.
    """

    message = property(lambda self: self.line, lambda self, text: self.__dict__.setdefault("line", text))


class Served(PythonModel):
    def load_context(self, context):
        self.model = Onnx(context.artifacts["onnx"])

    def predict(self, context, model_input, params=None):
        try:
            return [self.answer(asked) for asked in model_input.to_dict("records") or [{}]]
        except ValueError as error:
            raise Refused.invalid_parameter_value(str(error)) from None

    def answer(self, asked):
        for name in INPUTS:
            if asked.get(name, NULL) == NULL or not isinstance(asked[name], str):
                raise ValueError(f"{name}: is missing, expected text")
        try:
            content = base64.b64decode("".join(asked["image"].split()), validate=True)
        except ValueError as error:
            raise ValueError(f"image: not base64 ({error})") from None
        first, *others = best(self.model(content, asked["question"]).mean(0), self.model.about["answers"], 4)
        return first | {"runners_up": others}


def register(store, name, path, picture):
    """The newest version of the model `name`, called its champion; the same file and code are one version."""
    code = [ROOT / f"specialists/{source}.py" for source in SOURCES]
    digest = hashlib.sha256(b"".join(Path(p).read_bytes() for p in (path, *code))).hexdigest()[:16]
    known = store.client.search_model_versions(f"name = '{name}' and tags.digest = '{digest}'")
    version = known[0].version if known else _new(store, name, path, picture, digest)
    store.client.set_registered_model_alias(name, "champion", version)
    return version


def _new(store, name, path, picture, digest):
    with mlflow.start_run(experiment_id=store.id, run_name=f"{name} (model)", tags={"kind": "model"}):
        made = mlflow.pyfunc.log_model(name=name, registered_model_name=name, **contents(path, picture))
    store.client.set_model_version_tag(name, made.registered_model_version, "digest", digest)
    return made.registered_model_version


def saved(path, picture, folder):
    """The model as a folder, for a server that needs no registry."""
    mlflow.pyfunc.save_model(folder, **contents(path, picture))


def contents(path, picture):
    """What MLflow gets for a model file, with an example of a question and its answer."""
    asked = {"image": base64.b64encode(Path(picture).read_bytes()).decode(), "question": QUESTION}
    served, example = Served(), pandas.DataFrame([asked])
    served.model = Onnx(path)
    outputs = infer_signature(example, [served.answer(asked)]).outputs
    pins = [line for line in (ROOT / "requirements.txt").read_text().split() if line.split("==")[0] in NEEDED]
    # Not required: `answer` says what is missing, for MLflow would repeat the picture in full.
    inputs = Schema([ColSpec("string", name, required=False) for name in INPUTS])
    del served.model  # which load_context opens
    return {
        "python_model": served,
        "artifacts": {"onnx": str(path)},
        "code_paths": [str(ROOT / "specialists")],
        "pip_requirements": pins,
        "signature": ModelSignature(inputs, outputs),
        "input_example": example,
    }

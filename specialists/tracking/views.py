"""What MLflow's pages keep with an experiment: a note, and views; without views a list shows no number."""

import json

NOTE = """One run for each cell of the table, under the run that holds means over seeds, table and figures,
and stands for the row with the highest top-1 where it is compared. Tags to filter by: dataset, network,
method, k, seed, commit; and state, which is `current` for the table as it is, `superseded`, or
`experiment`. Metrics without a prefix are of the split `report`; select/ is where choices are made; curve/
goes by epoch. Under Views, at the top right: `cells of the table`, the best first; `networks
alone`; `tables`, the newest first; `experiments`, the best on select first."""
TOP1, ORACLE, SELECT = "metrics.`top1`", "metrics.`oracle`", "metrics.`select/top1`"
# key: (name, filter of runs, what sorts them in descending order, columns)
VIEWS = {
    "cells": (
        "cells of the table",
        "tags.lane = 'table' and tags.state = 'current'",
        TOP1,
        [TOP1, ORACLE, "metrics.`ece`", SELECT],
    ),
    "singles": (
        "networks alone",
        "tags.lane = 'single' and tags.state = 'current'",
        TOP1,
        [TOP1, "metrics.`parameters`", SELECT],
    ),
    "tables": (
        "tables",
        "tags.kind = 'table'",
        "attributes.start_time",
        [TOP1, ORACLE, "params.`cell.row`", "tags.`state`", "tags.`commit`"],
    ),
    "experiments": (
        "experiments",
        "tags.state = 'experiment'",
        SELECT,
        [TOP1, ORACLE, SELECT, "params.`cell.k`", "tags.`experiment`"],
    ),
}


def tags():
    """The tags of an experiment that MLflow's pages read."""
    saved = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": NOTE}
    for key, (name, query, order, columns) in VIEWS.items():
        state = {"searchFilter": query, "orderByKey": order, "orderByAsc": False, "selectedColumns": columns}
        view = {"name": name, "createdAt": 0, "state": json.dumps(state | {"runsHiddenMode": "SHOW_ALL"})}
        saved[f"mlflow.sharedViewState.{key}"] = json.dumps(view)
    return saved

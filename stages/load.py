"""python -m stages.load [--quick]

How fast questions are answered, by the ensemble and by the student, in fp32 and in int8: in this process, from
the bytes of a picture and from what the eyes saw of it, and through MLflow's server by 1, 4 and 16 clients who
ask as soon as they are answered. Prints two tables in markdown, measured in one run.

reads   params: threads, networks, network, method, k, seed, distill.network, distill.champion; data/features,
        models/onnx, models/cells
writes  nothing that stays
"""

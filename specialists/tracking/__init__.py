"""Only this package knows DVC's files; MLflow is also known in serving/served.py."""

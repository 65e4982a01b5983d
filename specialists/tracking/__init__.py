"""DVC's files and MLflow: no other package knows them, except serving/served.py, which knows MLflow."""

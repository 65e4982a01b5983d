"""The only room that knows DVC's files and MLflow."""

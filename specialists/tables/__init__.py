"""From the metrics of cells to tables and pictures."""

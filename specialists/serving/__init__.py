"""From a cell of a table to a file that answers questions, and to a server."""

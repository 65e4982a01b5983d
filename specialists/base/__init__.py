"""What everything stands on: files, params, arithmetic, the record of the machine, the command line."""

"""One file a command: ``HELP``, ``add_arguments(parser)`` and ``run(arguments)``, which returns the exit code."""

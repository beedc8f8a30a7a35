"""`python -m agent0` is the command line."""

from agent0.cli.main import main

main()

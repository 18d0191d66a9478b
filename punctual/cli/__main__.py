"""`python -m punctual.cli`: the same as the `punctual` command."""

from punctual.cli import main

main()

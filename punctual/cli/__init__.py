"""The command line: a module per topic; a command imports what it runs when it runs, so that `punctual --help` is quick."""

from punctual.cli import company, forecast, messages, running, schedule
from punctual.cli.frame import main

__all__ = ["company", "forecast", "main", "messages", "running", "schedule"]

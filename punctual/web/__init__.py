"""The doors: parse, authorise, call one verb, render."""

"""The part that decides: pure functions over values, standard library and NumPy only."""

"""The ways out, a file each."""

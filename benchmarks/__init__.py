"""Measures the product against the goals that its documentation names. `make bench` runs all of it."""

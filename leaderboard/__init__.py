"""Pins up results: verifies, re-grades, compares and renders runs."""

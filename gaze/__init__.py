"""Which patches of a video are worth encoding: AutoGaze, other selectors and their controls."""

"""Sits the exam: models with and without gaze, through lmms-eval."""

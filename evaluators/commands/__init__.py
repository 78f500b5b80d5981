"""What `hlvid-eval` can do, a file for each group of commands. Heavy imports stay in functions."""

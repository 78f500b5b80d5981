"""Training AutoGaze: reconstructions, labels, clips, the two stages, the loop, the measurement."""

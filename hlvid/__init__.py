"""The exam: what a question is, how an answer is marked, how a video is read."""

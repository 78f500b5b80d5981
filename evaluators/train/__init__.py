"""Training the MLLM that ships, `qwen3-mini`: what it is shown and asked, its heads, its card."""

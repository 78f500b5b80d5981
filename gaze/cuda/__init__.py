"""The GPU path: Triton kernels over fixed lanes, as CUDA graphs. Imported only when used."""

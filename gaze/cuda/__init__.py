"""The GPU path: Triton kernels over fixed lanes, replayed as CUDA graphs. Imported only when used."""

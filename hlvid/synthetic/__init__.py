"""hlvid-synthetic: a seeded renderer of what HLVid asks for, under a name of its own.

`generate` and `benchmark` make layouts and questions without a single pixel; `render` draws and
encodes the videos and writes the benchmark's folder.
"""

from hlvid.synthetic.generation import NAME, benchmark, generate
from hlvid.synthetic.rendering import Rendered, render
from hlvid.synthetic.scene import RenderSettings, Scene

__all__ = ["NAME", "RenderSettings", "Rendered", "Scene", "benchmark", "generate", "render"]

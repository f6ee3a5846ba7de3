"""One thread a process: tests run side by side."""

import contextlib

with contextlib.suppress(ImportError):
    import torch

    torch.set_num_threads(1)

"""Writes the golden file from PyTorch: ``python -m tests.golden.make``."""

import numpy as np
import torch

from tests.golden.cases import FILE, key, results

if __name__ == "__main__":
    torch.set_num_threads(1)
    arrays = {key(name, i): a for name, parts in results(torch).items() for i, a in enumerate(parts)}
    np.savez_compressed(FILE, **{k: a.astype(np.float32) if a.dtype == np.float64 else a for k, a in arrays.items()})
    print(f"{len(arrays)} arrays, {FILE.stat().st_size / 1024:.0f} KiB")

"""The tests compare what they train with what jobs do: like those, with one thread for linear algebra, which else gives other bits on some processors."""

import os
import sys

assert "numpy" not in sys.modules, "the number of threads is read when NumPy is imported"
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

"""Makes parabola.npz: 1,000 points of y = x^2 with normal noise of standard deviation 0.1, x from -1 to 1."""

from pathlib import Path

import numpy as np

import engine

engine.manual_seed(1)
x = engine.linspace(-1, 1, 1000).unsqueeze(1)
y = x.pow(2) + 0.1 * engine.normal(engine.zeros(*x.size()))
np.savez_compressed(Path(__file__).with_name("parabola.npz"), x=x.numpy(), y=y.numpy())

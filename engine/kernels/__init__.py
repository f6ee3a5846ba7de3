"""Kernels of our own. ``native`` is the door to those for the CPU, in C++; without them everything runs on NumPy."""

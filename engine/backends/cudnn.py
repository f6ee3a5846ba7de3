"""Settings that programs make for cuDNN: kept, without effect, for kernels are deterministic here."""

enabled = benchmark = allow_tf32 = False
deterministic = True


def is_available() -> bool:
    return False


def version() -> None:
    """None: there is no cuDNN."""

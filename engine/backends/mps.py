"""Apple's GPUs: none is ever there."""


def is_available() -> bool:
    return False


def is_built() -> bool:
    return False

"""Learning-rate decay: a pure function of the epoch."""


def decayed(eta: float, decay: float, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 1: η·decayᵉ⁻¹."""
    return eta * float(decay ** (epoch - 1))

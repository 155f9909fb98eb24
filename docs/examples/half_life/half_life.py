"""The network setting `half_life`: the epochs after which the learning rate is halved. It sets the decay."""

from coarsefine import NetworkSetting


def decay(half_life, others):
    """Return the factor on the learning rate after each epoch."""
    return 0.5 ** (1 / half_life)


HALF_LIFE = NetworkSetting(
    symbol="T½",
    title="half-life of η, epochs",
    noun="the half-life of η",
    help="Number of epochs after which η is halved.",
    above=0,
    sets="decay",
    value=decay,
)

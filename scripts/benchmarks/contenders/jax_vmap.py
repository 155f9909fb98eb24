"""JAX: one trial's loss, `value_and_grad`, `vmap` over the trials, an epoch as one jitted `lax.scan`, buffers donated.

Tried, and slower here: a Python loop over jitted steps, images gathered before the scan instead of in it, and the
layout x @ W1.T (by 4, 10 and 20 %). XLA runs on one core with `--xla_cpu_multi_thread_eigen=false`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders.network import Way
from benchmarks.task import Arrays, Task, draw_stack

Weights = tuple[jax.Array, ...]


def _logits(theta: Weights, x: jax.Array) -> jax.Array:
    W1, b1, W2, b2 = theta
    return W2 @ jax.nn.relu(W1 @ x.T + b1[:, None]) + b2[:, None]


def _loss(theta: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
    return -jax.nn.log_softmax(_logits(theta, x), axis=0)[y, jnp.arange(len(y))].mean()


class Jax:
    """Trains with one compilation for each width, in the first epoch."""

    ways: ClassVar[list[Way]] = [{"width": width} for width in (8, 4, 12, 16)]

    def __init__(self, task: Task, arrays: Arrays) -> None:
        self._task = task
        self._x, self._y = jnp.asarray(arrays.x), jnp.asarray(arrays.y.astype(np.int32))
        self._x_validation = jnp.asarray(arrays.x_validation)
        self._y_validation = jnp.asarray(arrays.y_validation.astype(np.int32))

    def begin(self, way: Way) -> None:
        """Draw weights; no momentum yet."""
        t, T = self._task, way["width"]
        self._theta: Weights = tuple(map(jnp.asarray, draw_stack(t, T)))
        self._v: Weights = jax.tree.map(jnp.zeros_like, self._theta)
        self._train = _epoch(jnp.full(T, t.eta), jnp.full(T, t.lam), t.rho)
        self._rng = np.random.default_rng(0)

    def epoch(self) -> list[float]:
        """Train on shuffled mini-batches, then evaluate."""
        order = self._rng.permutation(len(self._y)).reshape(-1, self._task.batch)
        self._theta, self._v, losses = self._train(self._theta, self._v, self._x, self._y, jnp.asarray(order))
        np.asarray(_accuracy(self._theta, self._x_validation, self._y_validation))
        return [float(loss) for loss in np.asarray(losses)]


def _epoch(eta: jax.Array, lam: jax.Array, rho: float) -> Callable[..., Any]:
    @partial(jax.vmap, in_axes=(0, 0, 0, 0, None, None))
    def step(theta: Weights, v: Weights, eta: jax.Array, lam: jax.Array, x: jax.Array, y: jax.Array) -> Any:
        loss, (W1, b1, W2, b2) = jax.value_and_grad(_loss)(theta, x, y)
        gradients = (W1 + 2 * lam * theta[0], b1, W2 + 2 * lam * theta[2], b2)
        v = jax.tree.map(lambda velocity, slope: rho * velocity + eta * slope, v, gradients)
        return jax.tree.map(jnp.subtract, theta, v), v, loss

    @partial(jax.jit, donate_argnums=(0, 1))
    def epoch(theta: Weights, v: Weights, x: jax.Array, y: jax.Array, order: jax.Array) -> Any:
        def body(carried: tuple[Weights, Weights], chosen: jax.Array) -> Any:
            theta, v, loss = step(*carried, eta, lam, x[chosen], y[chosen])
            return (theta, v), loss

        (theta, v), losses = jax.lax.scan(body, (theta, v), order)
        return theta, v, losses.mean(axis=0)

    return epoch


@jax.jit
def _accuracy(theta: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
    return (jax.vmap(_logits, in_axes=(0, None))(theta, x).argmax(axis=1) == y).mean(axis=1)

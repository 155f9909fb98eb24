"""PyTorch with several trials at once, written by someone who knows what each operation costs.

Of four ways the fastest is timed:

- `bmm`: `baddbmm` over the trials, autograd; the usual first attempt.
- `product`: the images are the same for all trials, so the first layer is one product with all trials' W1; autograd.
- `compiled`: the same, the momentum update through `torch.compile` (needs a C++ compiler).
- `by hand`: no autograd, the products written in place with `addmm_` and `baddbmm_`, momentum in its two-buffer form.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch.nn import functional

from benchmarks.contenders.network import Way
from benchmarks.task import CLASSES, Arrays, Task, draw_stack

torch.set_num_threads(1)
Tensors = list[torch.Tensor]


class Stacked:
    """W1 (T, m, d), b1 (T, m), W2 (T, C, m), b2 (T, C); η and λ of each trial are columns (T, 1, 1)."""

    ways: ClassVar[list[Way]] = [
        {"width": width, "form": form} for form in ("product", "by hand", "compiled") for width in (8, 4, 12, 16)
    ] + [{"width": width, "form": "bmm"} for width in (4, 8)]

    def __init__(self, task: Task, arrays: Arrays) -> None:
        self._task = task
        self._x, self._y = torch.from_numpy(arrays.x), torch.from_numpy(arrays.y)
        self._x_validation = torch.from_numpy(arrays.x_validation)
        self._y_validation = torch.from_numpy(arrays.y_validation)

    def begin(self, way: Way) -> None:
        """Draw weights; no momentum yet."""
        t, T = self._task, way["width"]
        theta = [torch.from_numpy(array) for array in draw_stack(t, T)]
        eta, lam = torch.full((T, 1, 1), t.eta), torch.full((T, 1, 1), t.lam)
        kind = ByHand if way["form"] == "by hand" else Autograd
        self._way: Autograd | ByHand = kind(theta, eta, lam, t.rho, way["form"])

    def epoch(self) -> list[float]:
        """Train on shuffled mini-batches, then evaluate."""
        n, total = len(self._y), torch.zeros(())
        x = torch.empty(self._task.batch, self._x.shape[1])
        for chosen in torch.randperm(n).split(self._task.batch):
            torch.index_select(self._x, 0, chosen, out=x)
            total = total + self._way.step(x, self._y[chosen])
        with torch.inference_mode():
            hits = self._way.logits(self._x_validation).argmax(dim=2) == self._y_validation
            hits.float().mean(dim=1).tolist()
        return (total / n).tolist()


class Autograd:
    """Logits (T, b, C), gradients by autograd, momentum by in-place operations on whole stacks."""

    def __init__(self, theta: Tensors, eta: torch.Tensor, lam: torch.Tensor, rho: float, form: str) -> None:
        self._theta = [tensor.requires_grad_() for tensor in theta]
        self._v = [torch.zeros_like(tensor) for tensor in theta]
        self._rates = (eta, lam, rho)
        self._one_product = form != "bmm"
        self._update: Callable[..., None] = _compiled_momentum() if form == "compiled" else _momentum

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return Z (T, b, C)."""
        W1, b1, W2, b2 = self._theta
        T, m, _ = W1.shape
        if self._one_product:
            H = functional.linear(x, W1.flatten(0, 1), b1.flatten()).relu().view(-1, T, m).transpose(0, 1)
        else:
            H = torch.baddbmm(b1[:, None], x.expand(T, -1, -1), W1.transpose(1, 2)).relu()
        return torch.baddbmm(b2[:, None], H, W2.transpose(1, 2))

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Take one step; return each trial's summed loss, (T,)."""
        Z = self.logits(x)
        T, b, C = Z.shape
        losses = functional.cross_entropy(Z.reshape(T * b, C), y.repeat(T), reduction="none").view(T, b).sum(dim=1)
        gradients = torch.autograd.grad(losses.sum() / b, self._theta)
        with torch.no_grad():
            self._update(self._theta, self._v, gradients, *self._rates)
        return losses.detach()


def _momentum(
    theta: Tensors, v: Tensors, gradients: Sequence[torch.Tensor], eta: torch.Tensor, lam: torch.Tensor, rho: float
) -> None:
    for tensor, velocity, gradient in zip(theta, v, gradients, strict=True):
        if tensor.ndim == 3:  # noqa: PLR2004 - weights have a penalty, biases none
            velocity.mul_(rho).addcmul_(eta, gradient.addcmul_(2 * lam, tensor))
        else:
            velocity.mul_(rho).addcmul_(eta[..., 0], gradient)
        tensor.sub_(velocity)


def _compiled_momentum() -> Callable[..., None]:
    def momentum(
        theta: Tensors, v: Tensors, gradients: Sequence[torch.Tensor], eta: torch.Tensor, lam: torch.Tensor, rho: float
    ) -> None:
        # The compiler does in one pass what in-place operations do in several, if it is given the whole formula.
        for tensor, velocity, gradient in zip(theta, v, gradients, strict=True):
            weights = tensor.ndim == 3  # noqa: PLR2004
            slope = gradient + 2 * lam * tensor if weights else gradient
            velocity.mul_(rho).add_((eta if weights else eta[..., 0]) * slope)
            tensor.sub_(velocity)

    return torch.compile(momentum, dynamic=False)


class ByHand:
    """The gradient written by hand. Two buffers, θ and θ_prev, swap names: θ_next = (1 + ρ)·θ − ρ·θ_prev − η·∂J/∂θ."""

    def __init__(self, theta: Tensors, eta: torch.Tensor, lam: torch.Tensor, rho: float, _: str) -> None:
        self._theta, self._previous = theta, [tensor.clone() for tensor in theta]
        self._eta, self._rho, self._shrink = eta, rho, 1 + rho - 2 * eta * lam

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return Z (T, b, C)."""
        return self._forward(x)[1].transpose(1, 2)

    def _forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        W1, b1, W2, b2 = self._theta
        T, m, _ = W1.shape
        H = torch.addmm(b1.view(-1, 1), W1.flatten(0, 1), x.t()).relu_().view(T, m, -1)
        return H, torch.baddbmm(b2[..., None], W2, H)

    @torch.inference_mode()
    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Take one step; return each trial's summed loss, (T,)."""
        H, Z = self._forward(x)
        T, _, b = Z.shape
        P = Z.softmax(dim=1)
        target = y.expand(T, 1, b)
        losses = -P.gather(1, target).log_().sum(dim=(1, 2))
        G = P.sub_(functional.one_hot(y, CLASSES).t()).mul_(self._eta / b)
        self._update(x, H, G)
        return losses

    def _update(self, x: torch.Tensor, H: torch.Tensor, G: torch.Tensor) -> None:
        W1, b1, W2, b2 = self._theta
        D = torch.bmm(W2.transpose(1, 2), G).mul_(H > 0)
        p1, c1, p2, c2 = self._previous
        p1.flatten(0, 1).addmm_(D.flatten(0, 1), x, beta=-self._rho, alpha=-1)
        p1.addcmul_(self._shrink, W1)
        p2.baddbmm_(G, H.transpose(1, 2), beta=-self._rho, alpha=-1).addcmul_(self._shrink, W2)
        c1.mul_(-self._rho).sub_(D.sum(dim=2)).add_(b1, alpha=1 + self._rho)
        c2.mul_(-self._rho).sub_(G.sum(dim=2)).add_(b2, alpha=1 + self._rho)
        self._theta, self._previous = self._previous, self._theta

"""Peer `jax`: the loop as one XLA program, in float64 on the CPU; gradients derived by hand.

`lax.scan` over the epochs would work, but its number of steps is part of the program, so every new
number of epochs would need another compilation. So `lax.fori_loop` stores the states in a buffer,
as a scan does, and just as fast. The program is compiled once for each shape of X. It makes up to
4096 steps and stores every state; Python then keeps every `every`-th.

XLA ignores OMP_NUM_THREADS and similar variables; it reads NPROC once, when it starts. So this
module sets NPROC, in order to use as many threads as the others.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import ArrayLike

from gradrace.backends.interface import Trajectory, check_samples, check_schedule, recorded_epochs

if "OMP_NUM_THREADS" in os.environ:
    os.environ.setdefault("NPROC", os.environ["OMP_NUM_THREADS"])
jax.config.update("jax_enable_x64", True)

_STEPS = 4096  # states that the buffer holds


def prepare(X: ArrayLike, y: ArrayLike) -> tuple[Any, Any]:
    """Return Xᵀ (d, n), whose products XLA computes faster than those with X, and y (n,)."""
    X, y = check_samples(X, y)
    cpu = jax.devices("cpu")[0]
    return jax.device_put(X.T.copy(), cpu), jax.device_put(y.copy(), cpu)


def train(
    data: tuple[Any, Any],
    *,
    lr: float,
    epochs: int,
    w0: ArrayLike | None = None,
    b0: float = 0.0,
    every: int = 1,
) -> Trajectory:
    """Make `epochs` updates from (w0, b0) at the learning rate lr; record every `every`-th state.

    `w0` is of shape (d,), zeros if None.

    Raises:
        InputTypeError, InputValueError: see `interface.check_schedule`.

    """
    Xt, y = data
    lr, epochs, w, b, every = check_schedule(len(Xt), lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    path = Trajectory(epoch, np.empty((len(epoch), len(w))), *np.empty((2, len(epoch))))
    state = jax.device_put((w, np.float64(b)), Xt.sharding)  # as `_advance` returns it

    for start in range(0, epochs + 1, _STEPS):
        steps = min(_STEPS, epochs + 1 - start)
        state, *stored = _advance(Xt, y, state, lr, steps)
        rows = slice(*np.searchsorted(epoch, [start, start + steps]))
        for kept, values in zip(path[1:], stored, strict=True):
            kept[rows] = np.asarray(values)[epoch[rows] - start]  # waits for the result

    return path


def _loop(Xt: Any, y: Any, state: Any, lr: Any, steps: Any) -> Any:
    """Make up to 4096 `steps` from `state` = (w, b).

    Returns:
        The next state, and the w (4096, d), b (4096,) and L (4096,) before each step.

    """
    d, n = Xt.shape

    def step(k: Any, carry: Any) -> Any:
        w, b, path_w, path_b, path_loss = carry
        r = w @ Xt + b - y  # ŷ = Xw + b; r = ŷ − y
        path_w = path_w.at[k].set(w)
        path_b = path_b.at[k].set(b)
        path_loss = path_loss.at[k].set(jnp.dot(r, r) / n)  # L = (1/n) Σ rᵢ²
        grad_w = 2.0 / n * (Xt @ r)  # ∂L/∂w = (2/n) Xᵀr
        grad_b = 2.0 / n * r.sum()  # ∂L/∂b = (2/n) Σ rᵢ
        w = w - lr * grad_w  # w ← w − α ∂L/∂w
        b = b - lr * grad_b  # b ← b − α ∂L/∂b
        return w, b, path_w, path_b, path_loss

    buffers = jnp.empty((_STEPS, d)), jnp.empty(_STEPS), jnp.empty(_STEPS)
    w, b, *path = lax.fori_loop(0, steps, step, (*state, *buffers))
    return (w, b), *path


_advance = jax.jit(_loop)

"""Peer `torch`: tensors of PyTorch in float64 on the CPU; gradients derived by hand, no autograd.

Any call of PyTorch takes about a microsecond, so an epoch makes few of them. With A = [X 1] and
θ = (w, b), these are a product for r = Aθ − y, the sum Σ rᵢ², a product for Aᵀr, and the update.
The results go to buffers that are allocated beforehand.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from gradrace.backends.interface import Trajectory, check_samples, check_schedule, recorded_epochs


def prepare(X: ArrayLike, y: ArrayLike) -> tuple[Any, Any]:
    """Return Aᵀ = [X 1]ᵀ, of shape (d + 1, n), and y (n,) as float64 tensors."""
    X, y = check_samples(X, y)
    return torch.from_numpy(np.vstack([X.T, np.ones(len(y))])), torch.from_numpy(y.copy())


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
    At, y = data
    d, n = At.shape[0] - 1, At.shape[1]
    lr, epochs, w, b, every = check_schedule(d, lr, epochs, w0, b0, every)
    epoch = recorded_epochs(epochs, every)
    with torch.inference_mode():
        path, squares = _loop(At, y, torch.from_numpy(np.append(w, b)), lr, epochs, every)
    theta = path.numpy()
    return Trajectory(epoch, theta[:, :d].copy(), theta[:, d].copy(), squares.numpy() / n)


def _loop(At: Any, y: Any, theta: Any, lr: float, epochs: int, every: int) -> tuple[Any, Any]:
    """Return the recorded θ, of shape (m, d + 1), and Σ rᵢ² (m,); `theta` is overwritten."""
    A, n, rows = At.T, len(y), len(recorded_epochs(epochs, every))
    r, grad = torch.empty_like(y), torch.empty_like(theta)
    path, squares = theta.new_empty((rows, len(theta))), theta.new_empty(rows)
    row = 0

    for k in range(epochs + 1):
        torch.addmv(y, A, theta, beta=-1, out=r)  # ŷ = Xw + b; r = ŷ − y
        if k % every == 0 or k == epochs:
            path[row] = theta
            torch.dot(r, r, out=squares[row])
            row += 1
        torch.mv(At, r, out=grad)
        theta.sub_(grad, alpha=lr * (2.0 / n))  # θ ← θ − α (2/n) Aᵀr

    return path, squares

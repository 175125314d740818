"""The two passes of `gram`: sums of products of the columns, and the triangular factor.

A = [1 X y] has n rows and p = d + 2 columns. `products` returns S = AᵀA; `triangle` returns R of
A = QR, computed block by block by modified Gram-Schmidt, in which the result so far takes the place
of the rows before. R is stored by columns, so row k of the array is column k.

A pass would wait for the first-level cache if every product of two columns were computed by itself,
which takes two loads per multiply-add. So two columns are multiplied with two others at a
time, one load per multiply-add; and Gram-Schmidt subtracts from one column and multiplies the next
one in the same loop: three loads and a store for two multiply-adds.

With one feature, R follows from sums around the means of blocks, in which nothing has to be stored.
With more than MANY features, LAPACK's blocked Householder reflections and BLAS are faster.
"""

import math

import numpy as np
from numba import njit

from gradrace.backends.interface import Floats

REORDER = {"reassoc", "contract", "nsz"}  # as in `numba_simd`
PART = 1024  # samples that are added at once
MANY = 200  # features; a block no longer stays in the second-level cache
_ROWS = 512  # of a block; at 256 and 1,024 the times differ by less than a tenth
# columns whose sum of squares is below TINY would lose digits; they are multiplied by ENLARGED
TINY, ENLARGED = 2.0**-960, 2.0**500
_NOTHING = 1e-290  # a column this short is what rounding has left of one that depends on others
_SMALLEST, _LARGEST = 1e-200, 1e290  # sums of squares of which no part is beyond float64


def is_safe(S: Floats) -> bool:
    """Whether the squares of a line's x and y stay within float64, also without their means."""
    return bool(_SMALLEST < S[1, 1] < _LARGEST and S[2, 2] < _LARGEST)


def by_lapack(X: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Return S, R and units of 1 for many features; reflections need no others."""
    p = X.shape[1] + 2
    S, R = np.zeros((p, p)), np.zeros((p, p))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(y), PART):
            A = _with_ones(X[start : start + PART], y[start : start + PART])
            S += A.T @ A
        for start in range(0, len(y), 4 * p):
            A = _with_ones(X[start : start + 4 * p], y[start : start + 4 * p])
            rows = np.linalg.qr(np.vstack([R, A]) if start else A, mode="r")
            R[: len(rows)] = rows
    return S, np.ascontiguousarray(R.T), np.ones(p - 2)


def _with_ones(X: Floats, y: Floats) -> Floats:
    return np.column_stack([np.ones(len(y)), X, y])


@njit(cache=True, fastmath=REORDER)
def products(columns: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return AᵀA (d + 2, d + 2) for A = [1 X y], and the units of the columns of X.

    The products are added block by block, those of two columns with two others at a time.
    """
    d, n = columns.shape
    S = np.zeros((d + 2, d + 2))
    S[0, 0] = n
    for start in range(0, n, PART):
        targets = y[start : start + PART]
        sum_y, squares = 0.0, 0.0
        for i in range(len(targets)):
            sum_y += targets[i]
            squares += targets[i] * targets[i]
        S[0, d + 1] += sum_y
        S[d + 1, d + 1] += squares
        for j in range(d):
            x, sum_x, sum_xy, squares = columns[j, start : start + PART], 0.0, 0.0, 0.0
            for i in range(len(targets)):
                sum_x += x[i]
                sum_xy += x[i] * targets[i]
                squares += x[i] * x[i]
            S[0, j + 1] += sum_x
            S[j + 1, d + 1] += sum_xy
            S[j + 1, j + 1] += squares
        for j in range(0, d - 1, 2):  # the products of two columns with each other and the others
            u, v = columns[j, start : start + PART], columns[j + 1, start : start + PART]
            uv = 0.0
            for i in range(len(targets)):
                uv += u[i] * v[i]
            S[j + 1, j + 2] += uv
            for k in range(j + 2, d, 2):
                two = k + 1 < d
                p, q = columns[k, start : start + PART], columns[k + two, start : start + PART]
                up, uq, vp, vq = 0.0, 0.0, 0.0, 0.0
                for i in range(len(targets)):
                    up += u[i] * p[i]
                    uq += u[i] * q[i]
                    vp += v[i] * p[i]
                    vq += v[i] * q[i]
                S[j + 1, k + 1] += up
                S[j + 2, k + 1] += vp
                if two:
                    S[j + 1, k + 2] += uq
                    S[j + 2, k + 2] += vq
    for j in range(d + 2):
        for k in range(j):
            S[j, k] = S[k, j]
    units = np.ones(d)
    for j in range(d):
        if S[j + 1, j + 1] < TINY:
            units[j] = ENLARGED
    return S, units


@njit(cache=True, fastmath=REORDER)
def triangle(columns: Floats, y: Floats, units: Floats) -> Floats:
    """Return R (d + 2, d + 2), triangular, with RᵀR = AᵀA for A = [1 X y]; its columns are rows.

    Column j of X is multiplied by units[j], because subnormal numbers have too few digits for unit
    vectors.
    """
    d, n = columns.shape
    p = d + 2
    R = np.zeros((p, p))
    block = max(_ROWS, 4 * p) - p  # so that R and a block have a number of rows that vectors divide
    A = np.zeros((p, p + block))  # columns
    for start in range(0, n, block):
        targets = y[start : start + block]
        ones, last = A[0, p:], A[d + 1, p:]
        for i in range(len(targets)):
            ones[i] = 1.0
            last[i] = targets[i]
        for j in range(d):
            x, column, unit = columns[j, start : start + block], A[j + 1, p:], units[j]
            for i in range(len(x)):
                column[i] = x[i] * unit
        _append(A, p + len(targets), R)
    return R


@njit(cache=True, fastmath=REORDER)
def triangle_of_line(x: Floats, y: Floats) -> Floats:
    """Return R for one feature, from sums around the means of blocks.

    In a block of m samples, x = x̄ + a and y = ȳ + s·a + r, where s is about the slope. With u the
    vector of ones divided by √m, its three rows of R follow from the components of a and r along u
    and each other, which are nearly 0. The rows of all blocks are then condensed like samples.
    """
    n, p = len(y), 3
    R = np.zeros((p, p))
    most = min(p * -(-n // PART), _ROWS)
    A = np.zeros((p, p + most))
    rows = p
    for start in range(0, n, PART):
        some_x, some_y = x[start : start + PART], y[start : start + PART]
        m = len(some_y)
        mean_x, mean_y = 0.0, 0.0
        for i in range(m):
            mean_x += some_x[i]
            mean_y += some_y[i]
        mean_x, mean_y = mean_x / m, mean_y / m
        sum_a, sum_aa, sum_ab = 0.0, 0.0, 0.0
        for i in range(m):
            a = some_x[i] - mean_x
            sum_a += a
            sum_aa += a * a
            sum_ab += a * (some_y[i] - mean_y)
        slope = sum_ab / sum_aa if sum_aa > 0.0 else 0.0
        sum_r, sum_ra, sum_rr = 0.0, 0.0, 0.0
        for i in range(m):
            a = some_x[i] - mean_x
            r = some_y[i] - mean_y - slope * a
            sum_r += r
            sum_ra += r * a
            sum_rr += r * r
        root = math.sqrt(m)
        length = math.sqrt(max(sum_aa - sum_a * sum_a / m, 0.0))
        along = (sum_ra - sum_a * sum_r / m) / length if length > 0.0 else 0.0
        left = max(sum_rr - sum_r * sum_r / m - along * along, 0.0)
        A[0, rows] = root
        A[1, rows] = root * mean_x + sum_a / root
        A[2, rows] = root * mean_y + (slope * sum_a + sum_r) / root
        A[1, rows + 1] = length
        A[2, rows + 1] = slope * length + along
        A[2, rows + 2] = math.sqrt(left)
        rows += p
        if rows + p > p + most or start + PART >= n:
            _append(A, rows, R)
            A[:, :] = 0.0
            rows = p
    return R


@njit(cache=True, forceinline=True, fastmath=REORDER)
def _append(A: Floats, rows: int, R: Floats) -> None:
    """Put into R the triangular factor of R with the rows of A from d + 2 to `rows` below it.

    A, whose columns are rows, is overwritten: modified Gram-Schmidt.
    """
    p = len(A)
    last = A[p - 1, :rows]
    for k in range(p):
        for i in range(p):
            A[k, i] = R[k, i]
    for j in range(p - 1):
        q, following, dot = A[j, :rows], A[j + 1, :rows], 0.0
        R[j, j] = norm = _norm(q)
        share = 1.0 / norm if norm > _NOTHING else 0.0
        for i in range(rows):
            q[i] *= share
            dot += q[i] * following[i]
        for k in range(j + 1, p - 1):
            column, following, next_dot = A[k, :rows], A[k + 1, :rows], 0.0
            R[k, j] = dot
            for i in range(rows):
                column[i] -= dot * q[i]
                next_dot += q[i] * following[i]
            dot = next_dot
        R[p - 1, j] = dot
        for i in range(rows):
            last[i] -= dot * q[i]
    R[p - 1, p - 1] = _norm(last)


@njit(cache=True, forceinline=True, fastmath=REORDER)
def _norm(v: Floats) -> float:
    """Return √Σ vᵢ², even if the squares overflow or underflow."""
    squares = 0.0
    for i in range(len(v)):
        squares += v[i] * v[i]
    if 1e-280 < squares < 1e300:
        return math.sqrt(squares)
    largest = 0.0
    for i in range(len(v)):
        largest = max(largest, abs(v[i]))
    if largest == 0.0:
        return 0.0
    squares = 0.0
    for i in range(len(v)):
        squares += (v[i] / largest) ** 2
    return largest * math.sqrt(squares)

"""How the rung `dask` arranges its tasks, and where they run.

There is a task per partition. Results are joined in the order of the partitions, eight at a time,
then eight of those, and so on: node (l, i) of this tree is what partitions 8ˡi to 8ˡ(i + 1) − 1
contribute together. Tasks compute the nodes of a low level. This process joins the rest as soon as
it can, so it holds few results at a time, and can keep them for another run.

The tasks run on a Dask cluster if there is a `distributed.Client`, or if DASK_SCHEDULER_ADDRESS is
set; otherwise, and for arrays in the memory of this process, on its own threads.
"""

import asyncio
import contextlib
import ctypes
import operator
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator, MutableMapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import cache, partial
from typing import Any
from uuid import uuid4

import numba

from gradrace.backends import SCHEDULER
from gradrace.backends.interface import ClusterError, InputValueError
from gradrace.backends.support.dask_reading import Batches, Partitions

SECONDS_TO_CONNECT = 10
SECONDS_WITHOUT_WORKERS = 60

Node = tuple[int, int]
"""(level, index) in the tree of results"""
Programs = dict[Hashable, Callable[..., Any]]

_FAN_IN = 8  # results that are joined at once
MOST_JOINS = 8 * 20  # additions on the way up; there are less than 8²⁰ partitions
_MOST_RESULTS = 512  # that this process receives
_MOST_VALUES = 2**23  # of all these results, 64 MB
_HERE = threading.RLock()  # callbacks and BLAS threads belong to the whole process
_GONE = "the Dask cluster did not finish: the scheduler has gone away"
_LOOK_AGAIN = 1.0  # seconds until it is checked whether there are workers
_KEPT = 2**26  # bytes that a worker process keeps for the next task


def over(
    data: Partitions,
    each: Callable[[Batches], Any],
    join: Callable[[Sequence[Any]], Any],
    *,
    finished: MutableMapping[Node, Any] | None = None,
    on_done: Callable[[int, Any], None] = lambda _partitions, _result: None,
) -> Any:
    """Return `each` of every partition, joined in order.

    Nodes among the `finished` are not computed again, and new ones are put there; once a node is
    joined with others, only the joint one stays. `on_done` is called with the number of partitions
    of a node and the node, for those that were finished before, and whenever tasks have finished
    another one.

    Raises:
        InputValueError: there are no partitions; one of them cannot be read, or holds values that
            cannot be used; or no scheduler answers at the given address.
        ClusterError: the cluster did not finish.

    """
    if not data.recipes:
        raise InputValueError("X: needs at least one row, got none")
    tree = _Tree(len(data.recipes), join, {} if finished is None else finished)
    for node, result in list(tree.finished.items()):
        on_done(tree.partitions(node), result)
    level = _level_of_tasks(len(data.recipes), data.d + 2)
    missing = [(level, i) for i in range(tree.widths[min(level, tree.top)])]
    missing = [node for node in missing if not tree.knows(node)]

    def receive(node: Node, result: Any) -> None:
        on_done(tree.partitions(node), result)
        tree.add(node, result)

    run_name, join_name = (f"{what}-{uuid4().hex}" for what in ("run", "join"))
    programs: Programs = {run_name: partial(_run, data.read, each), join_name: join}
    graph: dict[Hashable, Any] = dict(data.graph or {})
    keys = {_add_task(graph, data, tree, node, run_name, join_name): node for node in missing}
    if keys:
        try:
            _compute(graph, programs, keys, receive, here=data.here)
        except InputValueError:
            raise
        except ValueError as error:  # a task cannot use what it reads; its message says why
            raise InputValueError(str(error)) from None
    return tree.finished[tree.top, 0]


class _Tree:
    """The finished nodes, joined as far as possible."""

    def __init__(
        self,
        partitions: int,
        join: Callable[[Sequence[Any]], Any],
        finished: MutableMapping[Node, Any],
    ) -> None:
        self.widths = [partitions]
        """How many nodes each level has, the last one a single node."""
        while self.widths[-1] > 1:
            self.widths.append(-(-self.widths[-1] // _FAN_IN))
        self.top = len(self.widths) - 1
        self.join, self.finished = join, finished
        for node in [node for node in finished if self._is_part_of_another(node)]:
            del finished[node]  # an earlier run ended before it did this
        for node in sorted(finished):
            self._join_upward(node)

    def partitions(self, node: Node) -> int:
        """Return how many partitions a node stands for."""
        size: int = _FAN_IN ** node[0]
        return min(size, self.widths[0] - node[1] * size)

    def children(self, node: Node) -> list[Node]:
        level, i = node
        ends = _FAN_IN * i, min(_FAN_IN * (i + 1), self.widths[level - 1])
        return [(level - 1, j) for j in range(*ends)]

    def knows(self, node: Node) -> bool:
        """Whether a node is finished or part of one that is."""
        level, i = node
        return any(
            (above, i // _FAN_IN ** (above - level)) in self.finished
            for above in range(level, self.top + 1)
        )

    def _is_part_of_another(self, node: Node) -> bool:
        level, i = node
        return level < self.top and self.knows((level + 1, i // _FAN_IN))

    def add(self, node: Node, result: Any) -> None:
        self.finished[node] = result
        self._join_upward(node)

    def _join_upward(self, node: Node) -> None:
        while node in self.finished and node[0] < self.top:
            node = node[0] + 1, node[1] // _FAN_IN
            children = self.children(node)
            if not all(child in self.finished for child in children):
                return
            with _one_blas_thread():
                self.finished[node] = self.join([self.finished[child] for child in children])
            for child in children:
                del self.finished[child]


def _level_of_tasks(partitions: int, p: int) -> int:
    """Return the level whose nodes the tasks compute, so that this process gets not too many."""
    most = max(_FAN_IN, min(_MOST_RESULTS, _MOST_VALUES // (2 * p * p)))
    level = 0
    while -(-partitions // _FAN_IN**level) > most:
        level += 1
    return level


def _add_task(
    graph: dict[Hashable, Any], data: Partitions, tree: _Tree, node: Node, run: str, join: str
) -> Hashable:
    """Add the tasks that compute a node to the graph; return the key of the last one."""
    level, i = node
    if not level:
        graph[run, i] = (operator.call, run, *data.recipes[i])
        return run, i
    children = [_add_task(graph, data, tree, child, run, join) for child in tree.children(node)]
    graph[join, level, i] = (operator.call, join, children)
    return join, level, i


def _run(read: Callable[..., Batches], each: Callable[[Batches], Any], *recipe: Any) -> Any:
    return each(read(*recipe))


def _compute(
    graph: dict[Hashable, Any],
    programs: Programs,
    keys: dict[Hashable, Node],
    receive: Callable[[Node, Any], None],
    *,
    here: bool,
) -> None:
    """Compute the keys of a graph whose tasks call `programs`; hand over results as they come."""
    client = None if here else _client()
    if client is not None:
        tasks = graph | {name: _sent(program) for name, program in programs.items()}
        _on_cluster(client, tasks, keys, receive)
        return
    import dask.threaded
    from dask.callbacks import Callback

    def after(key: Hashable, result: Any, *_: Any) -> None:
        if key in keys:
            receive(keys[key], result)

    with _HERE, _one_blas_thread(), Callback(posttask=after):
        workers = numba.get_num_threads()
        dask.threaded.get(graph | programs, list(keys), num_workers=workers)


def _on_cluster(
    client: Any,
    tasks: dict[Hashable, Any],
    keys: dict[Hashable, Node],
    receive: Callable[[Node, Any], None],
) -> None:
    from distributed import KilledWorker, wait
    from distributed.comm import CommClosedError

    futures = client.get(tasks, list(keys), sync=False, optimize_graph=False)
    waiting, seen = set(futures), time.monotonic()
    try:
        with client.as_current():
            while waiting:
                with contextlib.suppress(TimeoutError):
                    done, waiting = wait(waiting, _LOOK_AGAIN, "FIRST_COMPLETED")
                    for future in done:
                        receive(keys[future.key], future.result())
                if _has_workers(client):
                    seen = time.monotonic()
                elif time.monotonic() - seen > SECONDS_WITHOUT_WORKERS:
                    raise ClusterError(
                        f"the Dask cluster has had no workers for {SECONDS_WITHOUT_WORKERS} s"
                    )
    except (CancelledError, CommClosedError) as error:  # the message lists all that is not done
        raise ClusterError(_GONE) from error
    except KilledWorker as error:
        reason = " ".join(str(error).split())
        raise ClusterError(f"the Dask cluster did not finish: {reason}") from error
    finally:
        with contextlib.suppress(CancelledError, OSError):
            client.cancel(futures)


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.nthreads())
    except OSError as error:
        raise ClusterError(_GONE) from error


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread: there is a task per core, and the number may change last bits."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> Any:
    """Return the libraries of this process, which take a millisecond to find."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _client() -> Any:
    """Return the active client, or one of the scheduler that the environment names, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with contextlib.suppress(ValueError):  # no client
            return distributed.default_client()
    address = os.environ.get(SCHEDULER)
    if not address:
        return None
    client = _connected(address)
    if client.status != "running":  # the scheduler has gone away since
        _connected.cache_clear()
        client = _connected(address)
    return client


@cache
def _connected(address: str) -> Any:
    import distributed

    try:
        with ThreadPoolExecutor(1) as apart:  # a notebook has an event loop of its own
            asking = asyncio.wait_for(_version(address), SECONDS_TO_CONNECT)
            theirs = apart.submit(asyncio.run, asking).result()
    except Exception as error:  # any server may be there; what is not Dask's fails in any way
        reason = " ".join(str(error).split()) or f"timed out after {SECONDS_TO_CONNECT} s"
        raise InputValueError(f"{address}: no Dask scheduler answers: {reason}") from None
    ours = distributed.__version__
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        raise InputValueError(f"{address}: has Dask {theirs}, but here is {ours}; use the same")
    return distributed.Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)


async def _version(address: str) -> str:
    """Ask a scheduler for its version, before a client that may not understand it is created."""
    from distributed.core import rpc

    async with rpc(address, timeout=SECONDS_TO_CONNECT) as scheduler:
        about = await scheduler.versions()
    return str(dict(about["packages"])["distributed"])


def _sent(program: Callable[..., Any]) -> tuple[Callable[..., Any], bytes]:
    """Return a task that yields a function on a worker that has not got the modules it is from."""
    import cloudpickle

    ours = tuple(f"{name.partition('.')[0]}." for name in _modules(program) | {__package__})
    modules = [module for name, module in sys.modules.items() if f"{name}.".startswith(ours)]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.loads, cloudpickle.dumps(_Program(program))
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _modules(program: Callable[..., Any]) -> set[str]:
    """Return the modules of a function and of those that are bound to it."""
    if not isinstance(program, partial):
        return {program.__module__}
    bound = [argument for argument in program.args if callable(argument)]
    return set().union(*map(_modules, [program.func, *bound]))


class _Program:
    """A function that is sent to workers; whenever it arrives in a process, it prepares that."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        _share_a_worker()

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def _share_a_worker() -> None:
    """Allow a single BLAS thread, since there is a task per core, and keep 64 MB of memory.

    Dask makes a worker return memory above 64 kB to the system at once. Then every block is mapped
    anew, and the page faults take twice as long as the work.
    """
    with contextlib.suppress(ImportError):
        import threadpoolctl

        threadpoolctl.threadpool_limits(1, "blas")
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(-1, _KEPT)  # M_TRIM_THRESHOLD
        libc.mallopt(-3, _KEPT // 2)  # M_MMAP_THRESHOLD, at most 32 MB

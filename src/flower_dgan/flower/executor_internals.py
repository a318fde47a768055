"""What ``flower-dgan supernode`` uses of Flower's Runtime API beyond its public names, and why.

Flower's own executor starts a new Python process for every message. That takes seconds, as torch is imported anew, and
the process unpacks the bundle that the run brings, puts it first on ``sys.path`` and imports the ClientApp from there:
whoever starts a run has code executed at every node. Flower has no public way to bring an executor of one's own.

Ours does tasks in forks of itself, with everything imported already, and calls an app that the owner of the node
installed; a fork stays for the next messages of its run, see ``workers.py``. Flower tells its own executors no run, so
ours asks for tasks itself, and the answer says of which run each is. ``run_superexec``, ``get_executor`` and
``run_clientapp`` are not called at all, rather than called with parts of them replaced: whatever a newer Flower does
with a bundle there, no line here unpacks, imports or stores one. What is used is the client of the Runtime API, with
what signs its requests, and the functions by which a ClientApp takes its message and gives its reply.
"""

import gc
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from flwr.app import Context, Error, Message, MessageType
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode, SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest, AcquireTaskResponse
from flwr.proto.task_pb2 import Task
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.retry import RetryInvoker, make_simple_http_retry_invoker
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from flower_dgan.flower.flower_internals import shorten_waits_for_parts
from flower_dgan.flower.workers import Workers
from flower_dgan.wire.parcels import PART

logger = logging.getLogger("flwr")

NO_OTHER_TASKS = "This node runs the ClientApp that its owner installed, and no other kind of task."
"""What is answered where a run wants an AgentApp or anything else of the node."""

APP_FAILED = "The ClientApp failed. The log of its SuperNode says why."
"""What is answered where the app raised an exception: its text may hold what must not leave."""

USED: Mapping[Callable[..., Any], set[str]] = {
    RuntimeHttpClient.from_server_address: {
        "server_address",
        "insecure",
        "root_certificates",
        "interceptors",
        "retry_invoker",
    },
    SuperExecAuthHttpInterceptor: {"master_secret", "protected_methods"},
    RuntimeTokenHttpInterceptor: set(),
    RuntimeVersionHttpInterceptor: {"component_name"},
    HeartbeatSender: {"heartbeat_fn"},
    make_task_heartbeat_fn_http: {"client"},
    make_simple_http_retry_invoker: set(),
    pull_task_input: {"client"},
    push_message: {"client", "message", "context"},
    push_task_output: {"client", "context", "sub_status", "details"},
}
"""Functions that are called, and their arguments that must be there."""

FIELDS: Mapping[Any, set[str]] = {Task: {"type", "run_id"}, AcquireTaskResponse: {"task", "token"}}
"""Messages of Flower's protocol that are read, and their fields that must be there."""

_ACQUIRE_TASK = "/flwr.proto.Runtime/AcquireTask"
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25


@dataclass(frozen=True)
class RuntimeApi:
    """Where a SuperNode gives out its tasks.

    Attributes
    ----------
    address : str
        ``host:port``.
    root_certificates : bytes or None
        What its certificate is checked against; None for a connection without TLS.
    """

    address: str
    root_certificates: bytes | None

    def connect(self, component: str, retry: RetryInvoker, authentication: Any) -> RuntimeHttpClient:
        """Return a client that tries again, as ``retry`` says, until the SuperNode answers."""
        return RuntimeHttpClient.from_server_address(
            server_address=self.address,
            insecure=self.root_certificates is None,
            root_certificates=self.root_certificates,
            interceptors=[RuntimeVersionHttpInterceptor(component_name=component), authentication],
            retry_invoker=retry,
        )


def serve_tasks(runtime: RuntimeApi, secret: bytes, app: ClientApp, most_workers: int) -> NoReturn:
    """Take the tasks of a SuperNode, and do them in forks of this process, until a signal ends it and them.

    Parameters
    ----------
    runtime : RuntimeApi
        Where the tasks are.
    secret : bytes
        Shared secret of SuperNode and executor.
    app : ClientApp
        What answers messages.
    most_workers : int
        How many runs have a fork that stays between messages, at most; with 0 each message has one of its own.
    """

    def do(task: tuple[str, str]) -> bool:
        try:
            return do_task(runtime, *task, app)
        except RunNotRunningException:
            return False

    def lost(task: tuple[str, str]) -> None:
        say_that_it_is_lost(runtime, task[0])

    shorten_waits_for_parts()
    gc.freeze()  # what is imported stays shared with the children: the collector does not touch it
    signed = SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods={_ACQUIRE_TASK})
    client = runtime.connect("SuperExec", make_simple_http_retry_invoker(), signed)
    # Tasks that are refused are taken, too: nobody else answers them, and the SuperNode would wait for ever.
    every_type = AcquireTaskRequest(supported_task_types=list(TaskType))
    workers = Workers(do, most_workers, lost)
    try:
        idle_since = time.monotonic()
        while True:
            workers.look()
            given = client.AcquireTask(every_type)
            if given.HasField("task") and given.token:
                task = given.task
                workers.give((given.token, task.type), task.run_id if task.type == TaskType.CLIENT_APP else None)
            if workers.busy:
                idle_since = time.monotonic()
            workers.wait(min(max((time.monotonic() - idle_since) / 50, _SHORTEST_PAUSE), _LONGEST_PAUSE))
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # children end below, and nobody else is to be told
        workers.close()


def do_task(runtime: RuntimeApi, token: str, task_type: str, app: ClientApp) -> bool:
    """Do one task of a SuperNode with an app of this process, and return whether this may do the next one of the run.

    A process stays after an answer to an exchange. It does not after an error, whatever that was, nor after a query
    that is no part of a larger message: those come once in a while, read what the next exchange has no use for, and are
    to find the owner's data as they are then.

    The bundle of the run comes with the task. It is dropped unread; its files are neither written nor imported.

    Parameters
    ----------
    runtime : RuntimeApi
        Where the task was taken.
    token : str
        What gives access to its message.
    task_type : str
        Anything but a ClientApp is refused.
    app : ClientApp
        What answers the message.
    """
    retry = make_simple_http_retry_invoker()
    context: Context | None = None
    status, details = SubStatus.FAILED, "The task was ended before its reply was given."
    with (
        closing(runtime.connect("flwr-clientapp", retry, RuntimeTokenHttpInterceptor(token))) as client,
        _heartbeats(client),
    ):
        try:
            message, context, *_ = pull_task_input(client)
            reply = _answer(message, context, task_type, app)
            asked = message.metadata.message_type
            push_message(client, reply, context)
            status, details = SubStatus.COMPLETED, ""
            return not reply.has_error() and (asked == PART or not asked.startswith(MessageType.QUERY))
        finally:
            retry.max_tries = 1  # the SuperNode may be gone, too
            push_task_output(client=client, context=context, sub_status=status, details=details)


def say_that_it_is_lost(runtime: RuntimeApi, token: str) -> None:
    """Say that a task's process is gone, which a SuperNode would notice after a minute of silence.

    Parameters
    ----------
    runtime : RuntimeApi
        Where the task was taken.
    token : str
        What gave access to its message.
    """
    retry = make_simple_http_retry_invoker()
    retry.max_tries = 1
    try:
        with closing(runtime.connect("flwr-clientapp", retry, RuntimeTokenHttpInterceptor(token))) as client:
            push_task_output(client=client, context=None, sub_status=SubStatus.FAILED, details="Its process was ended.")
    except Exception as error:
        logger.debug("The SuperNode knows of the lost task already, or is gone: %s", error)


@contextmanager
def _heartbeats(client: RuntimeHttpClient) -> Iterator[None]:
    """Tell the SuperNode now and then that the task is being done."""
    sender = HeartbeatSender(make_task_heartbeat_fn_http(client))
    sender.start()
    try:
        yield
    finally:
        if sender.is_running:
            sender.stop()


def _answer(message: Message, context: Context, task_type: str, app: ClientApp) -> Message:
    if task_type != TaskType.CLIENT_APP:
        logger.warning("A run wants a task of type %r, which is refused.", task_type)
        return Message(Error(code=ErrorCode.LOAD_CLIENT_APP_EXCEPTION, reason=NO_OTHER_TASKS), reply_to=message)
    try:
        return app(message, context)
    except Exception:
        logger.exception("The ClientApp failed:")
        return Message(Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason=APP_FAILED), reply_to=message)

"""Everything that this package uses of Flower beyond its public names, and why.

``TaskIdentity``: outside a run, ``Message(...)`` wants it to be set; Flower has no public way to make a message then.

``ErrorCode``: what Flower answers with where a message, its reply, its node or its ClientApp is gone.

``flower_supernode``: it sleeps 3 s when there is no message and half a second while there is no reply, and has no
setting for either.

``_pull_and_store_message``: where a run is stopped while a SuperNode takes a message of it, the message and its task
stay. The reply is then taken for the one to the next message, whose own reply waits for the message after that: a run
that sends one message at a time stands still.

``pull_objects``: who finds a message before all its parts are there waits 1 s for them, and who looks often finds it
so. The first wait is a default value, and there is no setting for it.

``resolve_bind_address``: a SuperNode that listens at all addresses has its executor look for it at 127.0.0.1, and so
must an executor of our own.

``run_superexec`` and ``run_clientapp``: a SuperNode starts a new Python process for every message, which imports torch
before it does anything. Flower starts those processes through an executor, and has no public way to bring one's own.
"""

import gc
import inspect
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from threading import Thread
from types import ModuleType
from typing import Any, NoReturn
from unittest.mock import patch

from flwr.app import Message
from flwr.common.constant import ErrorCode, Status, SubStatus
from flwr.supercore.address import resolve_bind_address
from flwr.supercore.constant import TaskType
from flwr.supercore.exit import exit_handler
from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree, pull_objects
from flwr.supercore.object_store import ObjectStore
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.superexec import run_superexec as superexec
from flwr.supercore.superexec.executor import ExecutionSpec, LaunchResult, SubprocessExecutor
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal
from flwr.supernode.cli import flower_supernode
from flwr.supernode.nodestate import NodeState
from flwr.supernode.runtime import run_clientapp as clientapp

from flower_dgan.runtime.flower_pushes import go_on_after_lost_answers

LOST = frozenset(
    {
        ErrorCode.MESSAGE_UNAVAILABLE,
        ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
        ErrorCode.NODE_UNAVAILABLE,
        ErrorCode.CLIENT_APP_CRASHED,
    }
)
"""Codes of error replies that say that a message was lost, so that it is worth sending again."""

NODE_IS_AWAY = ErrorCode.NODE_UNAVAILABLE
"""Code of an error reply that says that Flower has heard nothing of the node for a minute."""


def code_name(code: int) -> str:
    """Return what Flower calls an error code."""
    return next((name for name, value in vars(ErrorCode).items() if value == code), f"error {code}")


_TESTED_RELEASE = "1.41."
_FIRST_WAIT_SECONDS = 0.02
_PULLS: tuple[Any, ...] = (pull_objects, pull_and_inflate_object_from_tree)
_ASKS_THE_SUPERLINK = ("receive", "pull_object", "confirm_message_received")
_USED: dict[tuple[ModuleType, str], set[str]] = {
    (superexec, "get_executor"): set(),
    (superexec, "run_superexec"): {
        "runtime_api_address",
        "insecure",
        "root_certificates_path",
        "superexec_auth_secret",
    },
    (clientapp, "run_clientapp"): {"runtime_api_address", "token", "insecure", "certificates", "parent_pid"},
    (start_client_internal, "time"): set(),
    (start_client_internal, "_pull_and_store_message"): {"state", "object_store", *_ASKS_THE_SUPERLINK},
    (start_client_internal, "_push_messages"): {"push_object"},
}


def take_identity() -> None:
    """Let this process make messages outside a run; within one it keeps the identity that it has."""
    if TaskIdentity._task_id is None:
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


def shorten_waits_for_parts() -> None:
    """Let this process wait 20 ms at first, not 1 s, for the parts of a message that is on its way.

    Where the installed Flower has no such wait, nothing changes.
    """
    for function in _PULLS:
        if "initial_backoff" in (function.__kwdefaults__ or {}):
            function.__kwdefaults__["initial_backoff"] = _FIRST_WAIT_SECONDS


def reason_against_warm_clients() -> str | None:
    """Return why the installed Flower cannot be given :class:`ForkExecutor`, None where it can."""
    installed = version("flwr")
    if not installed.startswith(_TESTED_RELEASE):
        return f"it is tested with flwr {_TESTED_RELEASE}x, not {installed}"
    if not hasattr(os, "fork"):
        return "this system cannot fork a process"
    for (module, name), arguments in _USED.items():
        if not hasattr(module, name):
            return f"{module.__name__} of flwr {installed} has no {name}"
        if arguments and (lacking := arguments - set(inspect.signature(getattr(module, name)).parameters)):
            return f"{name} of flwr {installed} takes no {', '.join(sorted(lacking))}"
    return None


class AdaptiveSleep:
    """Stands for the module ``time`` where Flower polls: short waits first, longer ones the longer nothing happens.

    Waits for one thing begin at 10 ms and grow by a fifth up to what Flower asked for.
    """

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def __init__(self) -> None:
        self._asked = 0.0
        self._wait = 0.0

    def sleep(self, seconds: float) -> None:
        """Wait for at most ``seconds``; another number is another thing to wait for."""
        self._wait = min(seconds, 1.2 * self._wait if seconds == self._asked else 0.01)
        self._asked = seconds
        time.sleep(self._wait)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def leave_stopped_runs(take_message: Callable[..., int | None]) -> Callable[..., int | None]:
    """Let the function by which a SuperNode takes a message leave nothing behind of a run that is stopped meanwhile."""

    def take(*, state: NodeState, object_store: ObjectStore, **arguments: Any) -> int | None:
        messages: list[Message] = []
        stopped = False

        def watched(ask: Callable[..., Any]) -> Callable[..., Any]:
            def ask_and_note(*ids: object) -> Any:
                nonlocal stopped
                try:
                    answer = ask(*ids)
                except RunNotRunningException:
                    stopped = True
                    raise
                if ask is arguments["receive"] and answer is not None:
                    messages.append(answer[0])
                return answer

            return ask_and_note

        asking = {name: watched(arguments[name]) for name in _ASKS_THE_SUPERLINK}
        run_id = take_message(state=state, object_store=object_store, **(arguments | asking))
        if stopped and messages:
            _leave_run(messages[0], state, object_store)
        return run_id

    return take


def _leave_run(message: Message, state: NodeState, object_store: ObjectStore) -> None:
    """End the work on a message of a run that is over, and forget the message and any reply to it."""
    run_ids = [message.metadata.run_id]
    for task in state.get_tasks(run_ids=run_ids, statuses=[Status.PENDING, Status.STARTING, Status.RUNNING]):
        state.finish_task(task.task_id, SubStatus.STOPPED, "The run was stopped.")  # takes the ClientApp's access
    replies = state.get_messages_legacy(run_ids=run_ids, is_reply=True)
    ids = [each.metadata.message_id for each in (message, *replies)]
    state.delete_messages(message_ids=ids)
    for message_id in ids:
        object_store.delete(message_id)


def run_fast_supernode() -> None:
    """Run ``flower-supernode`` with the options in ``sys.argv``, without its long sleeps and what it leaves behind."""
    sys.argv[0] = "flower-supernode"
    shorten_waits_for_parts()
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    take_message = leave_stopped_runs(start_client_internal._pull_and_store_message)
    push_messages = go_on_after_lost_answers(start_client_internal._push_messages)
    with (
        patch.object(start_client_internal, "time", AdaptiveSleep()),
        patch.object(start_client_internal, "_pull_and_store_message", take_message),
        patch.object(start_client_internal, "_push_messages", push_messages),
    ):
        flower_supernode()


class ForkExecutor(SubprocessExecutor):
    """Starts the process of a ClientApp as a fork of this one, with everything imported already.

    The child runs Flower's own ``run_clientapp`` and ends with it, as the process would that it stands for.

    """

    def __init__(self) -> None:
        self._children: list[int] = []

    def launch(self, spec: ExecutionSpec) -> LaunchResult:
        """Start the process of a task; those that are no ClientApp in Flower's own way."""
        if spec.task_type != TaskType.CLIENT_APP or spec.runtime_dependency_install:
            return super().launch(spec)
        child = os.fork()
        if child == 0:
            _run_as_child(spec)
        self._children.append(child)
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Collect the children that ended."""
        self._children = [child for child in self._children if os.waitpid(child, os.WNOHANG)[0] == 0]


def runtime_address(host: str, port: str) -> str:
    """Return where a SuperNode with this ``--host`` and ``--port`` is reached on its own machine."""
    return resolve_bind_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def run_forking_superexec(
    runtime_api_address: str,
    root_certificates: str | None,
    secret: bytes | None,
) -> None:
    """Serve the tasks of a SuperNode in this process until it is told to end.

    Parameters
    ----------
    runtime_api_address : str
        ``host:port`` of the SuperNode's Runtime API.
    root_certificates : str or None
        File of the certificate that it is checked against; None for a connection without TLS.
    secret : bytes or None
        Shared secret of SuperNode and executor, where there is one.
    """
    shorten_waits_for_parts()
    gc.freeze()  # what is imported stays shared with the children: the collector does not touch it
    try:
        with patch.object(superexec, "get_executor", lambda *_, **__: ForkExecutor()):
            superexec.run_superexec(
                runtime_api_address=runtime_api_address,
                insecure=root_certificates is None,
                root_certificates_path=root_certificates,
                superexec_auth_secret=secret,
            )
    finally:
        gc.unfreeze()


def _run_as_child(spec: ExecutionSpec) -> NoReturn:
    code = 1
    try:
        exit_handler.registered_exit_handlers.clear()  # the parent's
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        certificates = None
        if spec.root_certificates_path is not None:
            with open(spec.root_certificates_path, "rb") as file:  # noqa: PTH123  a path as Flower has it
                certificates = file.read()
        clientapp.run_clientapp(
            runtime_api_address=spec.runtime_api_address,
            token=spec.token,
            insecure=spec.insecure,
            certificates=certificates,
            parent_pid=spec.parent_pid,
        )
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)

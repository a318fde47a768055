"""The last look at what a node answers, before it is cut into messages and leaves.

It is held against the policy and against what the algorithm declares that it releases, without trusting the code that
made the answer; then it is noted in the owner's ledger, record by record.
"""

import hashlib
import re
from functools import partial
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.errors import PolicyError, ProtocolError
from flower_dgan.node.answer_form import check_form
from flower_dgan.node.approvals import Approvals
from flower_dgan.node.begin import count_training
from flower_dgan.node.book import Book
from flower_dgan.node.budgets import warn_of_budgets
from flower_dgan.node.node import node_key, settings_at
from flower_dgan.node.own_policy import check_code, release_policy
from flower_dgan.node.owner_ledger import OwnerLedger
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.privacy_words import spent_at, spent_in_answer, spent_together
from flower_dgan.node.rounded import are_rounded, is_untold
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.wire.answers import known_answers
from flower_dgan.wire.join_messages import JOIN, LABEL_MAPS, LEAVE
from flower_dgan.wire.masked_sum_messages import MASKED_SUM, OFFER, SUM_KEY
from flower_dgan.wire.masked_sum_messages import RECORD as MASKED
from flower_dgan.wire.moments_messages import MOMENTS
from flower_dgan.wire.noisy_sum_messages import NOISY_SUM, RECORD
from flower_dgan.wire.packing import pack_content
from flower_dgan.wire.parameters import DISCRIMINATOR
from flower_dgan.wire.parcels import PARCEL
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE
from flower_dgan.wire.score_messages import SCORE


def check_and_note(message: Message, answer: RecordDict, node_config: NodeConfig) -> None:
    """Look at a whole answer, and note that it leaves.

    Parameters
    ----------
    message : Message
        What is answered; whole.
    answer : RecordDict
        The answer; whole.
    node_config : mapping
        The owner's.

    Raises
    ------
    PolicyError
        If there is more in the answer than may be, or the owner ended the training meanwhile.
    StorageError
        If it cannot be noted.
    """
    kind, identity = message.metadata.message_type, training_of(message)
    if kind != LEAVE:
        state = ClientState(identity, node_key(node_config))
        config = state.settings(partial(check_code, node_config))
        policy = release_policy(config, node_config)
        policy.check_settings(config)
        if kind == JOIN:
            Approvals().require_not_revoked(identity)
        else:
            Approvals().require_still(policy, identity)
        allowed = _allowed(kind, policy, config)
    else:
        allowed = {"leave"}
    known = known_answers()
    for name, record in answer.items():
        if name not in allowed:
            raise _undeclared(f"the record '{name[:40]}'")
        if name != DISCRIMINATOR and (foreign := set(record) - known[name]):
            raise _undeclared(f"'{min(foreign)[:40]}' in the record '{name}'")
    if kind == EXCHANGE and not policy.exact_figures and not are_rounded(answer.metric_records["metrics"], config):
        raise _undeclared("figures that are not rounded")
    if kind == EXCHANGE and algorithm_of(config).releases.private and not is_untold(answer.metric_records["metrics"]):
        raise _undeclared("seconds or memory, which follow the number of patients")
    if kind != LEAVE:
        try:
            check_form(kind, message.content, answer, state, config, node_config)
        except (ProtocolError, KeyError) as error:
            raise _undeclared(f"another form than it should have: {error}") from error
    elif RecordDict({**answer}) != Training.from_records(message.content, "leave").to_records("leave"):
        raise _undeclared("more than that the training was left")
    if kind not in (JOIN, LEAVE, SUM_KEY):
        Approvals().note_use(identity)
        if not algorithm_of(config).releases.by_noise:  # a refusal would tell which images are there
            count_training(policy, state)
    entry = {"records": [_told(name, record) for name, record in answer.items()], **_size(answer)}
    if kind == NOISY_SUM:
        entry["privacy"] = spent_at(state.node, settings_at(config, node_config), policy)
    elif kind == MASKED_SUM:
        entry["privacy"] = spent_together(message.content, state.node, settings_at(config, node_config), policy)
    elif kind == EXCHANGE and algorithm_of(config).releases.private:
        entry["privacy"] = spent_in_answer(config, policy)
    OwnerLedger.of(node_key(node_config)).note(_purpose(message) | entry)
    if kind not in (JOIN, LEAVE, SUM_KEY):
        warn_of_budgets(Book(), policy)


def note_reply(message: Message, reply: Message, node_config: NodeConfig) -> None:
    """Note a reply that is no whole answer: a refusal, or a part of an answer; raises StorageError."""
    entry: dict[str, Any]
    if reply.has_error():
        entry = {"records": [], "bytes": 0, "refusal": int(reply.error.code), "reason": reply.error.reason}
    elif PARCEL in reply.content:
        values = reply.content.config_records[PARCEL]
        part = {name: value for name, value in values.items() if isinstance(value, bool | int | str)}
        entry = {"part": part, "records": [], **_size(reply.content)}
    else:
        return
    OwnerLedger.of(node_key(node_config)).note(_purpose(message) | entry)


def training_of(message: Message) -> str:
    """Return the identity of the training that a message names, empty where it names none."""
    if not message.has_content():
        return ""
    for record in message.content.config_records.values():
        if re.fullmatch("[0-9a-f]{16}", str(record.get("training", ""))):
            return str(record["training"])
    return ""


def _allowed(kind: str, policy: ReleasePolicy, config: TrainingConfig) -> set[str]:
    """Return the records that an answer of a kind may have; what the policy forbids is not among them."""
    releases = algorithm_of(config).releases
    masks = policy.label_maps and config.data.label_maps_leave
    masked = releases.masked and policy.epsilon != 0
    if kind == EXCHANGE and not releases.feedback and releases.noisy_sums:
        return set()  # such a training asks no such thing
    if kind == EXCHANGE:
        feedback = policy.feedback or releases.private or not releases.feedback
        weights = {DISCRIMINATOR} if releases.weights and policy.weights else set()
        changes = {"change"} if releases.changes and policy.weights else set()
        return ({"feedback", "metrics"} if feedback else {"metrics"}) | weights | changes
    return {
        JOIN: {"node"} if config.data.label_maps_leave or not config.data.counts_leave else {"node", "images"},
        LABEL_MAPS: {"node", "label-maps"} if masks else set(),
        MOMENTS: {"moments", "count"} if policy.moments else set(),
        NOISY_SUM: {"answer", RECORD} if releases.noisy_sums and not releases.masked and policy.epsilon != 0 else set(),
        SUM_KEY: {OFFER} if masked else set(),
        MASKED_SUM: {"answer", MASKED} if masked else set(),
        SCORE: {"validation-score"} if policy.scores else set(),
    }.get(kind, set())


def _purpose(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {"purpose": message.metadata.message_type, "training": training_of(message)}
    bundle = message.content.get("bundle") if message.has_content() else None
    if isinstance(bundle, ConfigRecord):
        found |= {name: bundle[name] for name in ("round", "attempt") if type(bundle.get(name)) is int}
    return found


def _told(name: str, record: Any) -> dict[str, Any]:
    values = {key: list(each.shape) for key, each in record.items()} if isinstance(record, ArrayRecord) else [*record]
    if name == DISCRIMINATOR:
        values = [f"{len(values)} arrays"]
    return {"record": name, "holds": values, **_size(RecordDict({name: record}))}


def _size(content: RecordDict) -> dict[str, Any]:
    data = pack_content(content)
    return {"bytes": len(data), "digest": hashlib.sha256(data).hexdigest()}


def _undeclared(what: str) -> PolicyError:
    return PolicyError("undeclared", f"The answer has {what}, which neither algorithm nor policy lets leave.")

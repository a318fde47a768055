"""What the server draws for its questions: bundles of one client's own, or such that all judge."""

import numpy as np
import torch
from numpy.typing import NDArray

from flower_dgan.data.channels import held
from flower_dgan.data.views import Views
from flower_dgan.gan.bundle import draw_bundle, draw_shared
from flower_dgan.gan.exchange import Proposal, Question
from flower_dgan.gan.server_state import ServerState


def propose_own(state: ServerState, client: str, round_number: int) -> tuple[Proposal, Question]:
    """Draw a bundle for one client from its own label maps, or from foreign ones where there are any.

    Returns
    -------
    Proposal
        As the server keeps it, see :meth:`~flower_dgan.gan.generator.GeneratorHalf.keep`.
    Question
        As the client is sent it.
    """
    labels = state.clients[client]
    views, inputs = draw_bundle(labels, state.bundles, round_number)
    proposal = state.generator.propose(inputs)
    question = question_about(state, client, proposal, views=None if labels.foreign else views)
    return state.generator.keep(proposal), question


def propose_shared(state: ServerState, round_number: int, count: int) -> tuple[Proposal, ...]:
    """Draw so many bundles from the label maps of all clients."""
    clients = list(state.clients.values())

    def propose(number: int) -> Proposal:
        return state.generator.propose(draw_shared(clients, state.bundles, round_number, number))

    return tuple(state.generator.for_each(propose, range(count)))


def question_about(state: ServerState, client: str, *proposals: Proposal, views: Views | None = None) -> Question:
    """Return what a client is asked about proposals, one after the other.

    Parameters
    ----------
    state : ServerState
        Says which channels the client holds.
    client : str
        Its name.
    *proposals : Proposal
        At least one.
    views : Views or None
        Which of the client's own label maps they were made from; None to send the label maps.
    """
    images = torch.cat([proposal.images for proposal in proposals])[:, held(state.clients[client].channels)]
    return Question(images, views, None if views is not None else _class_ids(proposals))


def _class_ids(proposals: tuple[Proposal, ...]) -> NDArray[np.uint8]:
    ids: NDArray[np.uint8] = torch.cat([each.one_hot.argmax(1) for each in proposals]).to(torch.uint8).numpy()
    return ids

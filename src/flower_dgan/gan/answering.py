"""What a client does with the synthetic images of a question: step its discriminator, and judge or move them."""

import torch
from torch import Tensor

from flower_dgan.data.views import Views
from flower_dgan.device import to_cpu
from flower_dgan.gan.discriminator import mean_of
from flower_dgan.gan.exchange import Answer, Batch, Feedback, concatenate
from flower_dgan.gan.schedule import scheduled_rate
from flower_dgan.gan.session import Session

_SURE = 0.8
"""Root mean square of the gradient, times the pixels of an image, from which on a move has its full length."""


def step_and_judge(
    session: Session,
    round_number: int,
    trained_on: Batch,
    judged: Batch,
    *,
    scores: bool = False,
    views: Views | None = None,
) -> Answer:
    """Step the discriminator and judge, one batch of the bundle after the other.

    Parameters
    ----------
    session : Session
        The client; its discriminator is changed in place.
    round_number : int
        Which round: the real pairs that the client draws depend on it.
    trained_on : Batch
        Synthetic images on which the discriminator is trained beside as many real ones.
    judged : Batch
        As many synthetic images that it judges, each batch after the step on the batch before it in ``trained_on``.
    scores : bool
        Whether the feedback is scores instead of the generator's losses.
    views : Views or None
        Of the real images that pixel losses compare with; None where there are no such losses.
    """
    feedback, losses = [], []
    for number, part in enumerate(session.parts(len(judged))):
        losses.append(session.half.step(session.draw_real(round_number, number), trained_on[part]))
        if scores:
            feedback.append(session.half.scores(judged[part]))
        else:
            paired = None if views is None else session.paired(views[part])
            feedback.append(session.half.feedback(judged[part], paired))
    return Answer(concatenate(feedback), mean_of(losses))


def move_and_judge(
    session: Session, round_number: int, synthetic: Batch, *, passes: int, step: float, final_rate: float
) -> Answer:
    """Step the discriminator and move the synthetic images along its gradients, again and again; return how far.

    In pass p over the bundle, batch after batch: D steps on real images and on x~_p, the batch where it is now, and

        x~_p+1 = clamp(x~_p - eta u (u g) / max(rms(u g), 0.8 / pixels)),   g = dL_G / dx~ at x~_p,

    with rms over the batch and u the client's units. So the discriminator never learns on images that stand still,
    which it would tell from real ones by noise; and a message brings a way of many gradients for the bytes of one.

    Parameters
    ----------
    session : Session
        The client; its discriminator is changed in place.
    round_number : int
        Which round.
    synthetic : Batch
        x~_0; left as it is.
    passes : int
        How often the bundle is gone through.
    step, final_rate : float
        eta in the first half of the rounds, and its factor in the last, see :func:`scheduled_rate`.

    Returns
    -------
    Answer
        The losses of x~_0 as they were in the first pass, and x~_0 - x~_passes in the place of gradients.

    Notes
    -----
    Composite functional gradients, CFG-GAN (Johnson and Zhang 2018, algorithm 1). Deviations: D takes one step a batch
    instead of being trained anew; steps have a length; and the generator, which is elsewhere, follows once a message.
    """
    eta = step * scheduled_rate(round_number, session.rounds, final_rate)
    images, units = synthetic.images.clone(), session.half.units
    losses: list[Tensor] = []
    judged: list[Tensor] = []
    number = 0
    for turn in range(passes):
        for part in session.parts(len(synthetic)):
            batch = Batch(images[part], synthetic.label_maps[part])
            losses.append(session.half.step(session.draw_real(round_number, number), batch))
            feedback = session.half.feedback(batch)
            if turn == 0:
                judged.append(feedback.losses)
            images[part] = (batch.images - eta * units * direction(units * feedback.gradients)).clamp(-1, 1)
            number += 1
    return Answer(Feedback(to_cpu(torch.cat(judged)), to_cpu(synthetic.images - images)), mean_of(losses))


def direction(gradients: Tensor) -> Tensor:
    """Return gradients divided by their root mean square, or by ``_SURE`` where that is larger.

    A discriminator that cannot tell has a gradient all the same, which points anywhere; images that followed it by
    steps of full length would wander.

    Parameters
    ----------
    gradients : Tensor (batch, channels, height, width)
        Of each sample's own loss, in the units that a step counts in.
    """
    pixels = gradients[0, 0].numel()
    return gradients / gradients.square().mean().sqrt().clamp_min(_SURE / pixels)

"""What a client does with the synthetic images of a question: step its discriminator, and judge."""

from flower_dgan.data.views import Views
from flower_dgan.gan.exchange import Answer, Batch, concatenate
from flower_dgan.gan.session import Session


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
    return Answer(concatenate(feedback), sum(losses) / len(losses))

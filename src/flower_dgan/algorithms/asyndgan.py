"""AsynDGAN: one generator learns from the discriminators of many clients.

Q. Chang, H. Qu, Y. Zhang, M. Sabuncu, C. Chen, T. Zhang, D. Metaxas: "Synthetic Learning: Learn From Distributed
Asynchronized Discriminator GAN Without Sharing Medical Image Data", CVPR 2020.

The objective (section 3.2, equation 1) is

    min_G max_D1..DK  sum_k pi_k { E_x,y~p_k [ log D_k(x | y) ] + E_y~p_k [ log(1 - D_k(G(y) | y)) ] }

with pi_k the share of client k in all data. One exchange of algorithm 1, for every client k in parallel: the server
draws label maps y of client k and sends x~ = G(y); the client updates D_k on real pairs (y', x') that it draws itself
and on (y, x~), then returns its loss for G and the gradient of that loss with respect to x~; the server propagates the
weighted gradients through G and updates it.

:func:`client_update` is the client's part for a bundle of S exchanges made by one generator, discriminator step and
feedback in turn; :func:`train` puts both parts together in one process. With S = 1 this is the paper's algorithm.
Deviations: the generator takes noise and, optionally, the site; its loss is the non-saturating one; the paper's real
batch is that of the same y, which would let the server choose the real images.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flower_dgan.config import ImportPath, MergeName
from flower_dgan.data.channels import Channels, held
from flower_dgan.data.pairs import Pairs, Pixels
from flower_dgan.data.views import Views
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_bundle
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch, Feedback, Proposal, concatenate
from flower_dgan.gan.generator import GeneratorHalf, scheduled_rate
from flower_dgan.gan.guard import GRADIENTS, Guard, bound_gradients
from flower_dgan.gan.merge import client_weights, require_clients
from flower_dgan.gan.session import Session
from flower_dgan.gan.shares import bound_shares


@dataclass(frozen=True)
class LocalClient:
    """A client that lives in this process.

    Attributes
    ----------
    labels : ClientLabels
        What the server knows of it.
    images : tuple of uint8 arrays (height, width, channels)
        Its real images.
    half : DiscriminatorHalf
        Its discriminator.
    channels : tuple of int or None
        Which channels of the synthetic images its own have; None for all.
    secret : int or None
        What its draws of real pairs follow from; None for the run's seed.
    """

    labels: ClientLabels
    images: tuple[Pixels, ...]
    half: DiscriminatorHalf
    channels: Channels = None
    secret: int | None = None

    def session(self, settings: BundleSettings) -> Session:
        """Return what the client answers bundles of these settings with."""
        pairs = Pairs(self.images, self.labels.label_maps, self.labels.classes)
        secret = settings.seed if self.secret is None else self.secret
        sizes = settings.image_size, settings.batch_size, settings.augmentation
        return Session(self.labels.name, pairs, self.half, *sizes, secret)


def client_update(
    session: Session, round_number: int, synthetic: Batch, judged: Batch, views: Views | None
) -> tuple[Feedback, tuple[float, ...]]:
    """Step the discriminator and give feedback, one batch of the bundle after the other.

    Parameters
    ----------
    session : Session
        The client's; its discriminator is changed in place, on real pairs that it draws itself.
    round_number : int
        From 1.
    synthetic : Batch, (exchanges * batch_size, ...)
        Synthetic images, on which the discriminator is trained.
    judged : Batch
        As many synthetic images, on which feedback is given: the same ones, but for MD-GAN.
    views : Views or None
        Of the client's pairs whose images pixel losses compare the synthetic ones with; without such losses nobody
        looks at them.

    Returns
    -------
    feedback : Feedback
        For every sample of the bundle.
    losses : tuple of float
        The discriminator's loss on each batch.
    """
    half, feedback, losses = session.half, [], []
    for batch, start in enumerate(range(0, len(synthetic), session.batch_size)):
        part = slice(start, start + session.batch_size)
        real = session.draw_real(round_number, batch)
        losses.append(half.step(real, synthetic[part]))
        if half.pixel_losses is not None and views is not None:
            real = session.paired(views[part])
        feedback.append(half.feedback(real, judged[part]))
    return concatenate(feedback), tuple(losses)


def local_feedback(
    client: LocalClient, round_number: int, views: Views, proposal: Proposal, settings: BundleSettings
) -> Feedback:
    """Return the feedback of a client in this process; pixel losses compare with these views of its pairs."""
    synthetic = Batch(proposal.images[:, held(client.channels)], proposal.inputs().label_maps)
    feedback, _ = client_update(client.session(settings), round_number, synthetic, synthetic, views)
    return replace(feedback, channels=client.channels)


def train(
    generator: GeneratorHalf,
    clients: Sequence[LocalClient],
    settings: BundleSettings,
    *,
    rounds: int,
    generator_steps: int,
    merge: MergeName | ImportPath,
    in_flight: int = 1,
    final_rate: float = 1.0,
    largest_share: float = 1.0,
    after_round: Callable[[int], None] = lambda _: None,
) -> None:
    """Run the algorithm in one process: the centralised bound with one client on pooled data, the local one on its own.

    Parameters
    ----------
    generator : GeneratorHalf
        Changed in place.
    clients : sequence of LocalClient
        Their discriminators are changed in place.
    settings : BundleSettings
        What is drawn in each round.
    rounds : int
        Bundles a client.
    generator_steps : int
        Generator steps a round.
    merge : MergeName or ImportPath
        The generator's merge rule, which says the clients' weights.
    in_flight : int
        Bundles of a client under way at once: with 2, bundle t + 1 is drawn before the feedback on bundle t is applied.
    final_rate : float
        Factor of the generator's rates in the last round, see ``generator.scheduled_rate``.
    largest_share : float
        Largest weight of one client among three or more.
    after_round : callable
        Called with the number of each finished round, from 1.
    """
    require_clients(merge, len(clients))
    weights = client_weights(merge, {client.labels.name: len(client.images) for client in clients})
    weights = bound_shares(weights, largest_share, len(clients))
    guard = Guard(GRADIENTS)
    drawn: deque[list[tuple[Views, Proposal]]] = deque()
    for round_number in range(1, rounds + 1):
        for ahead in range(round_number + len(drawn), min(rounds, round_number + in_flight - 1) + 1):
            inputs = [draw_bundle(client.labels, settings, ahead) for client in clients]
            drawn.append([(views, generator.propose(each)) for views, each in inputs])
        proposals, feedback = [], {}
        for client, (views, proposal) in zip(clients, drawn.popleft(), strict=True):
            proposals.append(proposal)
            feedback[client.labels.name] = local_feedback(client, round_number, views, proposal, settings)
        bounded, _ = bound_gradients(guard, feedback)
        rate = scheduled_rate(round_number, rounds, final_rate)
        generator.apply(proposals, list(bounded.values()), weights, generator_steps, rate)
        after_round(round_number)

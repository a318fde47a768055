"""AsynDGAN: one generator learns from the discriminators of many clients.

Q. Chang, H. Qu, Y. Zhang, M. Sabuncu, C. Chen, T. Zhang, D. Metaxas: "Synthetic Learning: Learn From Distributed
Asynchronized Discriminator GAN Without Sharing Medical Image Data", CVPR 2020.

The objective (section 3.2, equation 1) is

    min_G max_D1..DK  sum_k pi_k { E_x,y~p_k [ log D_k(x | y) ] + E_y~p_k [ log(1 - D_k(G(y) | y)) ] }

with pi_k the share of client k in all data. One exchange of algorithm 1, for every client k in parallel: the server
draws label maps y of client k and sends x~ = G(y); the client updates D_k on (y, x) and (y, x~), then returns its loss
for G and the gradient of that loss with respect to x~; the server propagates the weighted gradients through G and
updates it.

:func:`client_update` is the client's part for a bundle of S exchanges made by one generator, discriminator step and
feedback in turn; :func:`train` puts both parts together in one process. With S = 1 this is the paper's algorithm.
Deviations: the generator takes noise and, optionally, the site; its loss is the non-saturating one.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flower_dgan.config import ImportPath, MergeName
from flower_dgan.data.augmentation import apply_to_images, apply_to_label_maps
from flower_dgan.data.channels import Channels, held
from flower_dgan.data.pairs import Pixels
from flower_dgan.data.views import Views
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_bundle
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch, Feedback, Proposal, concatenate
from flower_dgan.gan.generator import GeneratorHalf, scheduled_rate
from flower_dgan.gan.guard import GRADIENTS, Guard, bound_gradients
from flower_dgan.gan.merge import client_weights, require_clients
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
    """

    labels: ClientLabels
    images: tuple[Pixels, ...]
    half: DiscriminatorHalf
    channels: Channels = None

    def real(self, views: Views, image_size: int) -> Batch:
        """Return these views of its real pairs."""
        label_maps = apply_to_label_maps(self.labels.label_maps, self.labels.classes, views, image_size)
        return Batch(apply_to_images(self.images, views, image_size), label_maps)


def client_update(
    half: DiscriminatorHalf, real: Batch, synthetic: Batch, judged: Batch, batch_size: int
) -> tuple[Feedback, tuple[float, ...]]:
    """Step the discriminator and give feedback, one batch of the bundle after the other.

    Parameters
    ----------
    half : DiscriminatorHalf
        The client's discriminator; changed in place.
    real : Batch, (exchanges * batch_size, ...)
        The client's real images, batch after batch.
    synthetic : Batch
        As many synthetic images, on which the discriminator is trained.
    judged : Batch
        As many synthetic images, on which feedback is given: the same ones, but for MD-GAN.
    batch_size : int
        Samples of one batch.

    Returns
    -------
    feedback : Feedback
        For every sample of the bundle.
    losses : tuple of float
        The discriminator's loss on each batch.
    """
    feedback, losses = [], []
    for start in range(0, len(real), batch_size):
        part = slice(start, start + batch_size)
        losses.append(half.step(real[part], synthetic[part]))
        feedback.append(half.feedback(real[part], judged[part]))
    return concatenate(feedback), tuple(losses)


def local_feedback(client: LocalClient, views: Views, proposal: Proposal, settings: BundleSettings) -> Feedback:
    """Return the feedback of a client in this process on images that it compares with these views of its pairs."""
    synthetic = Batch(proposal.images[:, held(client.channels)], proposal.inputs().label_maps)
    real = client.real(views, settings.image_size)
    feedback, _ = client_update(client.half, real, synthetic, synthetic, settings.batch_size)
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
            feedback[client.labels.name] = local_feedback(client, views, proposal, settings)
        bounded, _ = bound_gradients(guard, feedback)
        rate = scheduled_rate(round_number, rounds, final_rate)
        generator.apply(proposals, list(bounded.values()), weights, generator_steps, rate)
        after_round(round_number)

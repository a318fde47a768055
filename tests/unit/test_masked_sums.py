"""A node with an owner adds up with those whom its owner names, once, whatever the server says of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from flower_dgan import client_app
from flower_dgan.errors import ConfigError, ProtocolError
from flower_dgan.node import masked_sums
from flower_dgan.node.book import Book
from flower_dgan.node.identity import public_identity_in
from flower_dgan.node.new_book import begin_new_book
from flower_dgan.node.own_policy import read_policy
from flower_dgan.node.plain_words import in_plain_words
from flower_dgan.node.privacy_book import spent
from flower_dgan.node.state import ClientState
from flower_dgan.node.sum_keys import purpose_of
from flower_dgan.privacy.gaussian_mechanism import epsilon_of
from flower_dgan.privacy.masks import add_up, digest_of, mask, public_identity, public_key, sign
from flower_dgan.privacy.noise import GRID, noisy
from flower_dgan.wire.join_messages import LEAVE
from flower_dgan.wire.masked_sum_messages import MASKED_SUM, SUM_KEY, MaskedSumAnswer, MaskedSumRequest, Offer
from flower_dgan.wire.noisy_sum_messages import ASKED, NOISY_SUM
from flower_dgan.wire.protocol import PROTOCOL_VERSION, Training
from flower_dgan.wire.refusals import Refusal
from tests.clinic import FIRST, Clinic, settings
from tests.pairs import make_folder

TOGETHER = (
    "privacy=moments-together algorithm.honest_sites=3 data.condition=none downstream=none algorithm.frequencies=50 "
    "exchange.exchanges=2 exchange.generator_steps=2"
)
SECOND = Training("b" * 16, 1)


@dataclass(frozen=True)
class Peer:
    """A site that the server may play, too: what it knows of keys is in here."""

    identity: bytes

    @property
    def public(self) -> bytes:
        return public_identity(self.identity)

    @property
    def private(self) -> bytes:
        return hashlib.sha256(b"key" + self.identity).digest()

    def offer(self, purpose: bytes) -> Offer:
        key = public_key(self.private)
        return Offer(self.public, key, sign(self.identity, purpose, key))

    def mask(self, offers: Sequence[Offer], purpose: bytes, numbers: int) -> np.ndarray:
        keys = {each.identity: each.key for each in offers}
        return mask(self.private, self.public, keys, digest_of(purpose, keys), numbers)


PEERS = [Peer(bytes([number]) * 32) for number in (1, 2)]
STRANGER = Peer(bytes([9]) * 32)


def policy_with(peers: Sequence[str], sites: int = 3, honest: int = 3, epsilon: float = 3.0) -> str:
    return (
        f"preset: strict\napproval: false\nepsilon: {epsilon}\npeers:\n  keys: {json.dumps([*peers])}\n"
        f"  sites: {sites}\n  honest_sites: {honest}\n"
    )


NAMED = policy_with([peer.public.hex() for peer in PEERS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("clinic"), sites=1, images=9, size=24)


@pytest.fixture
def clinic(folder: Path, tmp_path: Path) -> Clinic:
    found = Clinic(folder, tmp_path)
    found.policy.write_text(NAMED)
    return found


def purpose_at(clinic: Clinic, training: Training = FIRST) -> bytes:
    state = ClientState(training.identity, clinic.node_config["name"])
    return purpose_of(training, state.settings(lambda *_: None))


def key_of(clinic: Clinic, training: Training = FIRST) -> Offer:
    reply = clinic.send(training.to_records(ASKED), SUM_KEY)
    assert not reply.has_error(), reply.error.reason
    return Offer.from_records(reply.content)


def ask(clinic: Clinic, offers: Sequence[Offer], training: Training = FIRST) -> Message:
    return clinic.send(MaskedSumRequest(training, tuple(sorted(offers))).to_records(), MASKED_SUM)


def words(reply: Message) -> np.ndarray:
    assert not reply.has_error(), reply.error.reason
    return MaskedSumAnswer.from_records(reply.content, (1, 101)).words


def honest_list(clinic: Clinic, training: Training = FIRST) -> list[Offer]:
    """Let a node join and offer its key, and return what an honest server sends to all."""
    assert clinic.refusal(clinic.join(TOGETHER, training)) is None
    return [key_of(clinic, training), *(peer.offer(purpose_at(clinic, training)) for peer in PEERS)]


def told(home: Path) -> dict[str, object]:
    (file,) = (home / "state/flower-dgan/ledger").iterdir()
    return dict(json.loads(file.read_text().splitlines()[-1]))


def test_with_all_others_masks_its_own_sum_and_share_of_noise_are_left(
    clinic: Clinic, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.3906 / sqrt(3) = 0.8029 at each; what the masks of the others leave is the sum with noise, to the bit."""
    plain: list[np.ndarray] = []
    shares: list[float] = []

    def watched(total: np.ndarray, sigma: float, random_bytes: object) -> np.ndarray:
        shares.append(sigma)
        plain.append(noisy(total, sigma, random_bytes))  # type: ignore[arg-type]
        return plain[-1]

    monkeypatch.setattr(masked_sums, "noisy", watched)
    offers = honest_list(clinic)
    part = words(ask(clinic, offers))
    others = [peer.mask(offers, purpose_at(clinic), 101).reshape(1, 101) for peer in PEERS]
    assert (add_up([part, *others]) == plain[0]).all()
    assert shares == [pytest.approx(0.8029, abs=5e-5)]
    assert np.abs(plain[0] / GRID).max() < 20
    assert np.abs(part.view(np.int64).astype(float)).mean() > 2**61
    line = told(own_home)
    assert line["purpose"] == MASKED_SUM
    privacy = dict(line["privacy"])  # type: ignore[call-overload]
    assert privacy["release"] == "epsilon 3 at delta 1e-05, as 3 sites are trusted"
    assert privacy["if enough sites are honest"] == "epsilon 3"
    assert privacy["if all others collude"] == "epsilon 5.656"
    assert privacy["spent"] == "epsilon 3 at delta 1e-05"
    assert privacy["sites"] == "3"


def test_a_book_is_charged_by_whom_its_owner_trusts(clinic: Clinic) -> None:
    """Of three sites all, two or nobody else: epsilon 3, 3.781 or 5.656 of the same sum."""
    named = [peer.public.hex() for peer in PEERS]
    for letter, honest, together in (("a", 3, 3.0), ("b", 2, 3.781), ("c", 1, 5.656)):
        before, training = spent(Book()), Training(letter * 16, 1)
        clinic.policy.write_text(policy_with(named, honest=honest, epsilon=20))
        words(ask(clinic, honest_list(clinic, training), training))
        assert epsilon_of((spent(Book()) ** 2 - before**2) ** 0.5, 1e-5) == pytest.approx(together, abs=1e-3)


def test_who_trusts_nobody_refuses_what_that_costs(clinic: Clinic) -> None:
    clinic.policy.write_text(NAMED.replace("honest_sites: 3", "honest_sites: 1"))
    assert clinic.refusal(clinic.join(TOGETHER)) == Refusal.EPSILON


def test_without_peers_no_node_takes_part(clinic: Clinic) -> None:
    for text in ("preset: strict\napproval: false\n", "preset: research\n"):
        clinic.policy.write_text(text)
        assert clinic.refusal(clinic.join(TOGETHER.replace("honest_sites=3", "honest_sites=1"))) == Refusal.PEERS


def test_all_peers_are_wanted_unless_the_owner_says_fewer(clinic: Clinic) -> None:
    named = [peer.public.hex() for peer in PEERS]
    clinic.policy.write_text(policy_with(named, sites=0, honest=3))
    offers = honest_list(clinic)
    assert clinic.refusal(ask(clinic, offers[:2])) is not None
    for sites, honest in ((4, 3), (1, 1), (2, 3)):
        clinic.policy.write_text(policy_with(named, sites=sites, honest=honest, epsilon=20))
        assert clinic.refusal(clinic.join(TOGETHER)) == Refusal.PEERS
    for wrong in ("ab", PEERS[0].public.hex().upper()[:-1] + "G"):
        clinic.policy.write_text(policy_with([wrong]))
        with pytest.raises(ConfigError, match=r"peers\.keys"):
            read_policy(clinic.policy)


def test_what_a_dishonest_server_may_say_of_the_others_is_refused(clinic: Clinic) -> None:
    """Before anything is charged: a peer is dropped, invented, named twice, or its key is another's or of earlier."""
    offers = honest_list(clinic)
    own, first, second = offers
    purpose = purpose_at(clinic)
    swapped = Offer(first.identity, STRANGER.offer(purpose).key, STRANGER.offer(purpose).signature)
    earlier = PEERS[0].offer(purpose_of(SECOND, ClientState(FIRST.identity, "clinic").settings(lambda *_: None)))
    assert earlier.key == first.key
    weak = Offer(first.identity, bytes(32), sign(PEERS[0].identity, purpose, bytes(32)))
    own_for_another = honest_list(clinic, SECOND)[0]
    cases = {
        "dropped": ([own, first], Refusal.PROTOCOL),
        "invented": ([own, first, STRANGER.offer(purpose)], Refusal.PEERS),
        "invented beside": ([*offers, STRANGER.offer(purpose)], Refusal.PEERS),
        "substituted": ([own, swapped, second], Refusal.PROTOCOL),
        "replayed": ([own, earlier, second], Refusal.PROTOCOL),
        "without itself": ([first, second, STRANGER.offer(purpose)], Refusal.PROTOCOL),
        "itself of another training": ([own_for_another, first, second], Refusal.PROTOCOL),
        "twice": ([own, first, first], Refusal.PROTOCOL),
        "alone": ([own], Refusal.PROTOCOL),
        "a key of no secret": ([own, weak, second], Refusal.PROTOCOL),
    }
    for name, (said, why) in cases.items():
        assert clinic.refusal(ask(clinic, said)) == why, name
    assert spent(Book()) == 0.0
    words(ask(clinic, offers))


def test_a_sum_of_fewer_sites_than_the_owner_wants_is_refused(clinic: Clinic) -> None:
    clinic.policy.write_text(policy_with([peer.public.hex() for peer in [*PEERS, STRANGER]], sites=4))
    assert clinic.refusal(ask(clinic, honest_list(clinic))) == Refusal.PEERS


def test_asked_twice_it_sends_the_same_and_no_other_list_gets_anything(clinic: Clinic) -> None:
    """Nor after leaving, joining anew, another attempt, or another message for a key."""
    clinic.policy.write_text(policy_with([peer.public.hex() for peer in [*PEERS, STRANGER]]))
    offers = honest_list(clinic)
    first = words(ask(clinic, offers))
    cost = spent(Book())
    more = [*offers, STRANGER.offer(purpose_at(clinic))]
    again = Training(FIRST.identity, 2)
    assert (words(ask(clinic, offers)) == first).all()
    assert clinic.refusal(ask(clinic, more)) == Refusal.PROTOCOL
    clinic.send(FIRST.to_records("leave"), LEAVE)
    clinic.join(TOGETHER, again)
    assert key_of(clinic, again) == offers[0]
    assert (words(ask(clinic, offers, again)) == first).all()
    assert clinic.refusal(ask(clinic, more, again)) == Refusal.PROTOCOL
    assert spent(Book()) == cost


def test_another_sum_is_charged_anew_and_has_other_masks_and_noise(clinic: Clinic) -> None:
    clinic.policy.write_text(NAMED.replace("epsilon: 3.0", "epsilon: 4.5"))
    first = words(ask(clinic, honest_list(clinic)))
    second = words(ask(clinic, honest_list(clinic, SECOND), SECOND))
    assert not (first == second).any()
    assert epsilon_of(spent(Book()), 1e-5) == pytest.approx(4.463, abs=1e-3)
    third = Training("c" * 16, 1)
    assert clinic.refusal(clinic.join(TOGETHER, third)) is None
    offers = [key_of(clinic, third), *(peer.offer(purpose_at(clinic, third)) for peer in PEERS)]
    assert clinic.refusal(ask(clinic, offers, third)) == Refusal.EPSILON


def two_nodes(folder: Path, scratch: Path) -> list[Clinic]:
    """Two real nodes with identities of their own, who name each other and one of the peers."""
    found = []
    for name in ("clinic", "other"):
        (scratch / name).mkdir()
        node = Clinic(folder, scratch / name)
        node.node_config |= {"name": name, "identity-file": str(scratch / name / "identity")}
        found.append(node)
    keys = [public_identity_in(Path(node.node_config["identity-file"])) for node in found]
    for node, other in zip(found, reversed(keys), strict=True):
        node.policy.write_text(policy_with([other, *(peer.public.hex() for peer in PEERS)], epsilon=20))
    return found


def test_nodes_that_are_told_of_different_lists_send_what_is_no_sum(folder: Path, tmp_path: Path) -> None:
    nodes = two_nodes(folder, tmp_path)
    for node in nodes:
        node.join(TOGETHER)
    purpose, own = purpose_at(nodes[0]), [key_of(node) for node in nodes]
    assert purpose_at(nodes[1]) == purpose
    lists = [[*own, peer.offer(purpose)] for peer in PEERS]
    parts = [words(ask(node, offers)) for node, offers in zip(nodes, lists, strict=True)]
    known = [peer.mask(offers, purpose, 101).reshape(1, 101) for peer, offers in zip(PEERS, lists, strict=True)]
    for of_server in ([], known[:1], known[1:], known):
        assert np.abs(add_up([*parts, *of_server]).astype(float)).mean() > 2**60


def test_two_nodes_and_a_peer_make_up_one_sum(folder: Path, tmp_path: Path) -> None:
    """Of 18 patients, within six deviations of two shares of noise: c = 0.05 of what a patient adds is the count."""
    nodes = two_nodes(folder, tmp_path)
    for node in nodes:
        node.join(TOGETHER)
    purpose = purpose_at(nodes[0])
    offers = [*(key_of(node) for node in nodes), PEERS[0].offer(purpose)]
    parts = [words(ask(node, offers)) for node in nodes]
    total = add_up([*parts, PEERS[0].mask(offers, purpose, 101).reshape(1, 101)]) / GRID
    assert total[0, -1] / 0.05**0.5 == pytest.approx(18, abs=6 * 0.8029 * (2 / 0.05) ** 0.5)
    assert np.abs(total).max() < 40


def test_all_that_the_server_receives_of_the_same_patients_is_uniform(clinic: Clinic) -> None:
    """Two sums of 10,001 numbers: the bytes of each are alike often, and so are those of their difference."""
    clinic.policy.write_text(NAMED.replace("epsilon: 3.0", "epsilon: 20"))
    longer = TOGETHER.replace("frequencies=50", "frequencies=5000")
    found = []
    for letter in "ab":
        training = Training(letter * 16, 1)
        clinic.join(longer, training)
        offers = [key_of(clinic, training), *(peer.offer(purpose_at(clinic, training)) for peer in PEERS)]
        reply = ask(clinic, offers, training)
        assert {name: set(record) for name, record in reply.content.items()} == {
            "answer": {"protocol-version"},
            "masked-sum": {"words"},
        }
        found.append(MaskedSumAnswer.from_records(reply.content, (1, 10_001)).words)
    for each in (*found, found[0] - found[1]):
        counts = np.bincount(np.frombuffer(each.tobytes(), np.uint8), minlength=256)
        expected = counts.sum() / 256
        assert 150 < np.square(counts - expected).sum() / expected < 380


def test_what_leaves_is_what_the_book_was_charged_for(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever code made it: a vector without masks, or a key that hides something, does not leave."""
    offers = honest_list(clinic)

    def bare(*_: object) -> RecordDict:
        return MaskedSumAnswer(np.ones((1, 101), np.uint64)).to_records()

    def other_key(*_: object) -> RecordDict:
        return Offer(offers[0].identity, b"patient number 7 has a tumour ..", offers[0].signature).to_records()

    def more(message: Message, _: object) -> RecordDict:
        content = Offer.from_records(offers[0].to_records()).to_records()
        content["noisy-sum"] = ConfigRecord({"steps": 1})
        return content

    with monkeypatch.context() as patch:
        patch.setattr(client_app, "_give_masked_sum", bare)
        assert clinic.refusal(ask(clinic, offers)) == Refusal.UNDECLARED
    for wrong in (other_key, more):
        with monkeypatch.context() as patch:
            patch.setattr(client_app, "_give_sum_key", wrong)
            assert clinic.refusal(clinic.send(FIRST.to_records(ASKED), SUM_KEY)) == Refusal.UNDECLARED
    words(ask(clinic, offers))


def test_neither_kind_of_sum_is_had_in_a_training_of_the_other(clinic: Clinic) -> None:
    offers = honest_list(clinic)
    assert clinic.refusal(clinic.send(FIRST.to_records(ASKED), NOISY_SUM)) == Refusal.PROTOCOL
    clinic.join(TOGETHER.replace("-together algorithm.honest_sites=3", ""), SECOND)
    assert clinic.refusal(clinic.send(SECOND.to_records(ASKED), SUM_KEY)) == Refusal.PROTOCOL
    assert clinic.refusal(ask(clinic, offers, SECOND)) == Refusal.PROTOCOL


def test_what_was_not_kept_does_not_leave_and_the_key_stays(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    offers = honest_list(clinic)

    def fail(*_: object) -> np.ndarray:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(masked_sums, "noisy", fail)
        assert clinic.refusal(ask(clinic, offers)) == Refusal.STORAGE
    assert spent(Book()) == 0.0
    words(ask(clinic, offers))
    with Book().changing() as rows:
        assert rows.execute("SELECT private FROM sum_keys").fetchall() == [(None,)]


def test_in_a_new_book_no_key_of_an_older_one_is_used_again(clinic: Clinic, own_home: Path) -> None:
    offers = honest_list(clinic)
    begin_new_book(own_home / "state/flower-dgan")
    assert clinic.refusal(ask(clinic, offers)) == Refusal.PROTOCOL
    assert key_of(clinic) != offers[0]


def test_an_older_book_that_is_put_back_is_seen(clinic: Clinic, own_home: Path) -> None:
    """It has the key still, and would send another vector behind the same masks."""
    offers = honest_list(clinic)
    book = own_home / "state/flower-dgan/book.sqlite"
    before = book.read_bytes()
    words(ask(clinic, offers))
    book.write_bytes(before)
    assert clinic.refusal(ask(clinic, offers)) == Refusal.STORAGE


def test_plain_words_name_both_figures(clinic: Clinic) -> None:
    told = in_plain_words(read_policy(clinic.policy), settings(TOGETHER))
    assert "behind masks" in told
    assert "no more than epsilon 3, delta 1e-05 allows if 3 sites, yours among them, are honest" in told
    assert "epsilon 5.656" in told
    assert "REFUSED" not in told


@pytest.mark.parametrize(
    "offers",
    [
        b"",
        bytes(127),
        bytes(128 * 1025),
        b"".join(offer.packed for offer in sorted((peer.offer(b"") for peer in PEERS), reverse=True)),
        PEERS[0].offer(b"").packed * 2,
        "text",
    ],
)
def test_a_list_that_no_honest_server_sends_cannot_be_read(offers: bytes | str) -> None:
    values = {"protocol-version": PROTOCOL_VERSION, "training": FIRST.identity, "attempt": 1, "offers": offers}
    with pytest.raises(ProtocolError):
        MaskedSumRequest.from_records(RecordDict({ASKED: ConfigRecord(values)}))

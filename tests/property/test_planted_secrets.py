"""A server that sends whatever it likes learns no environment, no file beside the images, and no file name.

`FUZZED_TRAININGS=10000 pytest tests/property/test_planted_secrets.py` is the long way; training i is always the same.
"""

import base64
import os
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from PIL import Image

from flower_dgan.client_app import app
from flower_dgan.config import Config
from flower_dgan.data.views import Views
from flower_dgan.flower.inprocess import InProcessGrid
from flower_dgan.gan.exchange import Question
from flower_dgan.resolve import resolve
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.join_messages import JOIN, LABEL_MAPS, LEAVE, JoinRequest
from flower_dgan.wire.moments_messages import MOMENTS, MomentsRequest
from flower_dgan.wire.noisy_sum_messages import ASKED, NOISY_SUM
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE, Envelope, write_question
from flower_dgan.wire.refusals import Refusal
from flower_dgan.wire.score_messages import SCORE, ScoreRequest

from .planted import Places, changed, changed_records, found_in

FUZZED = int(os.environ.get("FUZZED_TRAININGS", "200"))
SECRETS = {"environment": "q7zk-ENVIRON-4wxv", "file": "j3pv-BESIDE-8dkq", "stem": "w9hm-STEMOF-5tzc"}
FREE = "approval: false\ntrainings: any\nkept_trainings: any\n"
TINY = (
    "data.image_size=16 model.discriminator_width=4 exchange.exchanges=1 exchange.batch_size=4 threads=1 "
    "exchange.generator_steps=1 downstream=none exchange.graph_mb=0"
)
TRAININGS = (
    f"data=folder {TINY}",
    f"data=folder {TINY} data.condition=none model=mlp algorithm=mdgan algorithm.swap_interval=1",
    f"data=folder {TINY} data.masks=binary data.foreground_windows=0.5",
    f"data=folder {TINY} algorithm=asyndgan model=small allow_pixel_losses=true algorithm.perceptual_weight=0",
    f"privacy=moments data=folder {TINY} data.condition=none algorithm.frequencies=20",
)


@pytest.mark.parametrize(
    "data",
    [
        b"x" + SECRETS["stem"].encode(),
        SECRETS["stem"].upper().encode(),
        SECRETS["stem"].encode("utf-16-le"),
        b"\0\1\2" + SECRETS["stem"].encode("utf-16-be"),
        SECRETS["stem"].encode()[::-1],
        SECRETS["stem"].encode().hex().upper().encode(),
        *(base64.b64encode(b"~" * skip + SECRETS["stem"].encode() + b"tail") for skip in range(3)),
        b"junk" + zlib.compress(b"before " + SECRETS["stem"].encode()),
        zlib.compress(b"\0" + zlib.compress(SECRETS["stem"].encode(), 0)),
    ],
)
def test_a_secret_is_found_in_every_form(data: bytes) -> None:
    """Else the test below would pass whatever leaves."""
    content = RecordDict({"a": ConfigRecord({"b": [b"nothing", data]})})
    assert found_in(content, SECRETS) == {"stem"}


def test_a_secret_is_found_in_numbers_and_names() -> None:
    letters = np.frombuffer(SECRETS["file"].encode(), np.uint8)
    for values in (letters.astype(np.float32), letters.astype(np.float32) / 127.5 - 1, letters.astype(np.int64)):
        assert found_in(RecordDict({"a": ArrayRecord({"b": Array(values)})}), SECRETS) == {"file"}
    assert found_in(RecordDict({SECRETS["stem"]: ConfigRecord()}), SECRETS) == {"stem"}
    assert found_in(Error(code=1, reason=f"no {SECRETS['environment']}"), SECRETS) == {"environment"}
    assert found_in(RecordDict({"a": ArrayRecord({"b": Array(np.zeros(40, np.float32))})}), SECRETS) == set()


class Server:
    """Sends one node what it likes."""

    def __init__(self, node_config: dict[str, bool | int | float | str], places: Places) -> None:
        self._node_config, self._places = node_config, places
        self.outcomes: Counter[str] = Counter()

    def send(self, content: RecordDict, kind: str) -> bool:
        """Return whether it was answered; what is answered must hold no secret, and no error but a known one."""
        context = Context(run_id=1, node_id=1, node_config=self._node_config, state=RecordDict(), run_config={})
        grid = InProcessGrid(app, {1: context})
        (reply,) = grid.send_and_receive([Message(content, dst_node_id=1, message_type=kind, group_id="1")])
        assert found_in(reply.error if reply.has_error() else reply.content, SECRETS) == set(), kind
        if reply.has_error():
            assert reply.error.reason == Refusal(reply.error.code).sentence, (kind, reply.error.reason)
            self.outcomes[f"{kind}: {Refusal(reply.error.code).name}"] += 1
            return False
        self.outcomes[f"{kind}: answered"] += 1
        return True

    def train(self, number: int, config: Config) -> None:
        """Begin a training whose description was changed, or a sound one whose messages are."""
        rng = np.random.default_rng(number)
        training = Training(f"{number:016x}", 1)
        content = JoinRequest(training, config).to_records()
        if number % 3:
            record = content.config_records["join"]
            record["description"] = changed(str(record["description"]), self._places, rng)
        elif number % 2:
            changed_records(content, self._places, rng)
        if not self.send(content, JOIN):
            return
        shape = replace(BundleShape.of(config, 2), channels=3)
        question = Question(
            torch.rand(shape.images, generator=torch.Generator().manual_seed(number)) * 2 - 1,
            Views(np.zeros(shape.samples, np.int64), np.zeros((shape.samples, 4), np.int16)),
        )
        bundle = write_question(Envelope(training, 1, 0, ()), question, shape)
        weights = rng.standard_normal(30).astype(np.float32)
        sent = [
            (training.to_records("request"), LABEL_MAPS),
            (bundle, EXCHANGE),
            (training.to_records(ASKED), NOISY_SUM),
        ]
        if not rng.integers(8):  # a node builds a large network for these
            sent.append((MomentsRequest(training, 60, weights).to_records(), MOMENTS))
            sent.append((ScoreRequest(training, 1, weights).to_records(), SCORE))
        for content, kind in sent:
            if rng.integers(2):
                changed_records(content, self._places, rng)
            self.send(content, kind)
        self.send(training.to_records("leave"), LEAVE)


@pytest.fixture
def places(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Plant the secrets: in the environment, in a file and a table beside the images, in folder and stems."""
    folder = tmp_path / f"images-of-{SECRETS['stem']}"
    generator = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    stems = [f"{SECRETS['stem']}_site-{index}_p{index}" for index in range(8)]
    for stem in stems:
        Image.fromarray(generator.integers(0, 256, (20, 20, 3), np.uint8)).save(folder / "images" / f"{stem}.png")
        mask = np.where(generator.integers(0, 2, (20, 20)), 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{stem}.png")
    beside = tmp_path / "beside.csv"
    rows = [f"{stem},{SECRETS['file']}-{index % 2},{SECRETS['file']}-{index}" for index, stem in enumerate(stems)]
    beside.write_text("\n".join(["name,site,group", *rows]) + "\n")
    (folder / "notes.txt").write_text(SECRETS["file"])
    monkeypatch.setenv("PLANTED_SECRET", SECRETS["environment"])
    return Places("PLANTED_SECRET", str(beside), str(folder), stems[0])


def test_fuzzed_trainings_bring_back_no_secret(places: Places, tmp_path: Path) -> None:
    """Of a node under each preset, whose owner approves whatever comes."""
    configs = [resolve(each) for each in TRAININGS]
    servers = []
    for preset in ("research", "standard", "strict"):
        policy = tmp_path / f"{preset}.yaml"
        policy.write_text(f"preset: {preset}\n{FREE}")
        own = {"data-path": places.folder, "name": "clinic", "policy": str(policy), "table": places.file}
        servers.append(Server({**own}, places))
    for number in range(FUZZED):
        # Most are of the policy that lets most leave.
        server = servers[0 if number % 4 < 2 else number % 4 - 1]
        server.train(number, configs[number // 4 % len(configs)])
    outcomes = sum((each.outcomes for each in servers), Counter[str]())
    print("\n".join(f"{count:7,} {what}" for what, count in outcomes.most_common()))
    answered = {what for what in outcomes if what.endswith(": answered")}
    assert {f"{kind}: answered" for kind in (JOIN, LABEL_MAPS, EXCHANGE, LEAVE)} <= answered
    assert len([what for what in outcomes if not what.endswith(": answered")]) > 5

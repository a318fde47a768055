"""What the page tells of runs: folded from their events, in bounded memory."""

import asyncio
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flower_dgan.errors import ConfigError, DataError
from flower_dgan.run.event_reader import EventReader
from flower_dgan.run.settings_file import settings_of
from flower_dgan.watch.board import Board, Watched
from flower_dgan.watch.bounded_curves import Curves
from flower_dgan.watch.page import SCRIPTS, STYLES, static_file
from flower_dgan.watch.painting import WAITING, BusyError, PaintError, Painting
from flower_dgan.watch.plain import to_json
from flower_dgan.watch.run_places import find_runs
from flower_dgan.watch.serve import Door, names, ssh_target
from flower_dgan.watch.shown_files import inside, pictures, sample_rounds
from flower_dgan.watch.sign_of_life import is_locked
from flower_dgan.watch.stream import events
from tests.watched import begin_event, end_event, round_event, write_events


def read(run: Path) -> Watched:
    (place,) = find_runs(run).values()
    watched = Watched(place)
    while watched.refresh():
        pass
    return watched


def test_curves_of_many_rounds_are_means_of_few_points() -> None:
    curves = Curves(("loss",))
    for number in range(1, 3201):
        curves.add(number, {"a": {"loss": float(number)}})
    shown = curves.shown()
    # 800 points are 3,200 rounds by four: 1 .. 4 is 2.5, and the last is 3197 .. 3200
    assert (shown["stride"], len(shown["rounds"]), shown["rounds"][:2]) == (4, 800, [4, 8])
    line = shown["measures"]["loss"]["a"]
    assert (line[0], line[1], line[-1]) == (2.5, 6.5, 3198.0)  # 3198.5 in four digits, by Python's rounding to even
    assert curves.shown(798)["rounds"] == [3196, 3200]


def test_what_was_not_measured_is_a_gap() -> None:
    curves = Curves(("loss",))
    curves.add(1, {"a": {"loss": 1.0}})
    curves.add(2, {"a": {"loss": float("nan")}, "b": {"loss": 2.0}, "c": {"loss": 10**400}})
    curves.add(3, {"b": {"loss": 3.0}})
    assert curves.shown()["measures"]["loss"] == {"a": [1.0, None, None], "b": [None, 2.0, 3.0]}


def test_a_run_is_told_as_it_goes_on(tmp_path: Path) -> None:
    run = write_events(
        tmp_path / "run", [begin_event(), {"kind": "join", "site": "north", "images": 7}, round_event(1)]
    )
    watched = read(run)
    assert watched.view()["round"] == 1
    with (run / "metrics.jsonl").open("a") as file:
        file.write(
            json.dumps(round_event(2, rejected={"west": "it sent nothing"}, late=["east"])) + "\n" + '{"kind": "rou'
        )
    watched.refresh()
    view = watched.view()
    assert (view["round"], view["rounds"], view["images"]) == (2, 10, 32)
    assert view["seconds"] == {"generator": 1.0, "discriminator": 0.5, "waiting": 0.25, "flower": 0.25}
    assert view["seconds_left"] == 8.0  # eight rounds of a second
    clients = {each["name"]: each for each in view["clients"]}
    assert (clients["north"]["images"], clients["north"]["sent"], clients["north"]["answers"]) == (7, 2000, 2)
    assert (clients["west"]["state"], clients["west"]["why"]) == ("rejected", "it sent nothing")
    assert clients["east"]["state"] == "late"
    assert (view["damaged"], view["not_understood"]) == (0, 0)


@pytest.mark.parametrize("change", ["refused", "left out", "away"])
def test_a_client_that_is_gone_is_told_with_the_reason(tmp_path: Path, change: str) -> None:
    gone = {"kind": "membership", "who": "south", "what": "its disk is full", "round": 1, "change": change}
    run = write_events(tmp_path / "run", [begin_event(), round_event(1), gone])
    (client,) = [each for each in read(run).view()["clients"] if each["name"] == "south"]
    assert (client["state"], client["why"]) == (change, "its disk is full")


def test_a_resume_begins_anew_and_says_so(tmp_path: Path) -> None:
    run = write_events(
        tmp_path / "run", [begin_event(), *(round_event(number) for number in range(1, 6)), end_event("stopped")]
    )
    watched = read(run)
    assert (watched.view()["round"], watched.status()["state"]) == (5, "stopped")
    write_events(
        run, [begin_event(), *map(round_event, (1, 2, 3)), end_event("stopped"), begin_event(attempt=2, done=3)]
    )
    while watched.refresh():
        pass
    view = watched.view()
    assert (view["round"], view["attempt"], view["edition"], view["begin"]["done"]) == (3, 2, 1, 3)
    assert view["status"]["state"] != "stopped"
    assert view["clients"][0]["answers"] == 3


def test_kinds_of_later_versions_are_passed_over_and_damage_is_counted(tmp_path: Path) -> None:
    run = write_events(
        tmp_path / "run", [{"kind": "hologram", "x": 1}, {"kind": "round", "round": "five"}, {"kind": 7}]
    )
    with (run / "metrics.jsonl").open("a") as file:
        file.write("no json\n[1]\n" + json.dumps(round_event(1)) + "\n")
    view = read(run).view()
    assert (view["round"], view["not_understood"], view["damaged"]) == (1, 1, 2)


ODD = [
    {"kind": "round", "round": float("inf")},
    {**round_event(2), "round": 10**400},
    {**round_event(2), "seconds": {"generator": "x"}},
    {**round_event(2), "seconds": {"generator": 10**400}},
    {**round_event(2), "images": float("nan")},
    {"kind": "heartbeat", "seconds_left": "x"},
    {"kind": "heartbeat", "seconds_left": 10**400},
    {"kind": "heartbeat", "done": []},
    {**begin_event(), "rounds": 10**400},
    {**begin_event(), "heartbeat": "x"},
    {"kind": "samples", "round": "x", "files": []},
    {"kind": "generator", "round": -1, "file": "x"},
    {"kind": "stage", "name": "join", "seconds": "5"},
    {"kind": "alarm", "name": "x"},
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_line_leaves_what_the_others_said(tmp_path: Path, odd: dict[str, Any]) -> None:
    lines = [begin_event(), round_event(1), odd, round_event(3)]
    view = read(write_events(tmp_path / "run", lines)).view()
    assert (view["round"], view["rounds"], view["not_understood"]) == (3, 10, 1)
    assert view["seconds_left"] == 7.0
    assert json.loads(to_json(view))["seconds"]["generator"] == 1.0


@pytest.mark.parametrize("time", ["9" * 400, "-Infinity", "NaN", '"x"'])
def test_an_odd_time_is_none(tmp_path: Path, time: str) -> None:
    run = write_events(tmp_path / "run", [begin_event()])
    with (run / "metrics.jsonl").open("a") as file:
        file.write(f'{{"kind": "heartbeat", "time": {time}}}\n')
    watched = read(run)
    assert watched.story.last_time == 1000.0
    assert watched.status()["state"] == "silent"


def test_of_many_sample_grids_the_last_are_known_one_by_one(tmp_path: Path) -> None:
    grids = [{"kind": "samples", "round": number, "files": [], "looks": {"a": {}}} for number in range(1, 1003)]
    watched = read(write_events(tmp_path / "run", grids))
    assert (min(watched.story.samples), len(watched.story.samples)) == (3, 1000)
    assert watched.story.samples[3] == {"files": []}
    assert watched.view()["samples_count"] == 1002


def test_a_grid_whose_pictures_are_still_written_waits_for_them(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for number in (2, 4, 6):
        (run / "samples" / f"round-0000{number}").mkdir(parents=True)
        (run / "samples" / f"round-0000{number}.png").write_bytes(b"grid")
    (run / "samples" / "round-00001.png").write_bytes(b"of an earlier version")
    picture = {"row": 0, "site": "a", "column": "draw 1", "file": "samples/round-00004/0-draw-1.png"}
    (run / picture["file"]).write_bytes(b"draw")  # type: ignore[operator]
    watched = read(write_events(run, [{"kind": "samples", "round": 4, "files": [picture], "looks": {}}]))
    assert sample_rounds(watched.story, run) == [1, 2, 4]  # 2 was told of so long ago that its line is forgotten
    columns = {number: [each["column"] for each in pictures(watched.story, run, number)] for number in (1, 2, 4, 6)}
    assert columns == {1: ["grid"], 2: ["grid"], 4: ["draw 1"], 6: []}


def test_generators_that_made_room_are_forgotten(tmp_path: Path) -> None:
    """Of 65 that were written the first and the last two are there; of 64 nothing is looked up."""
    run = tmp_path / "run"
    (run / "generators").mkdir(parents=True)
    for number in (1, 64, 65):
        (run / "generators" / f"{number}.safetensors").touch()
    written = [{"kind": "generator", "round": n, "file": f"generators/{n}.safetensors"} for n in range(1, 66)]
    watched = read(write_events(run, [begin_event(), *written[:64]]))
    assert len(watched.story.generators) == 64
    watched = read(write_events(run, [begin_event(), *written]))
    assert list(watched.story.generators) == [1, 64, 65]
    assert watched.view()["generators_count"] == 65


def test_settings_with_aliases_are_not_read(tmp_path: Path) -> None:
    """Ten lines of ten aliases each stand for ten thousand million values."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11))]
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(lines))
    assert settings_of(tmp_path) == {}
    file.write_text(f"seed: 0x{'f' * 9000}")  # more digits than Python writes
    assert settings_of(tmp_path) == {}
    file.write_text("[" * 5000)
    assert settings_of(tmp_path) == {}
    file.write_text(f"model:\n  width: 8\n  long: {'y' * 5000}\nclasses: [a, b]\n")
    assert settings_of(tmp_path) == {"model.width": 8, "model.long": "y" * 1000, "classes": "['a', 'b']"}
    file.unlink()
    os.mkfifo(file)
    assert settings_of(tmp_path) == {}


def test_a_pipe_as_measurements_is_said_and_holds_nobody(tmp_path: Path) -> None:
    run = write_events(tmp_path / "run", [])
    (run / "metrics.jsonl").unlink()
    os.mkfifo(run / "metrics.jsonl")
    watched = read(run)
    assert "no regular file" in watched.view()["status"]["why"]


def test_a_folder_that_may_not_be_entered_holds_none_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As lost+found; root may enter all, so that the system's answer is made here."""
    write_events(tmp_path / "run", [begin_event()])
    (tmp_path / "lost+found").mkdir()
    is_file, is_symlink = Path.is_file, Path.is_symlink

    def refusing(ask: Callable[[Path], bool]) -> Callable[[Path], bool]:
        def answer(path: Path) -> bool:
            if path.parent.name in ("lost+found", "generators"):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return ask(path)

        return answer

    monkeypatch.setattr(Path, "is_file", refusing(is_file))
    monkeypatch.setattr(Path, "is_symlink", refusing(is_symlink))
    assert [place.name for place in find_runs(tmp_path).values()] == ["run"]
    assert inside(tmp_path / "run", "generators/00000001.safetensors") is None


def test_a_process_that_ended_without_a_word_was_killed(tmp_path: Path) -> None:
    run = write_events(tmp_path / "run", [begin_event(), round_event(1)])
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(run / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        watched = read(run)
        assert watched.status()["state"] == "running"  # whatever the time of its last line
        holder.kill()
        holder.wait()
        assert watched.status()["state"] == "killed"
    assert read(run).status()["state"] == "silent"  # as it may work on another machine


def test_runs_are_found_below_a_folder_and_links_are_not_followed(tmp_path: Path) -> None:
    for name in ("a", "sweep/0", "sweep/1", "x/y/z"):
        write_events(tmp_path / "runs" / name, [])
    write_events(tmp_path / "elsewhere", [])
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    write_events(tmp_path / "runs" / "1/2/3/4", [])
    assert [place.name for place in find_runs(tmp_path / "runs").values()] == ["a", "sweep/0", "sweep/1", "x/y/z"]
    assert [place.name for place in find_runs(tmp_path / "runs" / "a").values()] == ["a"]
    with pytest.raises(DataError, match="There is no directory"):
        find_runs(tmp_path / "none")


def test_a_board_finds_new_runs_and_knows_no_other_key(tmp_path: Path) -> None:
    write_events(tmp_path / "a", [round_event(1)])
    board = Board(tmp_path)
    (place,) = board.places()
    assert board.run(place.key) is board.run(place.key)
    assert board.run("../a") is None


def test_forty_runs_beside_each_other_are_each_read_once(tmp_path: Path) -> None:
    for number in range(41):
        write_events(tmp_path / f"{number:02d}", [round_event(1)])
    board = Board(tmp_path)
    latest = board.latest()
    assert len(latest) == 40
    first = {key: board.run(key) for key in latest}
    assert all(board.run(key) is first[key] for key in latest)
    assert board.latest() == latest
    (newest,) = [place.key for place in board.places() if place.name == "40"]
    write_events(tmp_path / "40", [round_event(1), round_event(2)])
    assert {key for key, mark in board.latest().items() if mark != latest.get(key)} == {newest}


SLOW = "import sys, time\nfor line in sys.stdin: time.sleep(60)"
DYING = "import sys\nsys.stdin.readline()"
REFUSING = 'import sys\nfor line in sys.stdin: print(\'{"error": "no such class"}\', flush=True)'


@pytest.mark.parametrize(
    ("code", "said"), [(SLOW, "not painted within"), (DYING, "ended"), (REFUSING, "no such class")]
)
def test_a_paint_that_fails_says_why(code: str, said: str) -> None:
    painting = Painting(0.2 if code is SLOW else 60, 0.1, (sys.executable, "-c", code))
    try:
        for _ in range(2):  # the process is started anew
            with pytest.raises(PaintError, match=said):
                painting.ask(paint={})
    finally:
        painting.close()


def test_modules_that_lie_in_the_run_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `cd <another's run> && flower-dgan watch .`; base64 is the first that the painter imports."""
    for name in ("base64", "json", "torch"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath('planted').touch()\nraise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    painting = Painting()
    try:
        with pytest.raises(PaintError, match=r"none\.safetensors"):
            painting.ask(describe="none.safetensors")
    finally:
        painting.close()
    assert not (tmp_path / "planted").exists()


def test_few_wait_for_the_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    painting = Painting()

    def ask_more(_: object, line: str) -> dict[str, int]:
        assert line == "{}"
        for _ in range(WAITING):
            assert painting._places.acquire(blocking=False)  # as those who wait hold
        with pytest.raises(BusyError, match="Several masks wait"):
            painting.ask()
        return {"done": 1}

    monkeypatch.setattr(Painting, "_answer", ask_more)
    assert painting.ask() == {"done": 1}


def test_only_this_machine_is_let_in_without_token_file_and_tls(tmp_path: Path) -> None:
    Door().check()
    Door("::1").check()
    for address in ("0.0.0.0", "192.168.0.7", "localhost.evil.example", "::"):
        with pytest.raises(ConfigError, match="--token-file"):
            Door(address).check()
        with pytest.raises(ConfigError, match="--token-file"):
            Door(address, token_file=tmp_path / "token").check()
    Door("0.0.0.0", 0, tmp_path / "token", tmp_path / "cert", tmp_path / "key").check()
    with pytest.raises(ConfigError, match="belong together"):
        Door(certificate=tmp_path / "cert").check()


def test_a_token_of_a_file_is_its_owners_and_long(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for text, mode, said in (
        ("x" * 40, 0o644, "Others may read"),
        ("short", 0o600, "too short"),
        ("\xff", 0o600, "cannot be read"),
    ):
        file.write_bytes(text.encode("latin-1"))
        file.chmod(mode)
        with pytest.raises(ConfigError, match=said):
            Door(token_file=file).token()
    file.write_text("y" * 40 + "\n")
    assert Door(token_file=file).token() == "y" * 40
    assert Door().token() != Door().token()


def test_the_line_for_ssh_names_the_address_that_ssh_reached() -> None:
    assert ssh_target({"SSH_CONNECTION": "10.0.0.9 50000 10.0.0.2 22", "USER": "ada"}) == "ada@10.0.0.2"
    assert names(Door(), 8000) == ["127.0.0.1:8000", "localhost:8000"]
    assert names(Door("::1"), 8000)[0] == "[::1]:8000"


def test_the_usual_ports_may_be_left_away_and_what_is_printed_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: "dgan.example")
    monkeypatch.setattr("socket.gethostname", lambda: "dgan")
    tls = {"certificate": Path("cert"), "key": Path("key")}
    assert names(Door(), 80) == ["127.0.0.1:80", "localhost:80", "127.0.0.1", "localhost"]
    assert names(Door("10.0.0.2", **tls), 443)[3:] == ["10.0.0.2", "dgan.example", "dgan"]
    assert all(":" in name for door in (Door("10.0.0.2", **tls), Door()) for name in names(door, 8443))
    assert "127.0.0.1" not in names(Door(), 443)  # which is no usual one without TLS
    assert names(Door("0.0.0.0", **tls), 8443)[0] == "dgan.example:8443"
    assert names(Door("::", **tls), 8443)[0] == "dgan.example:8443"
    assert names(Door("localhost"), 8000) == ["localhost:8000"]
    Door("localhost").check()


@pytest.mark.parametrize(
    ("device", "line", "locked"),
    [
        ((8, 1), "1: FLOCK  ADVISORY  WRITE 7 08:01:42 0 EOF", True),
        ((8, 17), "1: FLOCK  ADVISORY  WRITE 7 08:11:42 0 EOF", True),  # in hexadecimal
        ((8, 1), "1: FLOCK  ADVISORY  WRITE 7 08:02:42 0 EOF", False),  # the same number on another disk
        ((8, 1), "1: FLOCK  ADVISORY  WRITE 7 08:01:421 0 EOF", False),
        ((8, 1), "1: POSIX  ADVISORY  WRITE 7 08:01:42 0 EOF", False),
        ((8, 1), "1: -> FLOCK  ADVISORY  WRITE 7 08:01:42 0 EOF", False),  # which waits
        ((0, 50), "1: FLOCK  ADVISORY  WRITE 7 00:32:42 0 EOF", True),
        ((0, 50), "1: FLOCK  ADVISORY  WRITE 7 00:2f:42 0 EOF", None),
        ((0, 50), "1: FLOCK  ADVISORY  WRITE 7 00:2f:43 0 EOF", False),
    ],
)
def test_a_lock_is_on_a_file_of_a_device(
    device: tuple[int, int], line: str, locked: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = os.stat_result((0o100600, 42, os.makedev(*device), 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _: state)
    monkeypatch.setattr(Path, "read_text", lambda _, **__: f"{line}\n")
    assert is_locked(Path("lock")) is locked


def test_nothing_of_the_page_comes_from_elsewhere() -> None:
    for name in (*SCRIPTS, *STYLES, "page.html"):
        text = static_file(name).decode()
        assert "@import" not in text
        assert "eval(" not in text
        assert "innerHTML" not in text or name == "uplot.min.js"
        addresses = [part.split('"')[0].split()[0] for part in text.split("https://")[1:]]
        assert addresses in ([], ["github.com/leeoniya/uPlot"])
    assert "MIT License" in static_file("uplot-LICENSE.txt").decode()


def test_the_stream_tells_what_is_new_alone(tmp_path: Path) -> None:
    run = write_events(tmp_path / "run", [begin_event(), *map(round_event, (1, 2, 3))])
    (place,) = find_runs(run).values()

    async def listen() -> list[tuple[str, Any]]:
        found = []
        stream = events(Watched(place))
        async for text in stream:
            kind, data = text.removesuffix("\n\n").split("\n")
            found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
            if len(found) == 3:
                with (run / "metrics.jsonl").open("a") as file:
                    file.write(json.dumps(round_event(4)) + "\n")
            if [kind for kind, _ in found].count("view") == 2:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return found

    found = asyncio.run(listen())
    curves = [data for kind, data in found if kind == "curves"]
    assert [(each["since"], each["rounds"]) for each in curves] == [(0, [1, 2, 3]), (2, [3, 4])]
    views = [data for kind, data in found if kind == "view"]
    assert [each["round"] for each in views] == [3, 4]
    assert all("age" not in each["status"] for each in views)  # so that a silent run sends no whole view each second
    assert [kind for kind, _ in found[:3]] == ["curves", "view", "pulse"]


def test_a_file_that_cannot_be_read_is_said_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = read(write_events(tmp_path / "run", [begin_event(), round_event(1)]))

    def refuse(_: object) -> None:
        raise DataError("metrics.jsonl cannot be read: Permission denied.")

    monkeypatch.setattr(EventReader, "read", refuse)
    assert watched.refresh() is False
    assert "Permission denied" in watched.status()["why"]
    assert watched.view()["round"] == 1

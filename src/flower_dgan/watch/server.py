"""The page's server: static files, and what the page asks for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from flower_dgan.errors import DataError
from flower_dgan.run.audit_file import shown_audit
from flower_dgan.watch.board import Board, Watched
from flower_dgan.watch.page import STATIC, page, static_file
from flower_dgan.watch.paint_request import TooLargeError, read_request
from flower_dgan.watch.painting import BusyError, PaintError, Painting
from flower_dgan.watch.plain import to_json
from flower_dgan.watch.shown_files import generators, pictures, sample_rounds, tested
from flower_dgan.watch.stream import events

if TYPE_CHECKING:  # it brings torch
    from flower_dgan.watch.node_view import NodeView

_MOST_STREAMS = 32
_KEY = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


def make_app(board: Board | None, painting: Painting, node: "NodeView | None" = None) -> FastAPI:
    """Build the app; who may ask it is :class:`~flower_dgan.watch.gate.Gate`'s to decide.

    Parameters
    ----------
    board : Board or None
        The runs; None for the page of a node, which shows none.
    painting : Painting
        What paints masks; it is closed with the app.
    node : NodeView or None
        What the owner of a node sees; None for the page of a server, which knows nothing of that.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        painting.close()

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    streams: set[object] = set()

    def found(key: str) -> Watched:
        run = board.run(key) if board else None
        if run is None:
            raise HTTPException(404, "There is no such run here.")
        return run

    @app.get("/")
    async def index() -> Response:
        return Response(page(), media_type="text/html; charset=utf-8")

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404, "There is no such file.")
        return Response(static_file(name), media_type=STATIC[name])

    @app.get("/api/runs")
    def runs() -> Response:
        places = board.places() if board else []
        listed = [{"key": place.key, "name": place.name} for place in places]
        return _json({"runs": listed, "latest": board.latest() if board else {}, "node": node is not None})

    @app.get("/api/node")
    def owners() -> Response:
        if node is None:
            raise HTTPException(404, "This is no node's page: start it with `flower-dgan watch --node`.")
        return _json(node.shown())

    @app.get("/api/runs/{key}/summary")
    def summary(key: _KEY) -> Response:
        run = found(key)
        more = run.refresh()
        return _json({**run.view(), "more": more, "curves": run.curves(), "settings": run.settings()})

    @app.get("/api/runs/{key}/events")
    async def stream(key: _KEY) -> Response:
        run, mark = found(key), object()
        if len(streams) >= _MOST_STREAMS:
            raise HTTPException(429, f"{_MOST_STREAMS} pages are open already: close one.")

        async def counted() -> AsyncIterator[str]:
            streams.add(mark)
            try:
                async for event in events(run):
                    yield event
            finally:
                streams.discard(mark)

        return StreamingResponse(counted(), media_type="text/event-stream")

    @app.get("/api/runs/{key}/records")
    def records(key: _KEY) -> Response:
        return _json({"records": found(key).story.records()})

    @app.get("/api/runs/{key}/audit")
    def audit(key: _KEY) -> Response:
        return _json({"audit": shown_audit(found(key).place.path)})

    @app.get("/api/runs/{key}/samples")
    def samples(key: _KEY) -> Response:
        run = found(key)
        return _json({"rounds": sample_rounds(run.story, run.place.path)})

    @app.get("/api/runs/{key}/samples/{number}")
    def sample(key: _KEY, number: Annotated[int, Path(ge=0, lt=10**9)]) -> Response:
        run = found(key)
        shown = pictures(run.story, run.place.path, number)
        if not shown:
            raise HTTPException(404, "There is no sample grid of this round.")
        return _json({"round": number, "pictures": shown})

    @app.get("/api/runs/{key}/tested")
    def test_pictures(key: _KEY) -> Response:
        run = found(key)
        return _json({"pictures": tested(run.story, run.place.path)})

    @app.get("/api/runs/{key}/generators")
    def kept(key: _KEY) -> Response:
        run = found(key)
        return _json({"generators": list(generators(run.story, run.place.path))})

    @app.get("/api/runs/{key}/generators/{name}")
    def generator(key: _KEY, name: str) -> Response:
        _, path = _generator(found(key), name)
        return _json(_painted(painting, describe=path))

    @app.post("/api/runs/{key}/paint")
    async def paint(key: _KEY, request: Request) -> Response:
        run = found(key)
        try:
            asked = await read_request(request.stream())
        except TooLargeError as error:
            raise HTTPException(413, str(error)) from error
        except DataError as error:
            raise HTTPException(422, str(error)) from error
        name, path = _generator(run, asked.generator)
        what = {**asked.model_dump(exclude={"generator"}), "path": path}
        painted = await run_in_threadpool(lambda: _painted(painting, paint=what))
        return _json({**painted, "generator": name})

    return app


def _generator(run: Watched, name: str) -> tuple[str, str]:
    """Return name and path of a generator; ``newest`` is the one that is the newest now, as others make room for it."""
    found = generators(run.story, run.place.path)
    if name == "newest" and found:
        name = list(found)[-1]
    if name not in found:
        raise HTTPException(404, "There is no such generator: it made room for a later one, or was not written yet.")
    return name, str(found[name])


def _painted(painting: Painting, **what: Any) -> dict[str, Any]:
    try:
        return painting.ask(**what)
    except BusyError as error:
        raise HTTPException(429, str(error)) from error
    except PaintError as error:
        raise HTTPException(422, str(error)) from error


def _json(value: object) -> Response:
    return Response(to_json(value), media_type="application/json")

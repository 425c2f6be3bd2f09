"""The page as a server on this machine alone: who may ask, how much, and in which form the answers go."""
import json
import socket
import struct
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmseg_weak.apis.open_vocab import OpenVocabInferencer, OpenVocabPrediction
from mmseg_weak.errors import ConfigError, MissingFileError, WeakError

from .desk import KINDS, LIMITS, Desk, Limits, page_palette

__all__ = ['PageServer', 'serve']

HOST = '127.0.0.1'
_FOLDER = Path(__file__).resolve().parent
_FILES = {'/': ('page.html', 'text/html'), '/page.css': ('page.css', 'text/css'),
          '/page.js': ('page.js', 'text/javascript')}
_JSON_BYTES = 100_000
_HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                               "img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; "
                               "frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-store',
    'Cross-Origin-Resource-Policy': 'same-origin'}


def _packages() -> tuple[Any, Any]:
    """starlette and uvicorn, imported when a page is wanted.

    Raises:
        ConfigError: they are not installed.
    """
    try:
        import starlette.applications
        import uvicorn
    except ImportError as error:
        raise ConfigError(f'The page needs two packages that are not here: pip install starlette uvicorn ({error}).'
                          ) from None
    return starlette, uvicorn


class _Refused(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def pack_labels(prediction: OpenVocabPrediction) -> bytes:
    """One answer: the length of a JSON head (4 bytes, little endian), the head, a class (2 bytes) of each pixel, then a
    probability (1 byte, 255 is 1) of each. The head says ``width``, ``height`` and ``classes`` with their colours."""
    height, width = prediction.mask.shape
    colours = page_palette(prediction.classes)
    head = json.dumps(dict(width=width, height=height, classes=[
        dict(name=name, colour=colour) for name, colour in zip(prediction.classes, colours)])).encode()
    head += b' ' * (-(len(head) + 4) % 4)
    sure = np.floor(prediction.confidence.clip(0, 1) * 255).astype(np.uint8)
    return struct.pack('<I', len(head)) + head + prediction.mask.astype('<u2').tobytes() + sure.tobytes()


def build_app(desk: Desk, hosts: Callable[[], set[str]]) -> Any:
    """The application.

    Args:
        desk: what answers.
        hosts: gives the names under which a browser of this machine may ask ('127.0.0.1:8321'). Other sites cannot
            reach the page through a name of theirs, nor send it anything.
    """
    _packages()
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def body(request: Request, most: int) -> bytes:
        """What was sent, up to a number of bytes; no more is read."""
        said, parts, total = request.headers.get('content-length', '0'), [], 0
        if said.isdigit() and int(said) > most:
            raise _Refused(413, f'{int(said) / 1e6:.1f} MB were sent; this page takes up to {most / 1e6:.1f} MB.')
        async for part in request.stream():
            total += len(part)
            if total > most:
                raise _Refused(413, f'More than {most / 1e6:.1f} MB were sent, which is all that this page takes.')
            parts.append(part)
        return b''.join(parts)

    async def asked(request: Request, **kinds: type) -> dict:
        """The fields of a JSON request, each of the type that is expected."""
        if request.headers.get('content-type', '').split(';')[0].strip() != 'application/json':
            raise _Refused(415, 'Requests of this page are application/json.')
        try:
            fields = json.loads(await body(request, _JSON_BYTES))
            found = {name: fields[name] for name in kinds if name in fields}
        except (ValueError, TypeError):
            raise _Refused(400, 'The request is no JSON object.') from None
        for name, value in found.items():
            right = isinstance(value, (int, float)) if kinds[name] is float else isinstance(value, kinds[name])
            if not right or isinstance(value, bool):
                raise _Refused(400, f'{name} is a {type(value).__name__}; a {kinds[name].__name__} is expected.')
        missing = {'image', 'names'} - set(found)
        if missing:
            raise _Refused(400, f'{sorted(missing)[0]} is missing from the request.')
        return dict(key=found.pop('image'), **found)

    async def file(request: Request) -> Response:
        name, kind = _FILES[request.url.path]
        return Response((_FOLDER / name).read_bytes(), media_type=kind)

    async def icon(_request: Request) -> Response:
        return Response(status_code=204)

    async def about(_request: Request) -> Response:
        return JSONResponse(desk.about())

    async def images(request: Request) -> Response:
        kind = request.headers.get('content-type', '').split(';')[0].strip()
        if kind not in KINDS:
            raise _Refused(415, f'{kind or "Something"} was sent; this page takes PNG, JPEG and WebP pictures.')
        return JSONResponse(await run_in_threadpool(desk.add, await body(request, desk.limits.upload_bytes)))

    async def labels(request: Request) -> Response:
        prediction = await run_in_threadpool(desk.label, **await asked(request, image=str, names=str, background=str))
        return Response(await run_in_threadpool(pack_labels, prediction), media_type='application/octet-stream')

    async def scores(request: Request) -> Response:
        fields = await asked(request, image=str, names=str, background=str, number=int)
        found = await run_in_threadpool(desk.score, **fields)
        return Response(np.floor(found.clip(0, 1) * 255).astype(np.uint8).tobytes(),
                        media_type='application/octet-stream')

    async def mask(request: Request) -> Response:
        fields = await asked(request, image=str, names=str, background=str, threshold=float)
        return Response(await run_in_threadpool(desk.mask, **fields), media_type='image/png',
                        headers={'Content-Disposition': 'attachment; filename="mask.png"'})

    def guarded(answer: Callable) -> Callable:
        async def wrapped(request: Request) -> Response:
            try:
                if request.headers.get('host', '') not in hosts():
                    raise _Refused(421, 'This page answers to its own address alone.')
                origin = request.headers.get('origin')
                if origin is not None and origin not in {f'http://{host}' for host in hosts()}:
                    raise _Refused(403, 'This page answers to itself alone, not to other pages.')
                response = await answer(request)
            except _Refused as error:
                response = JSONResponse(dict(error=error.sentence), error.status)
            except WeakError as error:
                status = 404 if isinstance(error, MissingFileError) else 400
                response = JSONResponse(dict(error=str(error)), status)
            except Exception as error:  # the page goes on; the terminal has the reason
                print_log(f'{request.url.path}: {type(error).__name__}: {error}', 'current', level=40)
                response = JSONResponse(dict(error='This is a bug of mmseg_weak; the terminal says more.'), 500)
            for name, value in _HEADERS.items():
                response.headers[name] = value
            return response
        return wrapped

    get = {'/about': about, '/favicon.ico': icon} | dict.fromkeys(_FILES, file)
    post = {'/images': images, '/labels': labels, '/scores': scores, '/mask.png': mask}
    return Starlette(routes=[*[Route(path, guarded(f), methods=['GET']) for path, f in get.items()],
                             *[Route(path, guarded(f), methods=['POST']) for path, f in post.items()]])


class PageServer:
    """The page at an address of this machine, ``url``; a context that ends it.

    Args:
        inferencer: what finds names.
        port: 0 takes any free one.
        limits: see :class:`.Limits`.

    Raises:
        ConfigError: the packages are not there, or the port is taken.
    """

    def __init__(self, inferencer: OpenVocabInferencer, port: int = 0, limits: Limits = LIMITS) -> None:
        _, uvicorn = _packages()
        self.desk = Desk(inferencer, limits)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise ConfigError(f'Port {port} of this machine cannot be had ({error}); give another, or 0 for any free '
                              'one.') from None
        self.port = self._socket.getsockname()[1]
        self.url = f'http://{HOST}:{self.port}'
        app = build_app(self.desk, lambda: {f'{HOST}:{self.port}', f'localhost:{self.port}'})
        self._server = uvicorn.Server(uvicorn.Config(app, log_level='warning', access_log=False, lifespan='off',
                                                     server_header=False, limit_concurrency=32, ws='none',
                                                     timeout_graceful_shutdown=1))
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Answer until the process is interrupted."""
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> 'PageServer':
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.02)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


def serve(method: str = 'naclip', weights: str | None = None, device: str | None = None, port: int = 8321,
          open_browser: bool = True, ready: Callable[[str], None] = print) -> None:
    """Open a local page: drop a picture, type names, see masks and scores. Ends when it is interrupted.

    It answers on 127.0.0.1 alone, asks no network for anything, and takes pictures as uploads, never as paths.

    Args:
        method, weights, device: of :class:`.OpenVocabInferencer`.
        port: 0 takes any free one.
        open_browser: show the page.
        ready: is given the address.

    Raises:
        ConfigError: the packages or the method are not there, or the port is taken.
        MissingFileError: the weights are not on this machine.
    """
    _packages()
    inferencer = OpenVocabInferencer(method, weights, device, keep=LIMITS.pictures)
    server = PageServer(inferencer, port)
    ready(server.url)
    if open_browser:
        threading.Timer(0.5, webbrowser.open, (server.url, )).start()
    server.run()

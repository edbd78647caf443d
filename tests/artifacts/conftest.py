"""A web server on this machine that misbehaves on request, and a cache folder of the test's own."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from solverbench.artifacts import manifest, transfer


class Site:
    """What the server has and how it behaves; `asked` lists (path, Range, If-Range) of every request."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/"
        self.content = {}
        self.asked = []
        self.ranges = True
        self.etag = '"one"'
        self.length = True  # announced
        self.chunked = False
        self.cuts = []  # for each request to come: bytes after which the connection ends
        self.redirects = {}
        self.status = None
        self.part = None  # first byte of the part sent, whatever was asked for
        self.gate = None  # an Event: the second half is sent when it is set
        self.halfway = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site, name = self.server.site, self.path.lstrip("/")
        wanted = self.headers.get("Range")
        site.asked.append((name, wanted, self.headers.get("If-Range")))
        self.close_connection = True
        if name in site.redirects:
            return self.head(302, Location=site.redirects[name], Content_Length="0")
        if site.status or name not in site.content:
            return self.head(site.status or 404, Content_Length="0")
        body = site.content[name]
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and site.ranges else 0
        if self.headers.get("If-Range") not in (None, site.etag):
            start = 0
        if start and start >= len(body):
            return self.head(416, Content_Length="0")
        sent = start if site.part is None or not start else site.part
        headers = {"ETag": site.etag} if site.etag else {}
        if start:
            headers["Content_Range"] = f"bytes {sent}-{len(body) - 1}/{len(body)}"
        if site.chunked:
            headers["Transfer_Encoding"] = "chunked"
        elif site.length:
            headers["Content_Length"] = str(len(body) - sent)
        self.head(206 if start else 200, **headers)
        cut = site.cuts.pop(0) if site.cuts else None
        self.send(body[sent:] if cut is None else body[sent : sent + cut], site, whole=cut is None)
        return None

    def send(self, body, site, whole):
        for n, half in enumerate((body[: len(body) // 2], body[len(body) // 2 :])):
            if n and site.gate:
                self.wfile.flush()
                site.halfway.set()
                site.gate.wait(10)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(half), half) if site.chunked and half else half)
        if site.chunked and whole:
            self.wfile.write(b"0\r\n\r\n")

    def head(self, status, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # joined by server_close, with their sockets closed

    def handle_error(self, *_):  # a client that went away
        pass


@pytest.fixture
def site():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.site
        if server.site.gate:
            server.site.gate.set()
        server.shutdown()
        thread.join(5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache; retries do not wait, and no proxy of the environment is used."""
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def data(rng, site):
    """A file of 300,001 bytes on the server, as "data.bin"."""
    site.content["data.bin"] = content = rng.bytes(300_001)
    return content


@pytest.fixture
def sha():
    return lambda content: hashlib.sha256(content).hexdigest()


@pytest.fixture
def offer(site, monkeypatch):
    """offer("data.bin", ..., sha256="..."): the catalogue has one artifact, "thing", of these files of the server."""

    def manifest_of(*files, **known):
        facts = "".join(f"{key} = {value!r}\n" for key, value in known.items())
        text = (
            'schema = 1\n[[artifacts]]\nname = "thing"\nabout = "a thing"\nlicence = "Apache-2.0"\nsource = "here"\n'
            'terms = "be kind"\n'
        )
        text += "".join(f'[[artifacts.files]]\nfile = "{f}"\nurl = "{site.url}{f}"\n{facts}' for f in files)
        monkeypatch.setattr(manifest, "_text", lambda: text)

    return manifest_of

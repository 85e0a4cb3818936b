"""A small Hub on loopback: lists models, tells their facts, serves their files.

Point clients at `url` (`HF_ENDPOINT`, or `endpoint=`). A model is a folder of files and the facts of its
card; its commit is a digest of the files, so that new files are a new commit. Files have etags, take
ranges, and large ones are redirected to another path, as the Hub does to its storage. A data set is a model
with the id `datasets/OWNER/NAME`.
"""

import hashlib
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from loopback import LoopbackHandler, LoopbackServer

_REPOSITORY = "(models|datasets)/([^/]+/[^/]+?)"


@dataclass
class Model:
    """`folder` has its files, None for a model that is only listed. `facts` are fields of the Hub's API."""

    id: str
    folder: Path | None = None
    facts: dict = field(default_factory=dict)

    def files(self):
        if self.folder is None:
            return {}
        return {
            path.relative_to(self.folder).as_posix(): path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    @property
    def commit(self):
        if "sha" in self.facts:
            return self.facts["sha"]
        digest = hashlib.sha1(self.id.encode())
        for name, path in self.files().items():
            digest.update(name.encode() + path.read_bytes())
        return digest.hexdigest()

    def info(self):
        siblings = [{"rfilename": name, "size": path.stat().st_size} for name, path in self.files().items()]
        id_ = self.id.removeprefix("datasets/")
        base = {"_id": id_, "id": id_, "modelId": id_, "private": False, "gated": False}
        base |= {"tags": [], "downloads": 0, "likes": 0, "lastModified": "2026-08-01T00:00:00.000Z"}
        base |= {"createdAt": "2026-07-01T00:00:00.000Z"}
        return {**base, "siblings": siblings, **self.facts, "sha": self.commit}


@dataclass
class Fails:
    """A reply that is no success; `stall` is seconds before it, `cut` is where a file or a list ends."""

    status: int = 500
    headers: dict = field(default_factory=dict)
    stall: float = 0.0
    cut: int | None = None


class HubServer(LoopbackServer):
    """Use as a context manager. `fails` are the next replies to paths with the key in them."""

    page = 1000
    large = 1 << 20
    """Bytes from which a file is served from another path, behind a redirect."""

    def __init__(self, *models):
        super().__init__(_Handler)
        self.models = {model.id: model for model in models}
        self.fails = {}
        self.requests = []
        """(method, path with query, headers) of all requests."""

    def add(self, id_, folder=None, **facts):
        self.models[id_] = Model(id_, folder, facts)
        return self.models[id_]

    def asked(self, part):
        """How often paths that hold this part were asked for, by method."""
        return Counter(method for method, path, _ in self.requests if part in path)

    def failure(self, path):
        for part, replies in self.fails.items():
            if part in path and replies:
                return replies.pop(0)
        return None


class _Handler(LoopbackHandler):
    def reply(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        failure = self.server.failure(self.path)
        if failure:
            time.sleep(failure.stall)
            if failure.cut is None:
                self._json({"error": "no"}, failure.status, failure.headers)
                return
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        cut = failure.cut if failure else None
        if match := re.fullmatch(r"/api/models/?", path):
            self._list(query, cut)
        elif match := re.fullmatch(rf"/api/{_REPOSITORY}/tree/([^/]+)(?:/(.*))?", path):
            self._model(match, lambda model: self._tree(model, (match[4] or "").rstrip("/")))
        elif match := re.fullmatch(rf"/api/{_REPOSITORY}/paths-info/([^/]+)", path):
            self._model(match, self._paths)
        elif match := re.fullmatch(rf"/api/{_REPOSITORY}(?:/revision/([^/]+))?", path):
            self._model(match, lambda model: self._json(model.info()))
        elif match := re.fullmatch(r"/(storage/)?((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._model(match, lambda model: self._file(model, match[4], match[1] is not None, cut))
        else:
            self._json({"error": "Not Found"}, 404)

    def _model(self, match, then):
        model = self.server.models.get(("datasets/" if match[1] == "datasets" else "") + match[2])
        if model is None:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        else:
            then(model)

    def _list(self, query, cut):
        found = [model for id_, model in self.server.models.items() if not id_.startswith("datasets/")]
        if "sort" in query:
            found.sort(key=lambda model: model.info()[query["sort"][0]], reverse=True)
        if "pipeline_tag" in query:
            found = [m for m in found if m.info().get("pipeline_tag") in query["pipeline_tag"]]
        start = int(query.get("cursor", ["0"])[0])
        size = min(int(query.get("limit", [self.server.page])[0]), self.server.page)
        headers = {}
        if start + size < len(found):
            rest = "&".join(
                f"{name}={value}" for name, values in query.items() for value in values if name != "cursor"
            )
            headers["Link"] = f'<{self.server.url}/api/models?{rest}&cursor={start + size}>; rel="next"'
        self._json([model.info() for model in found[start : start + size]], 200, headers, cut)

    def _entries(self, model):
        """Files and their folders, as trees list them."""
        entries = {}
        for name, path in model.files().items():
            for folder in [*Path(name).parents][:-1]:
                entries[folder.as_posix()] = {"type": "directory", "path": folder.as_posix(), "oid": ""}
            entries[name] = {"type": "file", "path": name, "size": path.stat().st_size, "oid": _etag(path)}
        return entries

    def _tree(self, model, folder):
        inside = f"{folder}/" if folder else ""
        self._json([entry for path, entry in self._entries(model).items() if path.startswith(inside)])

    def _paths(self, model):
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["paths"]
        entries = self._entries(model)
        self._json([entries[path] for path in asked if path in entries])

    def _file(self, model, name, stored, cut):
        if model.facts.get("gated") and not self.headers.get("Authorization"):
            self._json({"error": "Access is restricted"}, 401, {"X-Error-Code": "GatedRepo"})
            return
        path = model.files().get(name)
        if path is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        size = path.stat().st_size
        headers = {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": model.commit, "Accept-Ranges": "bytes"}
        if size >= self.server.large and not stored:
            linked = {"X-Linked-Etag": f'"{_etag(path)}"', "X-Linked-Size": str(size)}
            self._send(b"", 302, {**headers, **linked, "Location": f"{self.server.url}/storage{self.path}"})
            return
        data, status = path.read_bytes(), 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(wanted[1]), int(wanted[2] or size - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
            data, status = data[start : end + 1], 206
        self._send(data, status, headers, cut)

    def _json(self, value, status=200, headers=None, cut=None):
        content = json.dumps(value, default=str).encode()
        self._send(content, status, {"Content-Type": "application/json", **(headers or {})}, cut)

    def _send(self, content, status, headers, cut=None):
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        if cut is not None:
            self.close_connection = True


def _etag(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""Bytes of one request into its head and its body: llhttp by httptools, given one at a time."""

from __future__ import annotations

import httptools

from api.server.wire.heads import Fields, Header, check_beginning, check_fields, check_host, long_line, without_upgrade
from api.server.wire.reasons import Reason
from api.server.wire.refusals import Refusal
from shared.settings.wire import WireSettings

_END = b"\r\n\r\n"
_VERSIONS = {b" HTTP/1.1": "1.1", b" HTTP/1.0": "1.0"}
_NO_HTTP = "What came is no request of HTTP/1.1."
_NO_METHOD = (
    "The method of this request is unknown here. Methods are in capitals, as GET and POST; /docs has each call's."
)


class RequestParser:
    """Reads one request after the other. Each method raises Refusal, after which nothing more is to be read."""

    def __init__(self, settings: WireSettings) -> None:
        self._most_line = settings.max_request_line_bytes
        self._most_head = self._most_framing = settings.max_head_bytes
        self._most_headers = settings.max_headers
        self._llhttp = httptools.HttpRequestParser(self)
        self._host: bytes | None = None  # the last one that was well-formed
        self._in_head = False
        self._pieces: list[bytes] = []
        self._tail = b""
        self._framing = 0
        self.headers: list[Header] = []
        self.fields: Fields = {}
        self.url = b""
        self.method = ""
        self.version = "1.1"
        self.keeps_alive = True
        self.is_complete = False  # whether the whole request has been read
        self.left = 0  # bytes of the body that are still to come; -1: as many as its chunks say

    def read_head(self, data: bytes) -> bytes | None:
        """Take a head. Returns what lies behind it, or None while its end has not come: then ask again with more."""
        end = data.find(_END) + len(_END)
        if end < len(_END):
            check_beginning(data, most_line=self._most_line)
            if len(data) > self._most_head:
                raise self._large_head()
            return None
        if end > self._most_head:
            raise self._large_head()
        head, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        line_end = head.find(b"\r\n")
        if line_end > self._most_line:
            raise long_line(self._most_line)
        version = _VERSIONS.get(head[line_end - 9 : line_end])
        if version is None:
            raise Refusal(Reason.MALFORMED, _NO_HTTP)
        self.version = version
        self._parse_head(head)
        self._check_head()
        return rest

    def read_body(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes of a body. Returns what they say, and what lies behind the body or its next part."""
        if self.left >= 0:
            piece, rest = (data, b"") if len(data) <= self.left else (data[: self.left], data[self.left :])
            self.left -= len(piece)
            self._feed(piece)
            if self.is_complete != (self.left == 0):
                raise Refusal(Reason.MALFORMED, _NO_HTTP)
            self._pieces.clear()
            return piece, rest
        return self._read_chunks(data)

    def _read_chunks(self, data: bytes) -> tuple[bytes, bytes]:
        """Chunks up to the next empty line: a body in chunks always ends in one, and nothing of the next is read."""
        known = len(self._tail)
        end = (self._tail + data).find(_END) - known + len(_END)
        piece, rest = (data, b"") if end + known < len(_END) else (data[:end], data[end:])
        self._tail = (self._tail + piece)[-3:]
        self._feed(piece)
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._framing = len(piece) - len(body) + (0 if body else self._framing)
        if self._framing > self._most_framing:
            raise Refusal(Reason.LARGE_FRAMES, "Trailers and extensions of chunks are too large.")
        return body, rest

    def _parse_head(self, head: bytes) -> None:
        self.headers, self.url = [], b""
        self._in_head, self.is_complete = True, False
        try:
            self._llhttp.feed_data(head)
        except httptools.HttpParserUpgrade:
            plain = without_upgrade(head)
            if plain == head:
                raise Refusal(Reason.MALFORMED, "CONNECT is not taken here.") from None
            self._llhttp = httptools.HttpRequestParser(self)
            self._parse_head(plain)
        except httptools.HttpParserInvalidMethodError:
            raise Refusal(Reason.MALFORMED, _NO_METHOD) from None
        except httptools.HttpParserError:
            raise Refusal(Reason.MALFORMED, _NO_HTTP) from None

    def _check_head(self) -> None:
        if self._in_head:
            raise Refusal(Reason.MALFORMED, _NO_HTTP)
        if len(self.headers) > self._most_headers:
            detail = f"A request may have {self._most_headers} headers (PREDICTQ_MAX_HEADERS)."
            raise Refusal(Reason.MANY_HEADERS, detail)
        self.fields = fields = check_fields(self.headers)
        host = fields.get(b"host")
        if host != self._host or host is None:
            if host is not None or self.version == "1.1":
                check_host(host)
            self._host = host
        self._find_body(fields)

    def _find_body(self, fields: Fields) -> None:
        length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        if coding is not None:
            self._check_coding(coding)
        if length is not None:
            self.left = int(length)
        else:
            self.left = 0 if coding is None else -1
        self._tail, self._framing = b"", 0
        if self.is_complete != (self.left == 0):
            raise Refusal(Reason.MALFORMED, _NO_HTTP)

    def _check_coding(self, coding: bytes) -> None:
        """Raise Refusal for what is not chunked and nothing else: the parser takes a body within it for the body."""
        if self.version != "1.1":
            raise Refusal(Reason.AMBIGUOUS, "HTTP/1.0 has no Transfer-Encoding. Send a Content-Length.")
        if coding.strip().lower() != b"chunked":
            raise Refusal(Reason.AMBIGUOUS, "Transfer-Encoding can only be chunked. Send the body as it is.")

    def _feed(self, data: bytes) -> None:
        try:
            self._llhttp.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise Refusal(Reason.MALFORMED, "The chunks of the body cannot be read.") from None

    def _large_head(self) -> Refusal:
        detail = f"Request line and headers may have {self._most_head:,} bytes (PREDICTQ_MAX_HEAD_BYTES)."
        return Refusal(Reason.LARGE_HEAD, detail)

    # What llhttp calls while it is fed; an error raised here would be taken for one of its own.

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Those behind a body in chunks are trailers, and mean nothing here."""
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._in_head = False
        self.method = self._llhttp.get_method().decode("ascii")
        self.keeps_alive = self._llhttp.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The request has ended."""
        self.is_complete = True

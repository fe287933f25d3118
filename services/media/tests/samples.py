"""Small files that are truly of their type, made here byte by byte after the formats' documents."""

import struct
import zlib


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\x80"))
    + _chunk(b"IEND", b"")
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xdb\x00\x43\x00" + b"\x08" * 64 + b"\xff\xd9"
GIF = bytes.fromhex("474946383961010001008000000000 00ffffff2c00000000010001000002024401003b".replace(" ", ""))
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"\x00\x00\x00\x08free" + b"\x00\x00\x00\x08mdat"
DASH = b"\x00\x00\x00\x18ftypdash\x00\x00\x00\x00iso6mp41" + b"\x00\x00\x00\x08mdat"
QUICKTIME = b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  " + b"\x00\x00\x00\x08mdat"
M4A = b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08mdat"
WEBM = (
    bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581 02".replace(" ", ""))
    + b"\x18\x53\x80\x67\x80"
)
MATROSKA = (
    bytes.fromhex("1a45dfa3a34286810142f7810142f2810442f3810842828" + "86d6174726f736b61" + "42878104428581" + "02")
    + b"\x18\x53\x80\x67\x80"
)
AVI = b"RIFF\x24\x00\x00\x00AVI LIST\x14\x00\x00\x00hdrlavih" + b"\x00" * 24
WAV = (
    b"RIFF"
    + struct.pack("<I", 40)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    + b"data"
    + struct.pack("<I", 4)
    + b"\0\0\1\0"
)
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x64" + b"\x00" * 413
MP3_BARE = b"\xff\xf3\x48\xc4" + b"\x00" * 140
OGG = b"OggS\x00\x02" + b"\x00" * 8 + b"\x01\x02\x03\x04" + b"\x00" * 4 + b"\x11\x22\x33\x44\x01\x1e\x01vorbis" + b"\x00" * 23
FLAC = b"fLaC\x80\x00\x00\x22\x10\x00\x10\x00" + b"\x00" * 6 + b"\x0a\xc4\x42\xf0" + b"\x00" * 20
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer\n<</Root 1 0 R>>\n%%EOF\n"
PLAIN = "Le Voyage dans la Lune\n\tscène 1 : l'observatoire\r\n".encode()
MARKDOWN = "# Scène 1\n\nL'*observatoire*, de <b>nuit</b>.\n".encode()
VTT = b"WEBVTT\n\n00:00.000 --> 00:04.000\nLes astronomes.\n"
SRT = b"1\r\n00:00:00,000 --> 00:00:04,000\r\nLes astronomes.\r\n"

HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
SVG_WITH_PROLOGUE = b"<?xml version='1.0'?>\n" + SVG
ZIP = b"PK\x05\x06" + b"\x00" * 18
ELF = b"\x7fELF\x02\x01\x01" + b"\x00" * 57

GENUINE: dict[str, tuple[bytes, ...]] = {
    "video/mp4": (MP4, DASH),
    "video/webm": (WEBM,),
    "video/quicktime": (QUICKTIME,),
    "video/x-msvideo": (AVI,),
    "image/jpeg": (JPEG,),
    "image/png": (PNG,),
    "image/webp": (WEBP,),
    "image/gif": (GIF,),
    "application/pdf": (PDF,),
    "text/plain": (PLAIN, MARKDOWN, VTT, SRT),
    "text/markdown": (MARKDOWN, PLAIN),
    "text/vtt": (VTT, b"\xef\xbb\xbf" + VTT),
    "text/srt": (SRT,),
    "application/x-subrip": (SRT, b"\xef\xbb\xbf" + SRT),
    "audio/mpeg": (MP3, MP3_BARE),
    "audio/wav": (WAV,),
    "audio/ogg": (OGG,),
    "audio/flac": (FLAC,),
}
FOREIGN = (HTML, SVG, SVG_WITH_PROLOGUE, ZIP, ELF, MATROSKA, M4A, b"\x00", b"MZ\x90\x00")

"""HLS and DASH: fetched like files, within the same limits; and the choice among the formats of a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from tests.fetching.renditions import SECONDS, write, write_dash, write_hls, write_hls_apart
from viral.fetching.choices import choices
from viral.fetching.fetch import FetchResult, FetchTask


def streams(path: Path) -> dict[str, tuple[str, float]]:
    """Codec and duration of each kind of stream, after decoding all of it."""
    found = {}
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            stream = container.streams.best(kind)
            frames = [] if stream is None else list(container.decode(stream))
        if frames:
            seconds = frames[-1].time - frames[0].time
            found[kind] = (stream.codec_context.codec.canonical_name, round(seconds, 1))
    return found


def test_segments_become_one_file(fetch: Callable[[str], FetchResult], website, tmp_path: Path) -> None:
    site = tmp_path / "site"
    made = {
        write_hls(site / "ts"): ("ts", 3),
        write_hls(site / "fmp4", hls_segment_type="fmp4"): ("mp4", 4),
        write_hls(site / "ranges", hls_flags="single_file"): ("ts", 3),
        write_hls_apart(site / "apart"): ("mp4", 7),
        write_dash(site / "dash"): ("mp4", 8),
    }
    for manifest, (extension, requests) in made.items():
        folder = f"files/{manifest.parent.name}"
        result = fetch(website(f"{folder}/{manifest.name}"))
        assert (result.status, result.reason, result.detail) == ("done", None, None)
        assert str(result.video_uri).endswith(f".{extension}")
        found = streams(tmp_path / "root" / str(result.video_uri))
        assert {kind: codec for kind, (codec, _) in found.items()} == {"video": "h264", "audio": "aac"}
        assert [seconds for _, seconds in found.values()] == pytest.approx([SECONDS, SECONDS], abs=0.2)
        segments = [path for *_, path, _ in website.asked(folder) if not path.endswith(manifest.suffix)]
        assert len(segments) == requests


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_segments_on_other_hosts_are_refused(fetch: Callable[[str], FetchResult], website, tmp_path: Path) -> None:
    hls, dash = write_hls(tmp_path / "site" / "hls"), write_dash(tmp_path / "site" / "dash")
    elsewhere = website("files/hls/", "127.0.0.2")
    edited(hls, "list1.ts", f"{elsewhere}list1.ts")
    edited(dash, '<Period id="0" start="PT0.0S">', f'<Period id="0" start="PT0.0S"><BaseURL>{elsewhere}</BaseURL>')
    for path in ("files/hls/list.m3u8", "files/dash/manifest.mpd"):
        result = fetch(website(path))
        assert (result.status, result.reason) == ("skipped", "host_not_allowed")
        assert result.detail == "127.0.0.2 is not allowed; to accept its terms of use, add --allow-host 127.0.0.2"
    assert {host.partition(":")[0] for _, host, _, _ in website.asked("files")} == {"127.0.0.1"}


WRONG = [
    ("list1.ts", "file:///etc/passwd", "bad_address"),
    ("list1.ts", "gone.ts", "missing_object"),
    ("list1.ts", "/redirect?to=http://127.0.0.2/list1.ts", "host_not_allowed"),
    ("#EXT-X-PLAYLIST", '#EXT-X-KEY:METHOD=AES-128,URI="http://10.0.0.1/key"\n#EXT-X-PLAYLIST', "host_not_allowed"),
    ("#EXT-X-PLAYLIST", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"\n#EXT-X-PLAYLIST', "page_error"),
    ("list1.ts", "/video/x?size=100001", "too_large"),
    ("list1.ts", "/drip", "timed_out"),
    ("#EXT-X-ENDLIST", "", "no_video_stream"),  # live
]


def test_what_goes_wrong_with_a_segment_has_its_reason(fetcher, website, tmp_path: Path) -> None:
    playlist = write_hls(tmp_path / "site" / "hls")
    content, local = playlist.read_text(), fetcher(fetch={"seconds": 1.5})
    for old, new, reason in WRONG:
        edited(playlist, old, new)
        result = local.fetch(FetchTask(website("files/hls/list.m3u8"), "127.0.0.1"))
        assert result.status in ("failed", "skipped")
        assert result.reason == reason, result.detail
        assert "\n" not in result.detail
        playlist.write_text(content)
    assert list((tmp_path / "root").rglob("*.*")) == []


def test_the_rate_holds_for_segments(fetcher, website, tmp_path: Path) -> None:
    write_hls(tmp_path / "site" / "hls")
    assert fetcher(rate=10.0).fetch(FetchTask(website("files/hls/list.m3u8"), "127.0.0.1")).status == "done"
    times = [seconds for seconds, *_ in website.asked("files")]
    assert times[-1] - times[0] >= 0.9 * (len(times) - 1) / 10


def test_a_video_without_its_declared_sound_is_replaced_or_flagged(fetcher, website, tmp_path: Path) -> None:
    # The manifest declares sound in two formats; the larger one has none.
    silent = write(tmp_path / "site" / "hls" / "silent.m3u8", sound=False, hls_time="1", hls_playlist_type="vod")
    write_hls(tmp_path / "site" / "hls")
    formats = [("avc1.42c00a,mp4a.40.2", 64, "list.m3u8"), ("avc1.42c00a,mp4a.40.2", 128, silent.name)]
    master = tmp_path / "site" / "hls" / "master.m3u8"

    def offer(chosen: list[tuple[str, int, str]]) -> FetchResult:
        lines = [
            f'#EXT-X-STREAM-INF:BANDWIDTH={size}000,RESOLUTION={size}x{size},CODECS="{codecs}"\n{name}'
            for codecs, size, name in chosen
        ]
        master.write_text("\n".join(["#EXTM3U", *lines, ""]))
        result = fetcher().fetch(FetchTask(website("files/hls/master.m3u8"), "127.0.0.1"))
        assert result.status == "done", result.detail
        return result

    both = offer(formats)
    assert both.reason is None
    assert set(streams(tmp_path / "root" / str(both.video_uri))) == {"video", "audio"}
    only = offer(formats[1:])
    assert (only.reason, "no sound" in str(only.detail)) == ("audio_missing", True)


def test_h264_with_sound_comes_first() -> None:
    def offered(name: str, vcodec: str | None, acodec: str | None, protocol: str = "https") -> dict[str, str | None]:
        return {"format_id": name, "vcodec": vcodec, "acodec": acodec, "protocol": protocol, "url": "http://127.0.0.1/"}

    def chosen(*formats: dict[str, str | None]) -> list[str]:
        return ["+".join(str(fmt["format_id"]) for fmt in choice.formats) for choice in choices(formats)]

    low, high, hevc = (
        offered("low", "h264", "aac"),
        offered("high", "avc1.64", "aac"),
        offered("hevc", "h265", "aac"),
    )
    hls = offered("hls", "avc1.64", "aac", "m3u8_native")
    silent, sound = offered("silent", "h264", "none"), offered("sound", "none", "aac")
    assert chosen(low, high, hevc) == ["high", "low", "hevc"]
    assert chosen(hevc, silent) == ["hevc", "silent"]
    assert chosen(sound, silent, hevc) == ["silent+sound", "hevc", "silent"]
    assert chosen(low, hls) == ["low", "hls"]
    assert chosen(offered("x", "bytevc2", "aac"), offered("y", None, None), offered("z", "h264", "aac", "rtmp")) == [
        "y"
    ]

"""The owner's settings: what they give, and what is refused with the file, the line or the key."""

from pathlib import Path

import pytest

from rebalancer import settings
from rebalancer.errors import DamagedRecordError, RefusedError, UsageError
from rebalancer.quantities import Reserve


def _write(folder: Path, content: str | bytes) -> Path:
    path = folder / "config.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def test_a_full_file_is_read(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        'reserve = "5%"\npool = "/mnt/pool"\n'
        '[[disk]]\npath = "/mnt/a"\nname = "one"\nsize = "10GiB"\nreserve = "50GB"\n[[disk]]\npath = "/mnt/b"\n',
    )

    loaded = settings.load(path)

    assert (loaded.reserve, loaded.pool) == ("5%", "/mnt/pool")
    first, second = loaded.disks
    assert (first.name, first.size_limit, first.space_to_leave) == ("one", 10 * 2**30, Reserve(size=50 * 10**9))
    assert (second.path, second.size_limit, second.space_to_leave) == ("/mnt/b", None, None)


def test_rules_for_shares_and_disks_are_read(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        'pinned = ["appdata/*"]\nkeep_together = [["tv/A", "tv/A extras"]]\n'
        '[share.movies]\ninclude = ["disk1", "disk2"]\nexclude = ["disk2"]\nsplit_depth = 1\nfloor = "50GB"\n'
        "[share.vms]\nlocked = true\n"
        '[limits.disk3]\nexcluded = true\n[limits.disk4]\ngives = false\nreceives = false\nfloor = "10GB"\n',
    )

    loaded = settings.load(path)

    movies, vms = loaded.shares["movies"], loaded.shares["vms"]
    assert (movies.include, movies.exclude, movies.split_depth, movies.space_to_leave.size) == (
        ("disk1", "disk2"), ("disk2",), 1, 50 * 10**9,
    )  # fmt: skip
    assert (vms.locked, vms.split_depth, vms.space_to_leave.size) == (True, None, 0)
    third, fourth = loaded.limits["disk3"], loaded.limits["disk4"]
    assert (third.excluded, third.gives, third.floor_bytes) == (True, True, 0)
    assert (fourth.gives, fourth.receives, fourth.floor_bytes) == (False, False, 10 * 10**9)
    assert (loaded.pinned, loaded.keep_together) == (("appdata/*",), (("tv/A", "tv/A extras"),))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"# nothing yet\n"])
def test_a_file_that_says_nothing_gives_the_defaults(tmp_path: Path, content: bytes) -> None:
    assert settings.load(_write(tmp_path, content)) == settings.Settings()


def test_a_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path / "config.toml") == settings.Settings()


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert settings.load(_write(tmp_path, b'\xef\xbb\xbfreserve = "1GB"\r\n')).reserve == "1GB"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('resrve = "5%"', "unknown key 'resrve'"),
        ("[share.movies]\nsplit_depth = -1", "share 'movies': split_depth"),
        ('[share.movies]\nfloor = "much"', "share 'movies': floor: 'much' is not a size"),
        ('[share.movies]\nincluded = ["disk1"]', "unknown key 'included'"),
        ('[share."a/b"]\nlocked = true', "share 'a/b': a share is a top-level folder"),
        ('[limits.disk1]\nfloor = "x"', "limits 'disk1': floor"),
        ('pinned = [""]', "an empty pattern matches nothing"),
        ('[[disk]]\npath = "/mnt/a"\nsise = "1GB"', "unknown key 'sise' in disk 1"),
        ('[[disk]]\npath = "/mnt/a"\nsize = 5', "disk 1: size: expected str"),
        ('[disk]\npath = "/mnt/a"', "disk: expected array"),
        ('[[disk]]\nname = "a"', "disk 1: table missing required field path"),
        ("pool = 2026-01-01", "pool: expected str"),
        ('reserve = "lots"', "reserve: 'lots' is not a size"),
        ('reserve = "101%"', "not a percentage"),
        ('[[disk]]\npath = "/mnt/a"\nsize = "0"', "disk 1: size"),
        ('[[disk]]\npath = "mnt/a"', "not an absolute path"),
        ('[[disk]]\npath = "/"', "root of the file system"),
        ('[[disk]]\npath = "//"', "root of the file system"),
        ('[[disk]]\npath = "/mnt/../etc"', "'..'"),
        ('pool = "pool"', "pool: 'pool' is not an absolute path"),
        ('[[disk]]\npath = "/a"\nname = "x"\n[[disk]]\npath = "/b"\nname = "x"', "two disks have the name 'x'"),
        ('[[disk]]\npath = "/a"\n[[disk]]\npath = "/a/"', "two disks have the path '/a'"),
        ('reserve = "5%"\n[[disk]\npa', "line 2"),
        (b'reserve = "5%"\npool = "/\xff"\n', "line 2 is not UTF-8"),
        ("reserve = " + "[" * 100_000, "nested too deeply"),
        ("reserve = " + "9" * 5000, "too long"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, content: str | bytes, wanted: str) -> None:
    path = _write(tmp_path, content)

    with pytest.raises(UsageError) as caught:
        settings.load(path)

    assert wanted in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    path = _write(tmp_path, "")
    path.chmod(mode)

    with pytest.raises(RefusedError, match="can be written by others"):
        settings.load(path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    target = _write(tmp_path, "")
    link = tmp_path / "link.toml"
    link.symlink_to(target)

    with pytest.raises(DamagedRecordError):
        settings.load(link)


def test_who_is_told_is_read(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        '[notify]\nunraid = false\napprise = ["ntfy://ntfy.sh/t0k3n"]\non = ["success", "held"]\nheld_after = "30m"\n'
        '[notify.pings]\nnightly = "https://hc-ping.com/t0k3n"\nweekly = ["http://a/1", "http://b/2"]\n',
    )

    notify = settings.load(path).notify

    assert (notify.unraid, notify.apprise, notify.held_after_seconds) == (False, ("ntfy://ntfy.sh/t0k3n",), 1800)
    assert notify.on == (settings.Occasion.SUCCESS, settings.Occasion.HELD)
    assert notify.pings_of("nightly") == ("https://hc-ping.com/t0k3n",)
    assert notify.pings_of("weekly") == ("http://a/1", "http://b/2")
    assert notify.pings_of("monthly") == ()
    assert "t0k3n" not in repr(settings.load(path)) + str(notify)


def test_without_a_word_everything_but_success_is_told() -> None:
    notify = settings.Settings().notify

    assert set(settings.Occasion) - set(notify.on) == {settings.Occasion.SUCCESS}
    assert (notify.unraid, notify.held_after_seconds) == (None, 7200)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('[notify]\nunread = true', "unknown key 'unread' in notify"),
        ('[notify]\n"https://hc-ping.com/t0k3n" = "nightly"', "unknown key that is an address in notify"),
        ('[notify]\napprise = "ntfy://t0k3n"', "notify: apprise: expected array, got str"),
        ('[notify]\napprise = ["ntfy://ok/a", "t0k3n"]', "notify: apprise 2: an address is written like service://"),
        ('[notify]\non = ["sucess"]', "notify: on 1: 'sucess' is not one of success, failure, held, "),
        ('[notify]\non = ["ntfy://t0k3n"]', "notify: on 1: an address is not one of success"),
        ('[notify]\nheld_after = "long"', "notify: held_after: 'long' is not a duration"),
        ('[notify.pings]\nnightly = "t0k3n"', "notify: pings: nightly: an address is written like https://"),
        ('[notify.pings]\nnightly = "file:///t0k3n"', "notify: pings: nightly: an address is written like https://"),
        ('[notify.pings]\nnightly = "https://host/t0k3n x"', "notify: pings: nightly: an address is written like"),
        ('[notify.pings]\nnightly = "https://host:99999/t0k3n"', "notify: pings: nightly: an address is written like"),
        ('[notify.pings]\n"https://host/t0k3n" = "nightly"', "notify: pings: the id of a schedule comes before each"),
        ("[notify.pings]\nnightly = 5", "notify: pings: expected str | array, got int"),
    ],
)  # fmt: skip
def test_settings_of_notifications_are_refused_without_showing_an_address(
    tmp_path: Path, content: str, wanted: str
) -> None:
    with pytest.raises(UsageError) as raised:
        settings.load(_write(tmp_path, content))

    assert wanted in str(raised.value)
    assert "t0k3n" not in str(raised.value)


# -- [serve] ---------------------------------------------------------------------------------------------------------


def test_the_dashboard_listens_on_this_machine_with_a_login_unless_told_otherwise(tmp_path: Path) -> None:
    serve = settings.load(_write(tmp_path, "")).serve

    assert (serve.address, serve.hosts, serve.login, serve.https) == (("127.0.0.1", 8477), (), True, False)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8477", ("::1", 8477)), ("10.0.0.9:0", ("10.0.0.9", 0)), ("8477", ("127.0.0.1", 8477)),
     ("localhost:1", ("127.0.0.1", 1)), (" 127.0.0.2:65535 ", ("127.0.0.2", 65535)), ("[::]:1", ("::", 1))],
)  # fmt: skip
def test_an_address_to_listen_on_is_read(tmp_path: Path, text: str, address: tuple[str, int]) -> None:
    assert settings.load(_write(tmp_path, f'[serve]\nlisten = "{text}"\n')).serve.address == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('listen = "tower:80"', "serve: listen: 'tower:80' is not an address to listen on"),
        ('listen = ""', "serve: listen: '' names no port"),
        ('listen = "127.0.0.1:x"', "names no port from 0 to 65535"),
        ('listen = "127.0.0.1:-1"', "names no port from 0 to 65535"),
        ('listen = "127.0.0.1:65536"', "names no port from 0 to 65535"),
        ('listen = "999.0.0.1:1"', "is not an address to listen on"),
        ("listen = 8477", "serve: listen: expected `str`"),
        ('hosts = ["http://tower"]', "serve: hosts: 'http://tower' is not the name of a host"),
        ('hosts = ["*"]', "is not the name of a host"),
        ('hosts = ["a_b"]', "is not the name of a host"),
        ('hosts = [""]', "is not the name of a host"),
        ('hosts = "tower"', "serve: hosts: expected `array`"),
        ('login = "no"', "serve: login: expected `bool`"),
        ("port = 80", "unknown key 'port' in serve"),
        (
            'login = false\nlisten = "0.0.0.0:8477"',
            "serve: login: it may be left out only where nobody but this machine can ask",
        ),
        ('login = false\nlisten = "[::]:8477"', "nobody but this machine can ask: [::]:8477"),
    ],
)
def test_a_dashboard_that_cannot_be_or_would_be_open_to_everybody_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(UsageError) as refused:
        settings.load(_write(tmp_path, f"[serve]\n{text}\n"))

    assert reason.replace("`", "") in str(refused.value).replace("`", "")


def test_without_a_login_it_may_listen_for_this_machine(tmp_path: Path) -> None:
    for listen in ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"):
        assert not settings.load(_write(tmp_path, f'[serve]\nlogin = false\nlisten = "{listen}"\n')).serve.login

"""The paths that a server's own services rely on, from the files that name them."""

import json
from pathlib import Path

import pytest

from rebalancer.array.unraid.immovable import Immovable, read_immovable
from rebalancer.array.unraid.ini import CONFIG


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def container(root: Path, name: str, *sources: str) -> None:
    points = {str(number): {"Source": source} for number, source in enumerate(sources)}
    write(
        root / f"var/lib/docker/containers/{name}/config.v2.json",
        json.dumps({"Name": f"/{name}", "MountPoints": points}),
    )


def places(root: Path) -> set[tuple[str, str]]:
    found = read_immovable(root)
    assert found.objection == ""
    return {(one.disk, one.path) for one in found.paths}


def test_a_machine_without_services_has_nothing_that_must_stay(tmp_path: Path) -> None:
    assert places(tmp_path) == set()


def test_a_path_of_the_user_view_stays_on_every_disk_and_one_of_a_disk_on_that(tmp_path: Path) -> None:
    write(
        tmp_path / CONFIG / "docker.cfg",
        'DOCKER_IMAGE_FILE="/mnt/user/vault/docker.img"\r\nDOCKER_APP_CONFIG_PATH=/mnt/disk3/apps/\r\n',
    )
    write(
        tmp_path / CONFIG / "domain.cfg",
        'IMAGE_FILE="/mnt/cache/virt/libvirt.img"\nDOMAINDIR="/mnt/user0/vms/"\nMEDIADIR="/mnt/remotes/nas/iso"\nDISKDIR="/mnt/"\n',
    )

    assert places(tmp_path) == {
        ("", "vault/docker.img"),
        ("disk3", "apps"),
        ("", "virt/libvirt.img"),  # on a pool now, and the mover may have left a part of it on the array
        ("", "vms"),
    }


def test_only_mappings_of_single_disks_hold_what_containers_use(tmp_path: Path) -> None:
    container(
        tmp_path,
        "plex",
        "/mnt/user/Media",
        "/mnt/disk1/Media/old/",
        "/mnt/cache/appdata/plex",
        "/var/lib/docker/volumes/x",
    )
    container(tmp_path, "files", "/mnt/disk2", "/mnt/disk3/../user")

    assert read_immovable(tmp_path).paths == (
        Immovable("", "disk2", "mapped into the container files", "/mnt/disk2"),
        Immovable("Media/old", "disk1", "mapped into the container plex", "/mnt/disk1/Media/old/"),
    )


def test_a_template_speaks_for_a_container_that_does_not_run(tmp_path: Path) -> None:
    folder = tmp_path / CONFIG / "plugins/dockerMan/templates-user"
    write(
        folder / "my-one.xml",
        '<Container><Name>one</Name><Config Name="a" Type="Path" Mode="rw">/mnt/disk4/a &amp; b</Config>'
        '<Config Name="p" Type="Port">/mnt/disk4/port</Config></Container>',
    )
    write(folder / "my-old.xml", "<Container><Volume><HostDir>/mnt/disk5/c</HostDir></Volume>")

    assert places(tmp_path) == {("disk4", "a & b"), ("disk5", "c")}
    assert {one.reason for one in read_immovable(tmp_path).paths} == {
        "mapped into the container one",
        "mapped into the container old",
    }


def test_the_disks_of_a_virtual_machine_and_the_folders_it_shares_stay(tmp_path: Path) -> None:
    write(
        tmp_path / "etc/libvirt/qemu/vm.xml",
        "<domain><name>w &lt;11&gt;</name><source file='/mnt/user/other/vdisk1.img' index='1'/>"
        '<source index="2" file="/mnt/disk1/Media/v.img"/><source dir=\'/mnt/user/Media\'/>'
        "<source dir='/mnt/disk2/tv'/><source bridge='br0'/></domain>",
    )

    assert places(tmp_path) == {("", "other/vdisk1.img"), ("disk1", "Media/v.img"), ("disk2", "tv")}
    assert read_immovable(tmp_path).paths[0].reason == "used by the virtual machine w <11>"


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (f"{CONFIG}/docker.cfg", "", "docker.cfg cannot be read"),
        (f"{CONFIG}/docker.cfg", 'DOCKER_ENABLED="yes"\nDOCKER_IMAGE_FILE="/mnt/user/vau', "docker.cfg cannot be read"),
        ("var/lib/docker/containers/abc/config.v2.json", '{"Name": "/x", "MountPo', "the container abc"),
        ("var/lib/docker/containers/abc/config.v2.json", "[]", "the container abc"),
    ],
)
def test_what_cannot_be_read_is_an_objection(tmp_path: Path, path: str, text: str, words: str) -> None:
    write(tmp_path / path, text)

    assert words in read_immovable(tmp_path).objection


def test_a_settings_file_that_leaves_a_key_out_means_unraids_default(tmp_path: Path) -> None:
    write(tmp_path / CONFIG / "docker.cfg", 'DOCKER_ENABLED="no"\n')

    assert places(tmp_path) == set()

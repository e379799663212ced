"""The embedded cluster: made once, private, and gone when removed."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from smartauth.sandbox import postgres


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[postgres.Cluster]:
    var = tmp_path / "var"
    var.mkdir()
    found = postgres.locate(var)
    yield found
    postgres.remove(found)


def use(cluster: postgres.Cluster, statement: str) -> object:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        row = connection.execute(statement)
        return row.fetchone() if row.description else None


def test_a_cluster_keeps_its_data_until_it_is_removed(cluster: postgres.Cluster) -> None:
    postgres.start(cluster, durable=False)
    use(cluster, "CREATE TABLE kept (x int)")
    postgres.start(cluster, durable=False)  # A running one is left alone.
    postgres.stop(cluster)
    assert not postgres.is_running(cluster)
    postgres.start(cluster, durable=False)
    assert use(cluster, "SELECT count(*) FROM kept") == (0,)
    postgres.remove(cluster)
    assert not cluster.data.exists()
    assert not cluster.socket.exists()


def test_nobody_else_can_reach_it(cluster: postgres.Cluster) -> None:
    postgres.start(cluster, durable=False)
    assert use(cluster, "SHOW listen_addresses") == ("",)
    owner = os.getuid() if cluster.account is None else pwd.getpwnam(cluster.account).pw_uid
    for folder in (cluster.socket, cluster.data):
        found = folder.stat()
        assert stat.S_IMODE(found.st_mode) & 0o077 == 0
        assert found.st_uid == owner


def test_the_wheels_server_works_where_the_machine_has_none(
    cluster: postgres.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_machine_binaries", lambda: None)
    monkeypatch.setattr(postgres, "_others_can_enter", lambda folder: False)
    postgres.start(cluster, durable=False)
    assert use(cluster, "SELECT 1") == (1,)


def test_without_any_server_one_sentence_says_so(cluster: postgres.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_machine_binaries", lambda: None)
    monkeypatch.setattr(postgres, "_wheel_binaries", lambda cluster: None)
    with pytest.raises(postgres.PostgresUnavailable, match="set DATABASE_URL"):
        postgres.start(cluster)


def test_a_folder_somebody_planted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.tempfile, "gettempdir", lambda: str(tmp_path))
    cluster = postgres.locate(tmp_path)
    cluster.socket.parent.mkdir()
    cluster.socket.parent.chmod(0o777)
    with pytest.raises(postgres.PostgresUnavailable, match="not a private folder"):
        postgres.start(cluster)


def test_two_checkouts_have_two_clusters(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = postgres.locate(tmp_path / "a"), postgres.locate(tmp_path / "b")
    assert one.socket != other.socket
    assert postgres.locate(tmp_path / "a") == one
    assert len(str(one.socket / ".s.PGSQL.5432")) < 100


def test_a_generous_umask_is_no_obstacle(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        var = tmp_path / "generous"
        var.mkdir()
        cluster = postgres.locate(var)
        postgres.start(cluster, durable=False)
        assert use(cluster, "SELECT 1") == (1,)
    finally:
        os.umask(before)
        postgres.remove(cluster)


def test_a_server_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST", 1_000)
    assert postgres._machine_binaries() is None


def test_a_checkout_made_anew_at_the_same_place_has_a_new_cluster(cluster: postgres.Cluster) -> None:
    """As when somebody removes a checkout while its sandbox runs, and clones it again."""
    postgres.start(cluster, durable=False)
    use(cluster, "CREATE TABLE old (x int)")
    shutil.rmtree(cluster.data)
    postgres.start(cluster, durable=False)
    assert use(cluster, "SELECT to_regclass('old')") == (None,)

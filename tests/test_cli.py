"""`flask follows`: what each command prints, writes and exits with, run as a person would."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy.orm import mapped_column

from flask_follows import Follows, cli, transfer

from .hosts import add_users, stored
from .models import make_user_model

HEADER = "follower,followed,created_at\n"


@pytest.fixture
def run(app, db) -> Callable[..., Result]:
    """`run("stats")`: run a command of `flask follows` in a context of its own."""
    return lambda *words, **options: invoke(app, *words, **options)


def invoke(app: Flask, *words: Any, **options: Any) -> Result:
    """Run a command of `flask follows`; an error that is not a message is the test's."""
    arguments = ["follows", *(str(word) for word in words)]
    with app.app_context():
        result = app.test_cli_runner().invoke(args=arguments, **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def relation(app, follows):
    """The follow relation."""
    return follows.follow_relation


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to import from."""
    return tmp_path / "graph.csv"


def rejects(path: Path) -> list[list[str]]:
    """Return the lines of a file of rejected lines, without its header."""
    with path.open(newline="", encoding="utf-8") as stream:
        header, *lines = csv.reader(stream)
    assert header == ["number", "reason", "text"]
    return lines


# import


def test_import(run, users, db, relation, file):
    """A file is imported, and a second time finds everything there."""
    first, second, third = (user.id for user in users(3))
    file.write_text(f"{HEADER}{first},{second}\n{second},{third},2024-01-31T12:00:00Z\n")
    result = run("import", file)
    assert result.exit_code == 0
    assert result.output.startswith("2 lines in ")
    assert result.output.endswith(" s: 2 new edges, 0 there already, 0 rejected, 0 users created\n")
    assert stored(db, relation) == {(first, second), (second, third)}
    assert ": 0 new edges, 2 there already, 0 rejected" in run("import", file).output
    assert list(file.parent.glob("*.csv*")) == [file]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["graph.csv", "graph.csv.gz", "-"])
def test_packed_or_not(pack, name, run, users, db, relation, tmp_path, monkeypatch):
    """A gzip file is known by its first bytes, whatever its name, also on standard input."""
    monkeypatch.chdir(tmp_path)
    users(3)
    content = pack(b"\xef\xbb\xbffollower,followed\r\nu0,u1\r\n\r\nu1,u2")
    if name == "-":
        result = run("import", "-", "--by", "username", input=content)
    else:
        Path(name).write_bytes(content)
        result = run("import", name, "--by", "username")
    assert result.exit_code == 0
    assert len(stored(db, relation)) == 2


def test_an_empty_file(run, file):
    """A file without lines, or standard input without any, is no error."""
    file.write_bytes(b"")
    assert run("import", file).output.startswith("0 lines in ")
    assert run("import", "-", input=b"").exit_code == 0


def test_create_missing(run, db, User, file):
    """Users are created on the way, and it is said how many."""
    file.write_text("ann,bob\nbob,ann\n")
    result = run("import", file, "--by", "username", "--create-missing")
    assert "2 new edges, 0 there already, 0 rejected, 2 users created" in result.output
    assert db.session.query(User).count() == 2


def test_bad_lines(run, users, db, relation, file, monkeypatch):
    """They are shown and put aside, the good ones imported, and the exit code is 1."""
    monkeypatch.setattr(transfer, "BATCH", 2)
    users(3)
    file.write_bytes(b'u0,u1\nu1\nu1,u2\nu2,Zo\xeb\nu2,"u0\n\nu2,nobody\nu2,u0\n')
    result = run("import", file, "--by", "username")
    assert result.exit_code == 1
    assert "line 2: 1 field, expected 2 or 3\n" in result.output
    assert "3 new edges, 0 there already, 4 rejected" in result.output
    aside = file.with_name("graph.csv.rejects.csv")
    assert result.output.endswith(f"Error: 4 lines not imported: see {aside}\n")
    assert rejects(aside) == [
        ["2", "1 field, expected 2 or 3", "u1"],
        ["4", "not UTF-8: byte 0xeb at position 6", "u2,Zo\\xeb"],
        ["5", "unexpected end of data", 'u2,"u0'],
        ["7", "no user with username 'nobody'", "u2,nobody"],
    ]
    assert len(stored(db, relation)) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("u1", "1 field, expected 2 or 3"),
        ("u1;u2", "1 field, expected 2 or 3"),
        ("u1,u2,2024-01-31T12:00:00Z,x", "4 fields, expected 2 or 3"),
        ("u1,u2,yesterday", "'yesterday' is not a time like 2024-01-31T12:00:00Z"),
        ("u1,u2,1706702400", "'1706702400' is not a time like 2024-01-31T12:00:00Z"),
        ("u1,u2,2024-01-31T12:00:00", "'2024-01-31T12:00:00' has no time zone"),
    ],
)
def test_a_malformed_line(line, reason, run, users, db, relation, file):
    """Too few or too many columns, or a third that is no time: told with number and reason."""
    users(3)
    file.write_text(f"{HEADER}u0,u1\n{line}\nu1,u0\n")
    result = run("import", file, "--by", "username")
    assert result.exit_code == 1
    assert f"line 3: {reason}\n" in result.output
    assert rejects(Path(f"{file}.rejects.csv")) == [["3", reason, line]]
    assert len(stored(db, relation)) == 2


def test_many_bad_lines(run, app, file):
    """Ten are shown; all are in the file."""
    file.write_text("x\n" * 25)
    result = run("import", file, "--rejects", file.with_name("aside.csv"))
    assert result.output.count("expected 2 or 3") == 10
    assert result.output.count("more in the file of rejected lines") == 1
    assert len(rejects(file.with_name("aside.csv"))) == 25


def test_rejects_of_standard_input(run, tmp_path, monkeypatch):
    """They go into a file of the current folder."""
    monkeypatch.chdir(tmp_path)
    assert run("import", "-", input=b"x\n").exit_code == 1
    assert len(rejects(Path("stdin.rejects.csv"))) == 1


def test_rejects_of_an_earlier_run(run, users, file):
    """A file of rejected lines is of the last run; one that rejects nothing leaves none."""
    first, second = (user.id for user in users(2))
    file.write_text(f"{first},{second}\nx\n")
    assert run("import", file).exit_code == 1
    file.write_text(f"{first},{second}\n")
    assert run("import", file).exit_code == 0
    assert list(file.parent.glob("*.rejects.csv")) == []


@pytest.mark.parametrize("target", ["no/such/folder.csv", "."])
def test_rejects_that_cannot_be_written(target, run, file):
    """A file of rejected lines that cannot be is told of before anything is lost."""
    file.write_text("x\n")
    result = run("import", file, "--rejects", file.parent / target)
    assert result.exit_code != 0
    assert "folder.csv" in result.output or "is a directory" in result.output


def test_rejects_over_the_file_itself(run, file):
    """The file to import is not overwritten."""
    file.write_text("x\n")
    result = run("import", file, "--rejects", file)
    assert result.exit_code == 2
    assert "it would overwrite the file to import" in result.output
    assert file.read_text() == "x\n"


def test_a_damaged_gzip_file(run, users, db, relation, file):
    """All lines before the damage are imported; the damage is reported with its line."""
    users(40)
    pairs = [f"u{a},u{b}\n" for a in range(40) for b in range(40) if a != b]
    file.write_bytes(gzip.compress("".join(pairs).encode())[:-12])
    result = run("import", file, "--by", "username")
    assert result.exit_code == 1
    made = len(stored(db, relation))
    assert made > 0
    ((number, reason, _text),) = rejects(Path(f"{file}.rejects.csv"))
    assert int(number) >= made
    assert reason.startswith("the file cannot be read from here on")


def test_an_interruption(run, app, users, db, relation, file, monkeypatch):
    """Ctrl-C ends with a message; what was committed stays, and the next run does the rest."""
    monkeypatch.setattr(transfer, "BATCH", 2)
    users(6)
    file.write_text("".join(f"u{number},u{number + 1}\n" for number in range(5)))
    add_many, calls = relation.add_many, []

    def interrupted(pairs: Any) -> int:
        calls.append(pairs)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return add_many(pairs)

    with monkeypatch.context() as patch:
        patch.setattr(relation, "add_many", interrupted)
        result = run("import", file, "--by", "username")
    assert result.exit_code == 1
    assert "Run the same command again to go on" in result.output
    assert len(stored(db, relation)) == 2
    db.session.commit()
    assert "3 new edges, 2 there already" in run("import", file, "--by", "username").output


@pytest.mark.parametrize("command", ["import", "export"])
def test_an_unknown_column(command, run, file):
    """The message names the columns that there are."""
    file.write_text("a,b\n")
    result = run(command, file, "--by", "nick")
    assert result.exit_code == 1
    assert "Error: User has no column 'nick'; there are: id, username" in result.output
    assert "unique are: id, username" in result.output


@pytest.mark.parametrize("by", ["user", "usernam", "Username", "user_name"])
@pytest.mark.parametrize("command", [["import", "-"], ["export", "-"], ["stats"]])
def test_a_misspelt_column(command, by, run):
    """The message has the column that was probably meant."""
    result = run(*command, "--by", by, input=b"a,b\n")
    assert result.exit_code == 1
    assert f"User has no column {by!r}; " in result.output
    assert result.output.endswith("; did you mean --by username?\n")


def test_a_column_that_is_not_unique(db, start, file):
    """It may be used, since its values may be unique all the same; but it is said."""

    class User(db.Model):
        __table_args__ = (
            sa.UniqueConstraint("number"),
            sa.UniqueConstraint("city", "street"),
            sa.Index("ix_mail", "mail", unique=True),
        )
        id = mapped_column(sa.Integer, primary_key=True)
        username = mapped_column(sa.String(20), unique=True)
        number = mapped_column(sa.Integer)
        mail = mapped_column(sa.String(20))
        city = mapped_column(sa.String(20))
        street = mapped_column(sa.String(20))
        name = mapped_column(sa.String(20))
        kind = mapped_column(sa.Enum("a", "b", name="kind"), unique=True)

    app = start(db, User)
    db.session.add_all(
        User(username=f"u{number}", name=name, mail=name) for number, name in enumerate("xy")
    )
    db.session.commit()
    file.write_text("x,y\n")
    said = "User.name is not unique; lines with a name that several users have will be rejected"
    for words in (["import", file], ["export", file]):
        result = invoke(app, *words, "--by", "name")
        assert result.exit_code == 0
        assert f"{said}; did you mean --by username or --by number?\n" in result.output
        assert "not unique" not in invoke(app, *words, "--by", "mail").output
    assert "unique are: id, mail, number, username" in (
        invoke(app, "export", file, "--by", "street").output
    )
    assert "not unique" not in invoke(app, "stats", "--by", "name").output
    result = invoke(app, "export", file, "--by", "kind")
    assert result.exit_code == 1
    assert "User.kind cannot be read from CSV" in result.output


def test_no_column_that_could_be_meant(db, start, file):
    """Where no column would do, none is suggested."""
    User = make_user_model(db, key=sa.LargeBinary(20), username=mapped_column(sa.String(20)))
    app = Flask("tests")
    Follows(app, db, User)
    result = invoke(app, "export", file)
    assert result.exit_code == 1
    assert result.output.endswith("only whole numbers, texts and UUIDs can\n")


def test_other_messages(run, file):
    """What an import cannot do is a message, not a traceback."""
    missing = run("import", file)
    assert missing.exit_code == 1
    assert f"Could not open file '{file}'" in missing.output
    file.write_text("followed,follower\n1,2\n")
    assert "the order must be follower,followed,created_at" in run("import", file).output
    assert "cannot be created by primary key" in run("import", file, "--create-missing").output


def test_a_model_that_needs_more(db, start, file):
    """The message says what a user needs, and what to do."""
    User = make_user_model(db, mail=mapped_column(sa.String(20), nullable=False))
    app = start(db, User)
    file.write_text("ann,bob\n")
    result = invoke(app, "import", file, "--by", "username", "--create-missing")
    assert result.exit_code == 1
    assert "it needs mail too" in result.output


@pytest.mark.parametrize(
    "words", [["import", "-"], ["export", "-"], ["stats"], ["check"], ["export", "graph.csv"]]
)
def test_without_tables(words, db, follows, make_app, User, tmp_path, monkeypatch):
    """Missing tables are a message with what to do, and no file is left behind."""
    monkeypatch.chdir(tmp_path)
    app = make_app(db)
    follows.init_app(app, db, User)
    result = invoke(app, *words, input=b"1,2\n")
    assert result.exit_code == 1
    assert "migrations" in result.output
    assert list(tmp_path.glob("graph*")) == []


def test_without_a_model(make_app, db, file):
    """A user model that was only named, and never mapped, is a message."""
    app = make_app(db)
    Follows().init_app(app, db, "Person")
    assert "no model named 'Person' has been mapped" in invoke(app, "stats").output


# The progress bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_progress(pack, app, users, file, monkeypatch, capsys):
    """On a terminal, a bar on standard error goes to the end of the file."""
    users(3)
    file.write_bytes(pack(b"u0,u1\nu1,u2\nu2,u0\n"))
    monkeypatch.setattr(transfer, "BATCH", 1)
    monkeypatch.setattr(sys, "stderr", Terminal())
    app.cli.main(
        ["follows", "import", str(file), "--by", "username"],
        obj=ScriptInfo(create_app=lambda: app),
        standalone_mode=False,
    )
    assert "100%" in sys.stderr.getvalue()
    assert capsys.readouterr().out.startswith("3 lines in")


def test_no_bar_in_a_log(run, users, file):
    """Where standard error is no terminal, there is no bar, and not its label either."""
    first, second = (user.id for user in users(2))
    file.write_text(f"{first},{second}\n")
    assert "graph.csv" not in run("import", file).output


# export


@pytest.fixture
def edges(users, relation, session):
    """Two edges, and how they are exported by name."""
    then = transfer.moment("2024-01-31T12:00:00Z")
    first, second, third = users(3)
    relation.add(first, second, created_at=then)
    relation.add(second, third, created_at=then)
    session.commit()
    time = "2024-01-31T12:00:00.000000+00:00"
    return f"{HEADER}u0,u1,{time}\nu1,u2,{time}\n"


def test_export(run, edges, users, file):
    """A file takes all edges, by name or by key, and it is said how many."""
    result = run("export", file, "--by", "username")
    assert (result.exit_code, result.output) == (0, f"2 edges exported to {file}\n")
    assert file.read_bytes().decode() == edges
    assert run("export", file).exit_code == 0
    assert file.read_text() != edges
    assert list(file.parent.glob("graph*")) == [file]


def test_export_packed(run, edges, file):
    """A name that ends in .gz makes a gzip file."""
    packed = file.with_name("graph.csv.gz")
    assert run("export", packed, "--by", "username").exit_code == 0
    assert gzip.decompress(packed.read_bytes()).decode() == edges


def test_export_to_standard_output(run, edges):
    """Standard output gets the edges and nothing else."""
    result = run("export", "-", "--by", "username")
    assert (result.exit_code, result.stdout_bytes.decode()) == (0, edges)


def test_export_of_names_in_any_script(run, edges, session, User):
    """What is written is UTF-8."""
    session.execute(sa.update(User).where(User.username == "u0").values(username="Zoë"))
    session.commit()
    result = run("export", "-", "--by", "username")
    assert "Zoë,u1" in result.stdout_bytes.decode()


@pytest.mark.parametrize("name", ["graph.csv", "graph.csv.gz"])
def test_an_export_that_fails_halfway(name, run, edges, users, session, User, file, monkeypatch):
    """The old file stays as it was, and nothing is left behind."""
    target = file.with_name(name)
    target.write_bytes(b"old")
    monkeypatch.setattr(transfer, "BATCH", 1)
    session.execute(sa.update(User).where(User.username == "u2").values(username="u\n2"))
    session.commit()
    result = run("export", target, "--by", "username")
    assert result.exit_code == 1
    assert "Error: the name 'u\\n2' has a character" in result.output
    assert target.read_bytes() == b"old"
    assert [path.name for path in file.parent.glob("graph*")] == [name]


def test_an_export_to_nowhere(run, app, file):
    """A folder that is not there is a message."""
    result = run("export", file.parent / "no" / "graph.csv")
    assert result.exit_code == 1
    assert "Could not open file" in result.output


def test_round_trip(run, edges, db, relation, file):
    """What was exported is imported as it was."""
    before = sorted(map(tuple, db.session.execute(sa.select(relation.edge_table.table))))
    packed = file.with_name("graph.gz")
    run("export", packed)
    db.session.execute(sa.delete(relation.edge_table.table))
    db.session.commit()
    assert run("import", packed).exit_code == 0
    after = sorted(map(tuple, db.session.execute(sa.select(relation.edge_table.table))))
    assert after == before


# stats and check


def test_stats(run, edges, users, relation, session):
    """The numbers stand below one another."""
    keys = [edge.followed_id for edge in session.query(relation.edge_table.model).all()]
    session.commit()
    lines = run("stats").output.splitlines()
    assert lines == [
        "users                                  3",
        "edges                                  2",
        "users who follow anybody               2",
        "users whom anybody follows             2",
        "pairs who follow each other            0",
        *(f"followers of {key:<15}           1" for key in sorted(keys)),
    ]


def test_stats_by_name(run, edges, session, User):
    """The most followed are named as asked for, fit for a terminal."""
    lines = run("stats", "--by", "username").output.splitlines()
    assert lines[-2:] == [
        "followers of u1                        1",
        "followers of u2                        1",
    ]
    session.execute(sa.update(User).where(User.username == "u1").values(username="\x1b[2J"))
    session.commit()
    lines = run("stats", "--by", "username").output.splitlines()
    assert lines[-2].split() == ["followers", "of", "'\\x1b[2J'", "1"]


def test_stats_by_a_name_that_somebody_has_not(db, start, follows):
    """Who has no name is shown by key."""
    User = make_user_model(db, nick=mapped_column(sa.String(20), nullable=True))
    app = start(db, User)
    first, second, _ = add_users(db, User)
    first.nick = "Ann"
    first.followers.add(second)
    second.followers.add(first)
    db.session.commit()
    lines = invoke(app, "stats", "--by", "nick").output.splitlines()
    assert [line.split()[2] for line in lines[-2:]] == ["Ann", str(second.id)]


def test_stats_of_an_empty_graph_by_name(run, app):
    """Without edges there is nobody to name."""
    result = run("stats", "--by", "username")
    assert (result.exit_code, len(result.output.splitlines())) == (0, 5)


def test_check(run, app):
    """A sound database is told so."""
    result = run("check")
    assert (result.exit_code, result.output) == (0, "all is well\n")


def test_check_of_a_bad_table(run, relation, session):
    """Each problem is a line, and the exit code is 1."""
    session.execute(sa.schema.DropTable(relation.edge_table.table))
    session.commit()
    result = run("check")
    assert result.exit_code == 1
    assert result.output == (
        "there is no table 'follows': run your migrations, or db.create_all()\n"
        "Error: 1 problem found\n"
    )


def test_check_of_many_problems(db, start, follows):
    """They are counted."""
    User = make_user_model(db)
    app = start(db, User, follows)
    add_users(db, User, 1)
    table = follows.Follow.__table__
    db.session.execute(sa.schema.DropTable(table))
    columns = [sa.Column(name, table.c[name].type) for name in ("follower_id", "followed_id")]
    db.session.execute(sa.schema.CreateTable(sa.Table("follows", sa.MetaData(), *columns)))
    db.session.commit()
    result = invoke(app, "check")
    assert result.output.splitlines()[-1] == "Error: 6 problems found"


def test_help(app):
    """Each command says what it is for."""
    text = invoke(app, "--help").output
    for name in cli.follows_group.commands:
        assert name in text

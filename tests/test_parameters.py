import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from cxlab.report.build import build_report, used_parameters
from cxlab.report.parameters import Parameter, check_parameters, read_parameters

SOURCE = """study: str = "demo"  # a study's name = or path
period: str | None = None
replicates: int = 100  # bootstrap
level: float = 0.95
fast: bool = False
where: dict[str, str] | None = None
method: Literal["score", "wald"] = "score"
"""


@pytest.fixture
def notebook(tmp_path):
    def write(source=SOURCE, tags=("parameters",)):
        book = new_notebook(cells=[new_code_cell(source, metadata={"tags": list(tags)})])
        path = tmp_path / "9-trial.ipynb"
        nbformat.write(book, path)
        return path

    return write


def test_declared_parameters_are_read(notebook):
    declared = read_parameters(notebook())
    assert list(declared) == ["study", "period", "replicates", "level", "fast", "where", "method"]
    assert declared["period"].annotation == "str | None"
    assert declared["replicates"].default == 100


def test_misspelt_parameter_is_refused(notebook):
    declared = read_parameters(notebook())
    with pytest.raises(
        ValueError, match=r"`parameters` of '9-trial' must be .*got 'perod'. Did you mean 'period'"
    ):
        check_parameters(declared, {"perod": "2017"}, "9-trial")


@pytest.mark.parametrize(
    ("name", "value"),
    [("period", 2017), ("replicates", "100"), ("replicates", True), ("replicates", 1.5),
     ("level", "0.95"), ("fast", 1), ("where", {"a": 1}), ("method", "wlad"), ("study", None)],
)  # fmt: skip
def test_wrong_type_is_refused(notebook, name, value):
    with pytest.raises(TypeError, match=f"`{name}` must be "):
        check_parameters(read_parameters(notebook()), {name: value}, "9-trial")


def test_right_types_pass(notebook):
    given = {"period": None, "replicates": 5, "level": 1, "where": {"a": "b"}, "method": "wald"}
    assert check_parameters(read_parameters(notebook()), given, "9-trial") == given


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [("str", "0123", "0123"), ("str", "NO", "NO"), ("str", "None", "None"), ("int", "123", 123),
     ("bool", "True", True), ("float", "0.9", 0.9), ("list[str]", "['a']", ["a"]), ("Optional[int]", "3", 3), ("Optional[int]", "None", None)],
)  # fmt: skip
def test_text_is_read_by_the_declared_type(annotation, text, value):
    assert Parameter("x", annotation, None).from_text(text) == value


@pytest.mark.parametrize(
    ("annotation", "text"),
    [("int", "0123"), ("int", "1_000"), ("bool", "NO"), ("bool", "true"), ("int", "1.0"),
     ("list[str]", "[1]"), ("int", "__import__('os')")],
)  # fmt: skip
def test_text_of_another_type_is_refused_not_guessed(annotation, text):
    with pytest.raises(ValueError, match="`x` must be "):
        Parameter("x", annotation, 0).from_text(text)


def test_notebook_without_the_tag_takes_no_parameters(notebook):
    assert read_parameters(notebook(tags=())) == {}
    with pytest.raises(ValueError, match="must be nothing"):
        build_report(notebook(tags=()), "unused", n=1)


def test_notebook_with_two_cells_of_parameters_is_refused(tmp_path):
    tagged = [new_code_cell("n = 1", metadata={"tags": ["parameters"]}) for _ in range(2)]
    nbformat.write(new_notebook(cells=tagged), tmp_path / "9-trial.ipynb")
    with pytest.raises(ValueError, match="one code cell tagged 'parameters' or none; got 2"):
        read_parameters(tmp_path / "9-trial.ipynb")


def test_a_line_without_a_type_is_taken_by_its_default(notebook):
    lines = [
        "study = 'demo'  # which",
        "n = 3",
        "share = 0.5",
        "deep = True",
        "where = None",
        "names = ['a']",
    ]
    found = read_parameters(notebook("\n".join(lines)))
    assert [one.annotation for one in found.values()] == [
        "str",
        "int",
        "float",
        "bool",
        "Any",
        "list",
    ]
    assert found["where"].accepts({"segment": "Business"})
    assert found["where"].accepts(True)
    assert found["n"].from_text("5") == 5
    with pytest.raises(ValueError, match="`n` must be int; got 'many'. Its default is 3"):
        found["n"].from_text("many")


@pytest.mark.parametrize(
    "line",
    ["study: str = ", "n: int = 3 * 60", "period", "a.b: int = 1", "a = b = 1", "a, b = 1, 2",
     "n = 3 * 60", "n += 1", "a = (1, 2)", "a = {1}", "a = b'x'", "a = 1j", "a = ...", "a = open('x')", "import os", "a.b = 1", "n: int"],
)  # fmt: skip
def test_a_line_of_another_form_is_named(notebook, line):
    with pytest.raises(
        ValueError, match=r"9-trial.ipynb: every line .* name: type = default .*got"
    ):
        read_parameters(notebook(f"study: str = 'demo'\n{line}"))


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    path = tmp_path / "9-trial.ipynb"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"9-trial.ipynb must be a complete Jupyter notebook"):
        read_parameters(path)


@pytest.mark.parametrize(
    "name", ["apitoken", "pwd", "connection_string", "db_passwd", "access_key", "my_dsn"]
)
def test_a_secret_is_known_by_its_name(name):
    assert Parameter(name, "str", "").secret


@pytest.mark.parametrize("name", ["study", "author", "period", "passive_low", "keyword"])
def test_an_ordinary_name_is_no_secret(name):
    assert not Parameter(name, "str", "").secret


def test_a_secret_written_as_default_is_refused(notebook, monkeypatch):
    path = notebook("study: str = 'demo'\napi_key: str = 'hunter2'")
    with pytest.raises(ValueError, match=r"`api_key` must be the name of an environment") as found:
        used_parameters(path, {})
    assert "hunter2" not in str(found.value)
    monkeypatch.setenv("hunter2", "x")
    assert used_parameters(path, {})["api_key"] == "hunter2"

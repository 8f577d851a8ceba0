import json
import math
import os
import subprocess
import sys
import tomllib

import pytest
import typer

from neurosim.chips import chip_files, load_chip
from neurosim.cli import app
from neurosim.cli.output import print_json
from neurosim.networks import load_network
from neurosim.rules import RULES, load_rule


@pytest.fixture
def run(capfd):
    """Run the command line in this process; return exit code, standard output and standard error."""

    def command(*arguments):
        with pytest.raises(SystemExit) as left:
            app.main(arguments)
        out, err = capfd.readouterr()
        return left.value.code or 0, out, err

    return command


def test_help_lists_every_command(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert all(f"\n  {name} " in out for name in app.COMMANDS)


@pytest.mark.parametrize("command", app.COMMANDS)
def test_every_command_has_help(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage: neurosim" in out


@pytest.mark.parametrize(
    ("command", "names"),
    [("chips", list(chip_files())), ("rules", list(RULES)), ("networks", ["784-800-10"]), ("datasets", ["mnist"])],
)
def test_lists_are_tables_for_people_and_json_for_programs(run, command, names):
    code, out, _ = run(command)
    assert code == 0
    assert all(name in out for name in names)
    code, out, _ = run(command, "--json")
    assert code == 0
    assert len(json.loads(out)) >= len(names)


def test_a_chips_toml_is_the_file_itself_and_full_fills_its_base_in(run, tmp_path):
    _, out, _ = run("chips", "mesh1024")
    assert out.strip() == chip_files()["mesh1024"].read_text(encoding="utf-8").strip()
    _, out, _ = run("chips", "mesh1024", "--full")
    path = tmp_path / "copy.toml"
    path.write_text(out, encoding="utf-8")
    assert load_chip(path) == load_chip("mesh1024")
    assert "based_on" not in tomllib.loads(out)


def test_printed_rules_and_networks_read_back(run, tmp_path):
    path = tmp_path / "copy.toml"
    path.write_text(run("rules", "sdfa")[1], encoding="utf-8")
    assert load_rule(path) == RULES["sdfa"]
    path.write_text(run("networks", "784-7x240-10")[1], encoding="utf-8")
    assert load_network(path) == load_network("784-7x240-10")


def test_a_dataset_is_described_with_source_and_licence(run):
    described = tomllib.loads(run("datasets", "digits")[1])
    assert described["train_samples"] + described["test_samples"] == 1797
    assert described["licence"]
    assert json.loads(run("datasets", "digits", "--json")[1])["name"] == "digits"


@pytest.mark.parametrize("arguments", [("chips", "tiny"), ("rules", "dfa"), ("networks", "4-3-2")])
def test_one_description_as_json(run, arguments):
    assert json.loads(run(*arguments, "--json")[1])["name"] == arguments[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("chips", "mesh46"), "neurosim: 'mesh46' is no chip; did you mean 'mesh64'?"),
        (("rules", "dfaa"), "neurosim: 'dfaa' is no rule; did you mean 'dfa'?"),
        (("networks", "784"), "neurosim: network '784': needs an input and at least one layer"),
        (("datasets", "minst"), "neurosim: 'minst' is no data set with a name; did you mean 'mnist'?"),
        (("check", "absent.toml"), "neurosim: absent.toml: there is no such file"),
    ],
)
def test_what_the_user_got_wrong_is_one_sentence_and_exit_code_2(run, arguments, sentence):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("bogus",), ("chips", "--foo"), ("check",), ("chips", "a", "b")])
def test_wrong_usage_is_exit_code_2(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2
    assert "Error: " in err
    assert "Traceback" not in err


def test_an_interrupt_is_one_sentence_and_exit_code_130(capfd):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as left:
        app._with_exit_codes(interrupted)()
    assert left.value.exit_code == 130
    assert capfd.readouterr().err == "neurosim: interrupted before it was done\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('based_on = "tiny"\n', "chip"),
        ('based_on = "dfa"\n', "rule"),
        ('error = "output"\nconnections = 2\n', "rule"),
        ("inputs = 4\n[[layers]]\nunits = 2\n", "network"),
        ("batch_size = 4\n", "recipe"),
        ('network = "4-3-2"\n[set]\nbatch_size = [2, 4]\n', "sweep of 10 points"),
    ],
)
def test_check_sees_the_kind_of_a_description_from_its_keys(run, tmp_path, text, kind):
    path, based = tmp_path / "mine.toml", tmp_path / "based.toml"
    path.write_text(text)
    based.write_text('based_on = "mine.toml"\n')
    assert run("check", str(path))[:2][1].startswith(f"{path}: is a valid {kind}\n")
    if "sweep" not in kind:
        assert run("check", str(based))[1].startswith(f"{based}: is a valid {kind}\n")


def test_check_says_what_is_assumed_and_goes_on_past_a_bad_file(run, tmp_path):
    bad, odd, good = tmp_path / "bad.toml", tmp_path / "odd.toml", tmp_path / "good.toml"
    bad.write_text('based_on = "tiny"\ngrid = [0, 1]\n')
    odd.write_text("colour = 1\n")
    good.write_text('based_on = "mesh64"\nclock_mhz = 7\n')
    code, out, err = run("check", str(bad), str(odd), str(good))
    assert code == 2
    assert "assumed: clock_mhz = 7: given by good.toml without a source" in out
    assert err.splitlines()[0] == "neurosim: bad.grid: [0, 1]: must be at least 1"
    assert "odd.toml: is no description" in err


def test_check_refuses_a_circle(run, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('based_on = "a.toml"\n')
    code, _, err = run("check", str(path))
    assert code == 2
    assert len(err.splitlines()) == 1


def test_the_version_is_printed(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("neurosim")


def test_the_module_runs_as_the_command_does():
    result = subprocess.run([sys.executable, "-m", "neurosim", "rules"], capture_output=True, text=True, check=True)
    assert "ssdfa" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["chips"], ["networks"], ["rules"], ["check", str(chip_files()["tiny"])]]
)
def test_commands_without_kernels_import_none(arguments):
    code = (
        "import sys\nfrom neurosim.cli.app import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('numba', 'numpy', 'pandas', 'scipy', 'simpy', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["rules"], ["rules", "--json"], ["chips", "tiny"], ["--help"], ["--version"]])
def test_an_output_that_is_full_is_one_sentence_and_exit_code_2(arguments):
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-m", "neurosim", *arguments], stdout=full, stderr=subprocess.PIPE)
    said = result.stderr.decode()
    assert result.returncode == 2
    assert said == "neurosim: cannot write to the standard output: no space left on device; send it elsewhere\n"


@pytest.mark.parametrize("arguments", [["rules"], ["rules", "--json"], ["--help"]])
def test_a_reader_that_has_gone_is_told_nothing(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([sys.executable, "-m", "neurosim", *arguments], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (app.OUTPUT_CLOSED, b"")


def test_an_error_of_a_file_is_not_taken_for_one_of_the_output(monkeypatch):
    def failing():
        raise FileNotFoundError(2, "No such file or directory", "needed.npz")

    monkeypatch.setattr(app, "build", failing)
    with pytest.raises(FileNotFoundError):
        app.main([])


def test_numbers_that_json_has_no_word_for_are_null(capsys):
    print_json({"a": [math.nan, -math.inf, 1.5], "b": {"c": math.inf}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, None, 1.5], "b": {"c": None}}


def test_a_terminal_without_micro_signs_is_no_reason_to_fail():
    code = "from neurosim.cli.app import main; main(['cost', '--network', '9-9-3', '--fidelity', 'analytic'])"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")

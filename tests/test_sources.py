from neurosim.sources import (
    assumed_numbers,
    covers,
    flat_sources,
    merge_sources,
    number_paths,
    source_of,
    without_removed,
)


def test_numbers_stand_under_their_dotted_paths_and_texts_and_switches_do_not():
    data = {"grid": [1, 2], "core": {"mac_pj": 1.5, "dataflow": "output"}, "name": "x", "sources": {"grid": "y"}}
    assert number_paths(data) == {"grid": [1, 2], "core.mac_pj": 1.5}


def test_a_number_takes_the_source_of_its_longest_prefix():
    sources = {"core": "all", "core.memory": "memory"}
    assert source_of(sources, "core.memory.read_pj") == "memory"
    assert source_of(sources, "core.mac_pj") == "all"
    assert source_of(sources, "clock_mhz") is None


def test_sources_may_be_quoted_paths_or_nested_tables():
    assert flat_sources({"core": {"mac_pj": "x"}, "noc.hop_cycles": "y"}) == {"core.mac_pj": "x", "noc.hop_cycles": "y"}


def test_a_source_restated_without_its_number_replaces_the_old_one():
    base = {"a_pj": 1, "sources": {"a_pj": "old"}}
    assert merge_sources(base, {"sources": {"a_pj": "new"}}, "here") == {"a_pj": "new"}


def test_sources_of_a_removed_table_go_with_it_and_those_of_defaults_stay():
    sources = {"channel.cache_bytes": "x", "core.word_bits": "default"}
    assert without_removed(sources, {"channel": {"cache_bytes": 1}}, {"channel": None}) == {"core.word_bits": "default"}


def test_a_key_covers_itself_and_its_table_but_no_longer_word():
    assert covers("core", {"core.mac_pj": 1})
    assert covers("core.mac_pj", {"core.mac_pj": 1})
    assert not covers("cor", {"core.mac_pj": 1})


def test_assumptions_are_gathered_by_reason_and_a_shared_table_is_named_once():
    numbers = {"a.x": 1, "a.y": 2.0, "b": [1, 2], "c": 3, "d": 4}
    sources = {"a": "assumed: why", "b": "assumed: because", "c": "Horowitz 2014"}
    assert assumed_numbers(numbers, sources) == ["a: why", "b = [1, 2]: because", "d = 4: no source is given"]

"""Providers' exports: each form as it is sent or saved, and what is said of a file that cannot be read."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.statements import Statement, Unreadable, merged, read

AUGUST, NEXT = date(2026, 8, 5), date(2026, 8, 6)
OPUS, MINI = "claude-opus-5", "gpt-5-mini-2025-08-07"

CONSOLE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,\
web_search_count,inference_geo,speed
2026-08-05,claude-opus-5,gateway,Default,standard,≤ 200k,46981,15969,7,11,16932,0,global,
2026-08-05,claude-opus-5,laptop,"Acme, Inc",standard,> 200k,100,0,0,1,50,0,global,
2026-08-06,claude-sonnet-4-5-20250929,gateway,Default,batch,≤ 200k,3,0,0,0,4,2,global,
"""
REPORT: dict[str, Any] = {
    "data": [
        {
            "starting_at": "2026-08-05T00:00:00Z",
            "ending_at": "2026-08-06T00:00:00Z",
            "results": [
                {
                    "api_key_id": "apikey_01Rj2N8SVvo6BePZj99NhmiT",
                    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
                    "cache_read_input_tokens": 200,
                    "context_window": "0-200k",
                    "model": OPUS,
                    "output_tokens": 500,
                    "server_tool_use": {"web_search_requests": 10},
                    "service_tier": "standard",
                    "uncached_input_tokens": 1500,
                    "workspace_id": "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ",
                },
                {"model": OPUS, "uncached_input_tokens": 5, "output_tokens": 6, "api_key_id": None},
            ],
        },
        {"starting_at": "2026-08-06T00:00:00Z", "ending_at": "2026-08-07T00:00:00Z", "results": []},
    ],
    "has_more": False,
    "next_page": None,
}


def completions(**more: Any) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "output_tokens": 500,
        "input_cached_tokens": 800,
        "num_model_requests": 5,
        "project_id": None,
        "user_id": None,
        "api_key_id": "key_1",
        "model": MINI,
        "batch": None,
        **more,
    }


def usage(*results: dict[str, Any], start: int = 1785888000, **more: Any) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86400, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None, **more}


DASHBOARD = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,\
service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens
1785888000,1785974400,2026-08-05T00:00:00+00:00,2026-08-06T00:00:00+00:00,proj_4,10.0,user-d,key_1,gpt-5-mini-2025-08-07,\
FALSE,default,59200.0,10646.0,5760.0,53440.0
1785888000,1785974400,2026-08-05T00:00:00+00:00,2026-08-06T00:00:00+00:00,proj_4,1.0,user-d,key_2,gpt-5-mini-2025-08-07,\
FALSE,default,10,1,0,10
1785974400,1786060800,2026-08-06T00:00:00+00:00,2026-08-07T00:00:00+00:00,,,,,,,,,,,
"""


def said(told: Any, key: str | None = None) -> Statement:
    return read((told if isinstance(told, str) else json.dumps(told)).encode(), key)


def tokens(fresh: int, cached: int, short: int, long: int, output: int) -> dict[str, int]:
    return {
        "input_tokens": fresh, "cache_read_tokens": cached, "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long, "output_tokens": output,
    }  # fmt: skip


def of_openai(fresh: int, cached: int, output: int, written: int = 0) -> dict[str, int]:
    return {
        "input_tokens": fresh, "cache_read_tokens": cached, "cache_write_tokens": written, "output_tokens": output,
    }  # fmt: skip


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_csv_of_anthropics_console(mark: str) -> None:
    found = said(mark + CONSOLE)
    assert (found.vendor, found.days, found.keys) == ("anthropic", {AUGUST, NEXT}, {"gateway", "laptop"})
    assert found.used == {
        (AUGUST, OPUS): tokens(47081, 12, 15969, 7, 16982),
        (NEXT, "claude-sonnet-4-5-20250929"): tokens(3, 0, 0, 0, 4),
    }
    assert said(CONSOLE, "laptop").used == {(AUGUST, OPUS): tokens(100, 1, 0, 0, 50)}
    assert said(CONSOLE.replace("\n", "\r\n")).used == found.used
    hour = said(CONSOLE.replace("2026-08-05,", "2026-08-05 13:00,"))
    assert hour.used == found.used


def test_anthropics_usage_report() -> None:
    found = said(REPORT)
    assert (found.vendor, found.days, found.more) == ("anthropic", {AUGUST, NEXT}, False)
    assert found.used == {(AUGUST, OPUS): tokens(1505, 200, 500, 1000, 506)}
    key = "apikey_01Rj2N8SVvo6BePZj99NhmiT"
    assert said(REPORT, key).used == {(AUGUST, OPUS): tokens(1500, 200, 500, 1000, 500)}
    pages = said([REPORT | {"has_more": True}, REPORT])
    assert pages.used == {(AUGUST, OPUS): tokens(3010, 400, 1000, 2000, 1012)}
    assert not pages.more
    assert said(REPORT | {"has_more": True}).more
    assert said([REPORT, REPORT], key).used == {(AUGUST, OPUS): tokens(3000, 400, 1000, 2000, 1000)}


def test_a_time_belongs_to_its_day_of_utc() -> None:
    shifted = json.dumps(REPORT).replace("2026-08-05T00:00:00Z", "2026-08-06T01:30:00+02:00")
    assert set(said(shifted).used) == {(AUGUST, OPUS)}


def test_openais_usage() -> None:
    embedding = {"object": "organization.usage.embeddings.result", "input_tokens": 7, "model": "text-embedding-3-small"}
    found = said(usage(completions(), completions(input_cached_tokens=None, api_key_id="key_2"), embedding))
    assert (found.vendor, found.days, found.keys) == ("openai", {AUGUST}, {"key_1", "key_2"})
    assert found.used == {
        (AUGUST, MINI): of_openai(1200, 800, 1000),
        (AUGUST, "text-embedding-3-small"): of_openai(7, 0, 0),
    }
    # What it does not name is in its input, and so are the ledger's.
    assert found.classes["input_tokens"] == ("input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    assert "cache_write_tokens" not in found.classes
    named = said([usage(completions(input_cache_write_tokens=50)), usage(start=1785974400)])
    assert named.used == {(AUGUST, MINI): of_openai(150, 800, 500, 50)}
    assert (named.classes["input_tokens"], named.days) == (("input_tokens",), {AUGUST, NEXT})
    assert named.classes["cache_write_tokens"] == ("cache_write_5m_tokens", "cache_write_1h_tokens")
    assert said(usage(completions(), completions(api_key_id="key_2")), "key_2").used == {
        (AUGUST, MINI): of_openai(200, 800, 500)
    }


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_the_csv_of_openais_dashboard(delimiter: str) -> None:
    text = DASHBOARD.replace(",", delimiter)
    found = said(text)
    assert (found.vendor, found.days, found.keys) == ("openai", {AUGUST, NEXT}, {"key_1", "key_2"})
    assert found.used == {(AUGUST, MINI): of_openai(53450, 5760, 10647)}
    assert said(text, "key_2").used == {(AUGUST, MINI): of_openai(10, 0, 1)}


def test_several_files_are_one() -> None:
    both = merged([said(CONSOLE), said(REPORT)])
    assert both.used[AUGUST, OPUS] == tokens(48586, 212, 16469, 1007, 17488)
    assert len(both.used) == 2
    with pytest.raises(Unreadable, match="one is openai's, another anthropic's"):
        merged([said(CONSOLE), said(DASHBOARD)])


def without(text: str, column: str) -> str:
    return text.replace(column, column + "_x", 1)


def changed(report: dict[str, Any], **more: Any) -> dict[str, Any]:
    copied = json.loads(json.dumps(report))
    copied["data"][0]["results"][0] |= more
    return copied


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("", "it is none of: Anthropic's usage report"),
        ("date,model,cost\n2026-08-05,m,1\n", "it is none of"),
        ("<html>", "it is none of"),
        ("{", "it is not JSON: "),
        ("[" * 100_000, "it is not JSON: "),
        ("[]", "it has no page"),
        ("[7]", r"\[0\]: expected an object"),
        ({}, "data: expected a list"),
        ({"data": []}, "data has no buckets of time"),
        ({"data": [7]}, r"data\[0\]: expected an object"),
        ({"data": [{"starting_at": "2026-08-05T00:00:00Z"}]}, r"data\[0\]\.results: expected a list"),
        ({"data": [{"starting_at": "soon", "results": []}]}, r"data\[0\]\.starting_at: expected a date or a time"),
        ({"data": [{"start_time": "x", "results": []}]}, r"data\[0\]\.start_time: expected a date or a time"),
        ({"data": [{"start_time": 10**18, "results": []}]}, r"data\[0\]\.start_time: expected a date or a time"),
        (
            {"data": [{"start_time": 1, "results": [{"object": "organization.costs.result"}]}]},
            r"data\[0\]\.results\[0\]\.object: 'organization\.costs\.result' does not count tokens",
        ),
        (changed(REPORT, model=None), r"data\[0\]\.results\[0\]\.model: which model it was is not said"),
        (changed(REPORT, output_tokens=-1), r"data\[0\]\.results\[0\]\.output_tokens: expected a number of tokens"),
        (changed(REPORT, output_tokens=1.5), r"results\[0\]\.output_tokens: expected a whole number, not 1\.5"),
        (changed(REPORT, output_tokens=True), r"results\[0\]\.output_tokens: expected a whole number"),
        (changed(REPORT, output_tokens=[]), r"results\[0\]\.output_tokens: expected a whole number"),
        (changed(REPORT, cache_creation=7), r"results\[0\]\.cache_creation: expected an object"),
        (
            changed(REPORT, cache_creation={"ephemeral_5m_input_tokens": "x"}),
            r"results\[0\]\.cache_creation\.ephemeral_5m_input_tokens: expected a whole number",
        ),
        ([REPORT, changed(REPORT, output_tokens="x")], r"\[1\]\.data\[0\]\.results\[0\]\.output_tokens"),
        (usage(completions(input_cached_tokens=1001)), r"results\[0\]\.input_cached_tokens: more than input_tokens"),
        (without(CONSOLE, "usage_output_tokens"), "line 1: there is no column usage_output_tokens"),
        (without(CONSOLE, "model_version"), "line 1: there is no column model_version"),
        (without(DASHBOARD, "input_cached_tokens"), "line 1: there is no column input_cached_tokens"),
        (CONSOLE.replace("16932", "many"), "line 2: usage_output_tokens: expected a whole number, not 'many'"),
        (CONSOLE.replace("16932", "1e99"), "line 2: usage_output_tokens: expected a number of tokens"),
        (CONSOLE.replace("2026-08-06", "06.08.2026"), "line 4: usage_date_utc: expected a date or a time"),
        (CONSOLE.replace("2026-08-05,claude-opus-5", "2026-08-05,"), "line 2: model_version: which model"),
        (CONSOLE + "2026-08-07,claude-opus-5\n", "line 5: it has another number of columns than line 1"),
        (CONSOLE.replace(",global,\n", ",global,,,\n", 1), "line 2: it has another number of columns than line 1"),
        (CONSOLE + '2026-08-07,"claude', "line 5: unexpected end of data"),
        (DASHBOARD.replace("1785974400,1786060800", "noon,1786060800"), "line 4: start_time: expected a"),
        (DASHBOARD.replace("gpt-5-mini-2025-08-07", "", 1), "line 2: model: which model"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(told: Any, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        said(told)


def test_what_is_not_text() -> None:
    with pytest.raises(Unreadable, match="it is not UTF-8"):
        read(b"\xff\xfe\x00")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([MINI, "1e9"]),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.sampled_from(sorted(completions())), each, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*completions(), *REPORT["data"][0]["results"][0]]), values), values, values)
def test_whatever_a_file_holds_it_is_read_or_refused(more: dict[str, Any], start: Any, moment: Any) -> None:
    for bucket in ({"start_time": start}, {"starting_at": moment}, {"start_time": 1}, {"starting_at": "2026-08-05"}):
        try:
            found = said({"data": [{**bucket, "results": [more]}]})
        except Unreadable:
            continue
        assert all(number >= 0 for sums in found.used.values() for number in sums.values())


@given(st.binary(max_size=60), st.sampled_from([CONSOLE, DASHBOARD]), st.integers(0, 700))
def test_whatever_bytes_a_table_holds(junk: bytes, text: str, at: int) -> None:
    data = text.encode()
    try:
        found = read(data[:at] + junk + data[at:])
    except Unreadable:
        return
    assert all(number >= 0 for sums in found.used.values() for number in sums.values())

"""The dashboards of deploy/grafana are as the code makes them, and Grafana can show them."""

from __future__ import annotations

import json
from itertools import combinations

import pytest

from build_scripts.dashboards import files
from build_scripts.dashboards.dashboards import DASHBOARDS
from build_scripts.dashboards.panel import WIDTH, Dashboard, Panel, Query, Row
from build_scripts.errors import BuildError


def documents():
    return [json.loads((files.FOLDER / name).read_text()) for name in DASHBOARDS]


def test_the_files_are_what_the_code_makes():
    files.main(["--check"])


def test_a_file_that_somebody_changed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    with pytest.raises(BuildError, match=r"overview\.json, model\.json .* `make repository`"):
        files.main(["--check"])
    files.main([])
    files.main(["--check"])
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(BuildError, match=r"has model\.json other"):
        files.main(["--check"])


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document["uid"]))
def test_no_panel_lies_on_another_or_beyond_the_edge(document):
    cells = []
    for panel in document["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        assert columns.stop <= WIDTH
        lines = range(place["y"], place["y"] + place["h"])
        cells.append({(x, y) for x in columns for y in lines})
    assert not any(one & other for one, other in combinations(cells, 2))


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document["uid"]))
def test_every_panel_asks_the_prometheus_that_was_chosen(document):
    names = {variable["name"] for variable in document["templating"]["list"]}
    assert "datasource" in names
    numbers = [panel["id"] for panel in document["panels"]]
    assert len({*numbers}) == len(numbers)
    for panel in document["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["description"]
        assert panel["targets"]
        assert all(t["datasource"]["uid"] == "${datasource}" for t in panel["targets"])
        assert all("$model" not in t["expr"] or "model" in names for t in panel["targets"])


def test_panels_fill_lines_and_begin_new_ones():
    panels = tuple(Panel(str(n), "text", (Query("up"),), columns=12) for n in range(3))
    small = Panel("small", "text", (Query("up"),), kind="stat", columns=6)
    document = Dashboard("uid", "title", (Row("one", panels), Row("two", (small,)))).document()
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in document["panels"]]
    assert places == [(0, 0), (0, 1), (12, 1), (0, 9), (0, 17), (0, 18)]

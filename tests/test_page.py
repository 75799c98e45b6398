"""The elements' files and the helper that fills them in: escaped, unique, complete, correct."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tinycss2

import bradcn_nb.figures
from bradcn_nb.figures.page import Markup, data_uri, page

PAGES = Path(bradcn_nb.figures.__file__).parent / "pages"
PLACES = {
    "options": Markup("<option>a</option>"),
    "cells": "",
    "first": "data:,",
    "strength": "1",
    "description": 'a "quoted" <picture>',
    "width": 2,
    "height": 1,
    "last": 3,
}


class Balanced(HTMLParser):
    """Notes every element that is closed wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("img", "input", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.mark.parametrize("file", sorted(PAGES.glob("*.html")), ids=lambda file: file.stem)
def test_markup_is_balanced_and_has_its_style_and_script(file):
    parser = Balanced()
    parser.feed(file.read_text("utf-8"))
    assert parser.open == [] and parser.wrong == []
    if file.stem != "document":  # the skeleton that an element alone on a page stands in
        assert file.with_suffix(".css").is_file() and file.with_suffix(".js").is_file()


@pytest.mark.parametrize("file", sorted(PAGES.glob("*.css")), ids=lambda file: file.stem)
def test_styles_parse_and_stay_inside_their_element(file):
    rules = tinycss2.parse_stylesheet(file.read_text("utf-8"), True, True)
    for rule in rules:
        assert rule.type == "qualified-rule", rule
        selector = tinycss2.serialize(rule.prelude)
        assert all("#element" in part for part in selector.split(",")), selector
        for line in tinycss2.parse_blocks_contents(rule.content, True, True):
            assert line.type == "declaration", (selector, line)


@pytest.mark.parametrize("file", sorted(PAGES.iterdir()), ids=lambda file: file.name)
def test_lines_are_as_long_as_in_the_rest_of_the_package(file):
    assert max(map(len, file.read_text("utf-8").splitlines())) <= 100


def test_texts_are_escaped_and_the_id_follows_from_the_content():
    first = page("distortion", {"text": "</script><!--"}, **PLACES).data
    assert "a &quot;quoted&quot; &lt;picture&gt;" in first and "<option>a</option>" in first
    assert first.count("</script>") == 1 and "<!--" not in first and "#element" not in first
    assert page("distortion", {"text": "</script><!--"}, **PLACES).data == first
    other = page("distortion", {"text": "b"}, **PLACES).data
    later = page("distortion", {"text": "b"}, **PLACES | {"strength": "2"}).data
    idents = [text.partition('id="')[2].partition('"')[0] for text in (first, other, later)]
    assert len(set(idents)) == 3 and all(ident.startswith("distortion-") for ident in idents)


def test_places_that_are_missing_or_left_over_are_named():
    with pytest.raises(ValueError, match="distortion.html needs strength"):
        page("distortion", {}, **{k: v for k, v in PLACES.items() if k != "strength"})
    with pytest.raises(ValueError, match="no place for colour"):
        page("distortion", {}, colour="red", **PLACES)


def test_a_picture_is_one_address():
    grey = np.full((8, 8, 3), 0.5)
    assert data_uri(grey).startswith("data:image/jpeg;base64,")
    assert data_uri(grey, "png") == data_uri((grey * 255 + 0.5).astype(np.uint8), "png")

"""The matching rule and the statistics, by cases small enough to work out by hand."""

import pytest

from pocket.evaluate.counts import Share, tally
from pocket.evaluate.detectors import check, iou
from pocket.evaluate.matching import judge, match
from pocket.world.captions import Caption, Mention
from pocket.world.detect import DetectedObject, Detection
from pocket.world.scene import Scene, Thing

TOP_LEFT = (0.05, 0.05, 0.3, 0.3)
BOTTOM_RIGHT = (0.7, 0.7, 0.95, 0.95)


def named(colour: str, shape: str, place: str | None = None) -> Mention:
    return Mention(Thing(shape, colour, 8, 8, 32), None, place)


def seen(colour: str, shape: str, box: tuple[float, float, float, float] = TOP_LEFT) -> DetectedObject:
    return DetectedObject(shape, colour, box, 0.9)


def detection(*objects: DetectedObject, elements: tuple[str, ...] = (), style: str = "flat") -> Detection:
    return Detection(style, "gloomy", "plain", elements, objects)


def test_most_agreeing_attributes_win_over_order() -> None:
    half, whole = seen("red", "square"), seen("red", "circle")

    (pair,) = match([named("red", "circle")], [half, whole])

    assert pair.found == whole


def test_place_decides_between_equals() -> None:
    near, far = seen("red", "circle", TOP_LEFT), seen("red", "circle", BOTTOM_RIGHT)

    (pair,) = match([named("red", "circle", "bottom right")], [near, far])

    assert pair.found == far


def test_place_alone_is_no_match() -> None:
    (pair,) = match([named("red", "circle", "top left")], [seen("blue", "square")])

    assert pair.found is None


def test_pairs_are_one_to_one() -> None:
    pairs = match([named("red", "circle"), named("red", "circle")], [seen("red", "circle")])

    assert [p.found is not None for p in pairs] == [True, False]


def test_agreement_is_summed_over_all_pairs() -> None:
    """The best pair alone (red circle, 2) would leave the blue circle without a partner: 2 < 1 + (1 + 1)."""
    mentions = [named("red", "circle"), named("blue", "circle", "top left")]
    circle, other = seen("red", "circle"), seen("red", "square", BOTTOM_RIGHT)

    pairs = match(mentions, [circle, other])

    assert [p.found for p in pairs] == [other, circle]


def test_nothing_found_is_nothing_matched() -> None:
    assert [p.found for p in match([named("red", "circle")], [])] == [None]


def test_only_what_is_named_is_judged() -> None:
    caption = Caption("", (named("red", "circle", "top left"), named("blue", "star")), style="flat")

    answers = judge(caption, detection(seen("red", "heart"), seen("blue", "star", BOTTOM_RIGHT), elements=("sun",)))

    assert answers == {
        "recall": [True, True],
        "colour": [True, True],
        "shape": [False, True],
        "place": [True],
        "elements": False,
        "style": True,
    }


def test_an_element_too_many_is_wrong_and_order_is_not() -> None:
    caption = Caption("", elements=("frame", "rays"))

    assert judge(caption, detection(elements=("rays", "frame")))["elements"]
    assert not judge(caption, detection(elements=("frame",)))["elements"]


def test_overlap_of_two_boxes() -> None:
    # Two unit squares half a side apart along one axis: 0.5 over 1.5.
    assert iou((0, 0, 1, 1), (0.5, 0, 1.5, 1)) == pytest.approx(1 / 3)
    assert iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0


def test_style_is_not_asked_where_nothing_is_filled() -> None:
    answers, _ = check(Scene(style="hatched", elements=("sun",)), detection(elements=("sun",)))

    assert "style" not in answers


def test_wilson_interval() -> None:
    # p = 0: the upper end is z^2 / (n + z^2) = 3.8415 / 13.8415; p = 1/2, n = 10 is Wilson's own textbook case.
    low, high = Share(0, 10).interval or (None, None)
    assert (low, high) == (0, pytest.approx(0.27754, abs=1e-5))
    assert Share(5, 10).interval == pytest.approx((0.23659, 0.76341), abs=1e-5)


def test_nothing_asked_has_no_value() -> None:
    assert (Share(0, 0).value, Share(0, 0).interval) == (None, None)


def test_more_hits_than_questions_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        Share(3, 2)


def test_tally_counts_objects_and_pictures() -> None:
    total = tally([{"recall": [True, False], "style": True}, {"recall": [True]}])

    assert total == {"recall": Share(2, 3), "style": Share(1, 1)}

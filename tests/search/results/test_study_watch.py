"""Test how often the study that is trained is looked at for what other programs do to it."""

from types import SimpleNamespace
from unittest.mock import Mock

from coarsefine import Campaign
from coarsefine.search.results.other_programs import OtherPrograms, StudyWatch
from coarsefine.search.storage.study_headers import StudyName


def test_one_long_check_delays_the_next_by_seconds():
    """After a check that took minutes, as while a database restarts, the next one comes after ten seconds."""
    now, checks = 0.0, []

    def standing(*_):
        nonlocal now
        checks.append(now)
        now += 600.0
        return SimpleNamespace(name="small/coarse", slots=3, others=(), changed=())

    storage = SimpleNamespace(queries=SimpleNamespace(standing=standing))
    study = Mock(planned=3, attrs={})
    study.name = "small/coarse"
    watch = StudyWatch(storage, study, OtherPrograms(print), lambda: None, lambda: now)
    watch.check_if_due()
    now += 9.0
    watch.check_if_due()
    now += 1.5
    watch.check_if_due()
    assert checks == [0.0, 610.5]


def test_stage_that_opens_meanwhile_is_of_no_other_program():
    """A stage that another process opens while the names of the studies are read is not named as another program's."""
    opened = StudyName(1, "digits/coarse", "digits", "coarse", "an identity")
    queries = SimpleNamespace(names=Mock(side_effect=[[], [opened], [opened]]))
    said = []
    OtherPrograms(said.append).say_studies(SimpleNamespace(queries=queries), Campaign.load("digits"), {})
    assert said == []

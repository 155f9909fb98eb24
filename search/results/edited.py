"""What other programs have edited of a study: its attributes, and the name and the direction of its values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from coarsefine.search.campaign.sections import CONFIRM, FINAL
from coarsefine.search.campaign.words import join_words
from coarsefine.search.storage.seal import DIRECTION, METRIC_NAMES, NAMED
from coarsefine.search.storage.study_headers import NoJson, StudyHeader
from coarsefine.search.storage.tables import ACCEPTED, ACCEPTED_VERSIONS, IDENTITY, OBJECTIVE, RETRIED, SEALED, Attrs

_MOST = 80
"""The most characters of a value that a message shows."""
_MOST_PLACES = 3
_LISTS = (ACCEPTED, ACCEPTED_VERSIONS, RETRIED)
"""Attributes that a study does not have when it is opened, and to which Coarsefine adds."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An attribute of a study that another program has changed or deleted."""

    key: str
    before: Any
    now: Any
    """None if the attribute was deleted."""
    is_copied: bool
    """Whether the study has a copy of what it was."""

    @property
    def text(self) -> str:
        """Return the edit in words, with the first places that differ."""
        places = [*differences(self.before, self.now, self.key)]
        shown = [f"{where} was {_short(before)}, now {_short(now)}" for where, before, now in places[:_MOST_PLACES]]
        return "; ".join([*shown, *(["…"] if len(places) > _MOST_PLACES else [])])

    @property
    def undo(self) -> str:
        """Return the statement that puts the attribute back, given Optuna's `storage`, a `study`'s id and its `copies`.

        Of user code there is no copy of the text, which stays as it is.
        """
        value = f"copies[{SEALED + self.key!r}]" if self.is_copied else repr(self.before)
        if self.key == OBJECTIVE and isinstance(self.now, dict):
            value = f"{{**storage.get_study_user_attrs(study)[{self.key!r}], **{value}}}"
        return f"storage.set_study_user_attr(study, {self.key!r}, {value})"


def differences(
    before: Any, now: Any, where: str, skip: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each place of two JSON values that differs, with what was and what is there; leave out places to `skip`.

    A place is named like `config.stage 1.trials`.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if not skip(place := f"{where}.{key}"):
                yield from differences(before.get(key), now.get(key), place, skip)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True), 1):
            yield from differences(*pair, f"{where} {number}", skip)
    elif before != now:
        yield where, before, now


@dataclass(frozen=True, slots=True)
class Restored(StudyHeader):
    """A study without its trials, with the attributes that Coarsefine wrote."""

    edits: tuple[Edit, ...] = ()
    """What another program has edited of them."""
    label_notes: tuple[str, ...] = ()
    """Sentences about the name and the direction of the values, if another program has changed them."""


def restored(study: StudyHeader) -> Restored:
    """Return a study as Coarsefine wrote it; of an earlier version's is known only what its `stage` must be."""
    found, copies = study.attrs, study.system_attrs
    written = {key.removeprefix(SEALED): value for key, value in copies.items() if key.startswith(SEALED)}
    unsealed = {key: [] for key in _LISTS if key in found} if "stage" in written else _by_name(study)
    known = {key: _with_text(key, value, found.get(key)) for key, value in {**unsealed, **written}.items()}
    edits = tuple(
        Edit(key, before, found.get(key), key in written)
        for key, before in known.items()
        if _is_edited(key, before, found)
    )
    attrs = {**found, **known}
    return Restored(study.id, study.name, attrs, copies, study.directions, edits, tuple(_label_notes(study)))


def stages_of(attrs: Attrs) -> list[Any]:
    """Return the names of all stages that a study's campaign can have, given its attributes, damaged or not."""
    config = attrs.get("config")
    stages = config.get("stage") if isinstance(config, dict) else None
    names = [each.get("name") for each in stages if isinstance(each, dict)] if isinstance(stages, list) else []
    return [*names, CONFIRM, FINAL]


def _with_text(key: str, before: Any, now: Any) -> Any:
    """Return what an attribute was; of user code its text, of which there is no copy, is what it is now."""
    return {**now, **before} if key == OBJECTIVE and isinstance(now, dict) and isinstance(before, dict) else before


def _is_edited(key: str, before: Any, found: Attrs) -> bool:
    return key not in found or isinstance(found[key], NoJson) or found[key] != before


def _by_name(study: StudyHeader) -> dict[str, Any]:
    """Return the attribute `stage` that a study of an earlier version must have if it is a stage's of its campaign."""
    campaign, _, stage = study.name.rpartition("/")
    attrs, names = study.attrs, stages_of(study.attrs)
    ours = attrs.get("campaign") == campaign and IDENTITY in attrs and stage in names
    return {"stage": stage} if ours and attrs.get("stage") not in names else {}


def _label_notes(study: StudyHeader) -> Iterator[str]:
    """Yield a sentence for each label of a study that another program has changed, on which no result depends."""
    copies, name = study.system_attrs, study.name
    if isinstance(before := copies.get(NAMED), list) and (now := copies.get(METRIC_NAMES)) != before:
        called = _short(join_words([str(each) for each in now])) if isinstance(now, list) and now else "nothing"
        yield (
            f"{name}: another program, such as Optuna, named the values {called} instead of "
            f"{_short(join_words(before))}: its dashboard shows that, and Coarsefine goes on with its own name."
        )
    if isinstance(before := copies.get(DIRECTION), str) and study.directions != [before]:
        now = ", ".join(study.directions).lower() or "none"
        yield (
            f"{name}: another program changed the direction of the values from {before.lower()} to {now}: Optuna and "
            "its dashboard rank its trials by that, and Coarsefine goes on as its campaign says."
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"

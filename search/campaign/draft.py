"""The text of a new campaign file for an objective, with comments that explain it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coarsefine.search.campaign.dimension import Dimension
from coarsefine.search.campaign.toml_form import range_line, toml_line

_COLUMN = 34
"""Where comments start, if the line before is not longer."""
_FORMS = (
    "# Choose a form for each parameter: [0.001, 1.0] is log-uniform; or { uniform = [0.0, 1.0] },",
    '# { integer = [1, 8] }, { choice = ["a", "b"] }. Then remove the # before its line.',
)
"""How ranges are written that are not known."""
_FEWEST_TO_PRUNE = 3
"""Epochs from which the stages prune."""
_CONFIRM = (("top", 4, "settings"), ("seeds", 5, "trials of each"))


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known about a new campaign."""

    objective: str
    """`package.module:function`."""
    trials: int
    """Trials of the coarse stage. The fine one has half as many."""
    epochs: int | None
    """How often a call reports; None if it does not report, or if that is not known."""
    space: Mapping[str, Dimension]
    """The ranges; empty if they are not known."""
    direction: str | None = None
    """"maximize" or "minimize"; None if it is not known."""
    comments: Mapping[str, str] = field(default_factory=dict)
    """What to say about a range, by parameter."""
    names: Sequence[str] = ()
    """Parameters whose ranges are not known."""
    notes: Sequence[str] = ()
    """Sentences at the head of the file."""

    @property
    def name(self) -> str:
        """Return the campaign's name, from that of the module, and of the function if that says something."""
        module, _, function = self.objective.partition(":")
        words = [module.rpartition(".")[2], *(function.split(".") if function != "objective" else ())]
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(words)).strip("-_")[:50]
        return name or "mine"


def campaign_text(draft: Draft) -> str:
    """Return a campaign file: a coarse stage, a fine one around its best trials, and a confirmation."""
    top = min(5, draft.trials)
    coarse = [("name", "coarse", ""), ("trials", draft.trials, "drawn from the whole ranges")]
    fine = [("name", "fine", ""), ("trials", max(1, draft.trials // 2), "drawn around the best trials of coarse")]
    narrow = ("narrow", {"top": top}, f"ranges from its {top} best trials, and a margin")
    halving = ("pruner", "halving", "the better half goes on after 10 % of the epochs, half of these after 40 %")
    pruner = [halving] if draft.epochs is not None and draft.epochs >= _FEWEST_TO_PRUNE else []
    blocks = [
        [f"# {note}" for note in draft.notes],
        [
            *_lines(("name", draft.name, ""), ("objective", draft.objective, "")),
            _direction(draft),
            _commented(f"# {toml_line('metric', _example_of(draft))}", "what tables and charts call the value"),
            *_epoch_lines(draft),
        ],
        ["[[stage]]", *_lines(*coarse, *pruner)],
        ["[stage.space]", *_space_lines(draft)],
        ["[[stage]]", *_lines(*fine, *pruner, narrow)],
        [_commented("[confirm]", "the best settings again, each on the same new seeds"), *_lines(*_CONFIRM)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _direction(draft: Draft) -> str:
    if draft.direction is None:
        return _commented(toml_line("direction", "maximize"), 'the highest value wins; or "minimize": the lowest')
    return _commented(toml_line("direction", draft.direction), "as the study of its module says")


def _example_of(draft: Draft) -> str:
    return "loss" if draft.direction == "minimize" else "accuracy"


def _epoch_lines(draft: Draft) -> list[str]:
    if draft.epochs is not None:
        return _lines(("epochs", draft.epochs, "how often a trial reports"))
    return [_commented("# epochs = 10", "how often a trial reports, if it does")] if draft.names else []


def _space_lines(draft: Draft) -> list[str]:
    known = [_commented(range_line(name, found), draft.comments.get(name, "")) for name, found in draft.space.items()]
    lines = [f"# {toml_line(name, [0.001, 1.0])}" for name in draft.names]
    return [*known, *_FORMS, *lines] if lines else known


def _lines(*items: tuple[str, object, str]) -> list[str]:
    return [_commented(toml_line(key, value), comment) for key, value, comment in items]


def _commented(line: str, comment: str) -> str:
    return f"{line.ljust(_COLUMN - 2)}  # {comment}" if comment else line

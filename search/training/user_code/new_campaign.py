"""A campaign file for a user's function, from its source, and from one call of it if it is an Optuna objective."""

import tomllib
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.draft import Draft, campaign_text
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.campaign.words import counted, join_words
from coarsefine.search.errors import CampaignError
from coarsefine.search.training.user_code.first_call import FirstCall, call_once
from coarsefine.search.training.user_code.function import Function, load_function
from coarsefine.search.training.user_code.module_source import direction_of, lines_text, parameters_of, unreached_lines
from coarsefine.search.training.user_code.optuna_trial import NO_CONDITIONS


def write_campaign(objective: str, epochs: int | None, trials: int, say: Callable[[str], None]) -> str:
    """Return the text of a campaign file that searches a function, `package.module:function`.

    `epochs` is how often the function reports; if it is None, an Optuna objective is called to its end.

    Raises `CampaignError` if the function cannot be imported or called, or asks for what no campaign can search.
    """
    module, colon, name = objective.partition(":")
    if not (module and colon and name):
        raise CampaignError(
            f"objective = '{objective}' names no function: give its module and its name, such as "
            f"{module.removesuffix('.py') or 'package.module'}:{name or 'objective'}."
        )
    function, call = load_function(objective)
    if function.form != "optuna":
        return campaign_text(_skeleton(function, epochs, trials, say))
    text = campaign_text(_draft(function, call, epochs, trials, say))
    try:
        Campaign.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise CampaignError(f"objective = '{objective}': {sentence(error, Campaign)}") from error
    return text


def _draft(
    function: Function, call: Callable[[Any], Any], epochs: int | None, trials: int, say: Callable[[str], None]
) -> Draft:
    """Call an Optuna objective, and return what it asked for."""
    direction = direction_of(function.name, function.file.read_text("utf-8"))
    until = "to its first report" if epochs else "to its end, to count its reports; with --epochs N, to its first"
    say(f"Calling {function.name} once, {until}.")
    found = call_once(function.name, call, function.file, to_first_report=epochs is not None)
    if epochs is None:
        reports = counted(found.reports, "report") if found.reports else "no report"
        say(f"It asked for {counted(len(found.space), 'parameter')}, and made {reports}.")
    notes = [*_about_pruned(found), *_about_unreached(function, found), *_about_loops(function, found)]
    for note in notes:
        say(note)
    if direction is None:
        say("Its module does not say whether the highest or the lowest value is the best: look at `direction`.")
    return Draft(
        function.name,
        trials,
        _epochs(found, epochs),
        found.space,
        direction,
        found.comments,
        notes=[_opening(function), *notes],
    )


def _epochs(found: FirstCall, given: int | None) -> int | None:
    return given if found.stopped else found.reports or None


def _opening(function: Function) -> str:
    return f"Written by `coarsefine init {function.name}`. Look at the ranges, then: coarsefine run THIS-FILE"


def _about_pruned(found: FirstCall) -> Sequence[str]:
    """Return a sentence if the call was not a whole one by the objective's own decision."""
    if not found.pruned:
        return []
    return [
        f"This call ended itself by TrialPruned after {counted(found.reports, 'report')}: set `epochs` to the reports "
        "of a whole one, and add what only a whole one asks for."
    ]


def _about_unreached(function: Function, found: FirstCall) -> Sequence[str]:
    """Return a sentence about parameters that the call did not ask for; none if it asked for all."""
    lines = unreached_lines(function.file.read_text("utf-8"), found.reached)
    if not lines:
        return []
    first = "before its first report, or " if found.stopped else ""
    return [
        f"This call did not reach {lines_text(lines)} of {function.file.name}, which also asks for a parameter: ask "
        f"for every parameter {first}in every trial, since {NO_CONDITIONS}."
    ]


def _about_loops(function: Function, found: FirstCall) -> Sequence[str]:
    """Return a sentence about parameters that one line asks for in a loop; none if there is no such line."""
    loops = {
        line: unique for (line, _), names in found.reached.names.items() if len(unique := dict.fromkeys(names)) > 1
    }
    return [
        f"Line {line} of {function.file.name} asked for {join_words([*names])}. If another parameter decides how many "
        f"these are, ask for the largest number of them in every trial: {NO_CONDITIONS}."
        for line, names in loops.items()
    ]


def _skeleton(function: Function, epochs: int | None, trials: int, say: Callable[[str], None]) -> Draft:
    """Return a draft without ranges: a plain function does not say which values its parameters may have."""
    names = parameters_of(function.file.read_text("utf-8"), function.name.partition(":")[2])
    note = f"{function.name} takes a point, so its ranges are not known: write them into [stage.space]" + (
        f" (it asks for {', '.join(names)})." if names else ", one line for each parameter."
    )
    say(note)
    return Draft(function.name, trials, epochs, {}, names=names or ["parameter"], notes=[_opening(function), note])

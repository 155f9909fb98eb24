"""What the source of user code shows before any trial: parameters it does not use, epochs it does not ask for.

The advice is given only if the source leaves no doubt: code may hand its point or its `report` to other modules.
"""

from collections.abc import Iterator, Sequence

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.command_line import variable_of
from coarsefine.search.campaign.words import counted, join_words
from coarsefine.search.training.user_code.command import Command
from coarsefine.search.training.user_code.epochs_remedy import ASKED
from coarsefine.search.training.user_code.function import PARAMETERS, Function
from coarsefine.search.training.user_code.module_source import asked_keys, only_calls


def advice(campaign: Campaign, code: Function | Command) -> Iterator[str]:
    """Yield sentences about what a campaign gives its code and the code does not use."""
    searched = [*campaign.stage[0].own_ranges]
    if unused := _unused(searched, code):
        them = "it" if len(unused) == 1 else "them"
        yield (
            f"{code.name} does not use {join_words(unused)}, which the campaign searches: use {them}, or take {them} "
            "out of the space."
        )
    epochs = {stage.name: campaign.epochs_of(stage) for stage in campaign.stages}
    (first, usual), *_ = epochs.items()
    other = next(((name, number) for name, number in reversed(epochs.items()) if number != usual), None)
    if other is not None and not _may_ask_epochs(code):
        yield (
            f"Stage '{first}' has {counted(usual, 'epoch')} and '{other[0]}' {other[1]}, and {code.name} does not ask "
            f"how many: have it report as often as {ASKED[code.form]} says, else '{other[0]}' fails."
        )


def _unused(names: Sequence[str], code: Function | Command) -> list[str]:
    """Return the parameters that code does not use for certain."""
    if isinstance(code, Command):
        words, text = " ".join(code.arguments), code.source.text
        if text is None or "{point_file}" in words or "COARSEFINE_P" in text:
            return []
        return [name for name in names if f"{{{name}}}" not in words and variable_of(name) not in words]
    asked = asked_keys(code.text, _function_name(code)) if code.text is not None and code.form == "plain" else None
    return [] if asked is None else [name for name in names if name not in asked]


def _may_ask_epochs(code: Function | Command) -> bool:
    """Return whether code may find out how many epochs its trial has."""
    if isinstance(code, Command):
        text = code.source.text
        return text is None or "{epochs}" in " ".join(code.arguments) or "COARSEFINE_EPOCHS" in text
    if code.text is None or "COARSEFINE_EPOCHS" in code.text or code.form == "optuna":
        return True
    return not only_calls(code.text, _function_name(code), PARAMETERS[code.form].index("report"))


def _function_name(code: Function) -> str:
    return code.name.rpartition(":")[2].rpartition(".")[2]

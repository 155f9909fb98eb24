from pathlib import Path

from coarsefine import (
    Campaign,
    CampaignError,
    DataError,
    NothingCompleted,
    SearchError,
    StorageError,
    UsageError,
    WorkersFailed,
    read_export,
    run,
)

try:
    Campaign.load("no-such-file.toml")
except CampaignError as error:  # a kind of UsageError
    print("campaign:", error)

try:
    read_export(Path("small.toml"))
except UsageError as error:
    print("usage:", error)

Path("notes.db").write_text("not a database", "utf-8")
try:
    run(Campaign.load("small.toml"), "notes.db")
except StorageError as error:
    print("storage:", error)

try:
    run(Campaign.load("paper"), data=Path("small.toml"))
except DataError as error:
    print("data:", error)

hopeless = Campaign.load("small.toml").model_dump(by_alias=True) | {"name": "hopeless"}
hopeless["stage"] = [{"name": "only", "trials": 2, "eta": [1e8, 1e9], "lambda": [1e-7, 0.1]}]
try:
    run(Campaign.model_validate(hopeless))
except (NothingCompleted, WorkersFailed) as error:
    print("search:", error)
except SearchError as error:
    print("any other error, with the exit code", error.exit_code)

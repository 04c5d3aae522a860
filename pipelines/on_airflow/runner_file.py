"""The runner file of Airflow: how the tasks run, beside the settings, which say what runs.

What passes through: `configs/airflow.yaml`, or a file like it, comes in, frozen values go out. Neither
TensorFlow nor TFX nor Airflow here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from pipelines.settings_fields import FilePath
from pipelines.yaml_file import read_yaml
from servable.errors import SettingsError


def _check_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError("is not the name of a timezone, such as Europe/Berlin") from error
    return name


Count = Annotated[StrictInt, Field(ge=1)]
Timezone = Annotated[StrictStr, AfterValidator(_check_timezone)]


class AirflowSettings(BaseModel):
    """How Airflow runs a pipeline.

    Attributes:
        dag_id: Name of the DAG; None for that of the pipeline.
        interpreter: Python that runs the tasks; None for the one that writes the DAG.
        retries: How often a task that could not do its work is tried again; a refused model is not.
        retry_delay_s: Pause before that, seconds.
        task_timeout_s: After so many seconds a task is killed.
        max_active_tasks: How many tasks of the DAG run at once.
        timezone: In which the schedule of the settings is meant.
        tags: Of the DAG.
        environment: Variables that the tasks' processes get.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_id: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")] | None = None
    interpreter: FilePath | None = None
    retries: Annotated[StrictInt, Field(ge=0)] = 2
    retry_delay_s: Annotated[StrictInt, Field(ge=0)] = 60
    task_timeout_s: Count = 7200
    max_active_tasks: Count = 4
    timezone: Timezone = "UTC"
    tags: tuple[StrictStr, ...] = ("servable",)
    environment: dict[StrictStr, StrictStr] = Field(default_factory=dict)


def load_airflow_settings(path: Path | None) -> AirflowSettings:
    """Reads a runner file.

    Args:
        path: YAML; None for every default. Relative paths in it are taken from its own folder.

    Raises:
        SettingsError: The file has faults; all of them are listed, each with its line.
    """
    if path is None:
        return AirflowSettings()
    file = read_yaml(path)
    faults = [(key_path, "is given twice") for key_path, _ in file.duplicates]
    try:
        settings = AirflowSettings.model_validate(
            {} if file.data is None else file.data, context={"folder": path.absolute().parent}
        )
    except ValidationError as error:
        faults += [(tuple(fault["loc"]), str(fault["msg"])) for fault in error.errors(include_url=False)]
    if not faults:
        return settings
    listed = [
        f"line {file.find_line(key_path)}: {'.'.join(map(str, key_path)) or 'the file'}: {message}"
        for key_path, message in faults
    ]
    raise SettingsError(
        "The runner file has faults.\n    " + "\n    ".join(listed),
        expected=f"keys as in configs/airflow.yaml: {', '.join(AirflowSettings.model_fields)}",
        where=str(path),
        advice="correct what is named; nothing was written",
    )

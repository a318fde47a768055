"""The launcher of sweeps, in the package where Hydra looks for launchers: ``hydra/launcher=flower_dgan``."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class FlowerDganLauncherConf:
    """Settings of the launcher; ``jobs`` is how many go at once, None for as many as the cores have threads for."""

    _target_: str = "hydra_plugins.flower_dgan_launcher.FlowerDganLauncher"
    jobs: int | None = None


ConfigStore.instance().store(
    group="hydra/launcher", name="flower_dgan", node=FlowerDganLauncherConf, provider="flower_dgan"
)


class FlowerDganLauncher(Launcher):
    """Runs jobs in forked processes, see :func:`flower_dgan.sweep.launcher.launch`."""

    def __init__(self, jobs: int | None) -> None:
        self._jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives every launcher."""
        self._hydra_context, self._task_function, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, those apart that finished in an earlier start."""
        # Imported here: Hydra imports this file wherever it composes anything.
        from flower_dgan.errors import DganError
        from flower_dgan.sweep.launcher import launch

        try:
            return launch(
                self._hydra_context, self._task_function, self._config, self._jobs, job_overrides, initial_job_idx
            )
        except DganError as error:
            raise CompactHydraException(str(error)) from error  # which Hydra shows without a traceback

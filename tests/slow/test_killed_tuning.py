"""A study killed by SIGKILL keeps its trials, and the next start continues with them."""

import json
import signal
from pathlib import Path

import pytest

from tests.play_files import write_checkerboard_csv
from tests.stack import new_stack

pytestmark = pytest.mark.slow

TUNE_AND_DIE = """
import os, signal
from recommendations.models import TuningTrial
from recommendations.training.tuning import run_tuning
save = TuningTrial.save
def save_and_die(trial, **options):
    save(trial, **options)
    if trial.number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
TuningTrial.save = save_and_die
run_tuning("killed", seconds=5)
"""
STUDIES = """
import json
from recommendations.models import TuningStudy
print(json.dumps([
    [study.status, study.trigger, [[t.number, t.parameters, str(t.at)] for t in study.trials.all()]]
    for study in TuningStudy.objects.all()
]))
"""


def test_a_killed_study_is_continued_with_its_trials(tmp_path: Path) -> None:
    stack = new_stack(tmp_path, MUSICREC_FACTORS="2", MUSICREC_GATE_MARGIN="1")
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    result = stack.manage("shell", "--verbosity", "0", "--command", TUNE_AND_DIE, check=False)
    assert result.returncode == -signal.SIGKILL
    [[status, trigger, trials]] = json.loads(stack.run_python(STUDIES))
    assert (status, trigger, [number for number, *_ in trials]) == ("running", "killed", [1, 2, 3])
    stack.manage("tune_model")
    [[status, trigger, after]] = json.loads(stack.run_python(STUDIES))
    assert (status in ("adopted", "no_better"), trigger) == (True, "killed")
    assert after[:3] == trials
    assert len(after) > 3

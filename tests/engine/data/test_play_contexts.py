from engine.data.play_contexts import ACTIVITY, DEVICE, PlayContexts, context_code
from tests.engine.context_world import PHONE, listening_world


def test_a_code_is_the_same_in_every_process_and_differs_between_kinds() -> None:
    assert context_code(DEVICE, "phone") == PHONE == -8800407993003797211
    assert context_code(ACTIVITY, "phone") != PHONE
    assert context_code(DEVICE, "") == context_code(ACTIVITY, "") == 0


def test_the_fingerprint_depends_on_every_row() -> None:
    _, contexts = listening_world()
    same, fewer = contexts.where(contexts.time > 0), contexts.where(contexts.time > contexts.time[0])
    assert contexts.fingerprint() == same.fingerprint() != fewer.fingerprint()
    assert len(PlayContexts.empty()) == 0

"""The admin pages of policies: the form, its preview, the history, and who may do what."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from access.models import User
from engine.pipeline import PERSONAL, POLICIES
from engine.policy import Caps, Dials
from experiments.exposures.log import slate_log
from experiments.models import Slate
from recommendations.admin.policies.form import PolicyForm
from recommendations.models import PolicyVersion
from recommendations.policies.selectors import find_policy, find_served_policy
from recommendations.policies.services import save_policy, use_policy
from recommendations.training.run import run_training
from tests.people import CatalogueFactory
from tracks.models import Track

LIST = "/admin/recommendations/policyversion/"
EDIT = f"{LIST}policy/personal/"
PREVIEW = f"{EDIT}preview"
VARIED = replace(PERSONAL, dials=replace(PERSONAL.dials, diversity=0.65))
USUAL = f"{PERSONAL.dials.diversity:g}"
Operators = Callable[..., Client]


@pytest.fixture
def operator_with(db: None) -> Operators:
    def sign_in(*permissions: str, superuser: bool = False) -> Client:
        user = User.objects.create_user("operator", is_staff=True, is_superuser=superuser)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def operator(operator_with: Operators) -> Client:
    return operator_with(superuser=True)


@pytest.fixture
def checkerboard(catalogue: CatalogueFactory) -> tuple[list[User], list[Track]]:
    users_and_tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return users_and_tracks


def form_values(policy: Any = PERSONAL, **changes: Any) -> dict[str, Any]:
    """Return what a browser sends of the form: switches that are off, and fields that are empty, as such."""
    values = {name: value for name, value in PolicyForm.values_of(policy).items() if value is not False}
    return values | changes


def test_the_form_makes_the_policy_that_it_shows(db: None) -> None:
    odd = replace(
        PERSONAL,
        name="calm",
        sources={"neighbours": 2.0, "personal": 0.25, "popular": 0.0},
        candidates=77,
        fill=("random",),
        may_repeat=False,
        offers_known=True,
        dials=Dials(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 7.5, 0.8),
        caps=Caps(3, 30, 4, False, 0.25),
    )
    for policy in (odd, *POLICIES.values()):
        form = PolicyForm(form_values(policy))
        assert form.is_valid(), form.errors
        assert form.policy == replace(policy, version=0)
        assert form.policy.main_source == policy.main_source


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"diversity": "1.2"}, "diversity", "must be a number from 0 to 1; correct it, or put the earlier value back"),
        ({"diversity": ""}, "diversity", "must be a number from 0 to 1; correct it, or put the earlier value back"),
        ({"freshness": "nan"}, "freshness", "must be a number from 0 to 1; correct it, or put the earlier value back"),
        ({"window": "0"}, "window", "must be a whole number from 1 to 200; correct it, or put the earlier value back"),
        ({"per_artist": "1.5"}, "per_artist", "must be a whole number from 0 to 200; correct it, or put the earlier"),
        ({"weight_popular": "11"}, "weight_popular", "must be a number from 0 to 10; correct it, or put the earlier"),
        (
            {"candidates": "9999"},
            "candidates",
            "must be a whole number from 1 to 2,000; correct it",
        ),
        ({"fill_2": "popular"}, "fill_2", "popular is tried before already; choose another source, or nothing"),
        ({"main_source": "oracle"}, "main_source", "Select a valid choice"),
        ({"name": "A b"}, "name", "must be 1 to 64 lower-case letters, digits and _, beginning with a letter"),
        ({"note": "x" * 513}, "note", "Ensure this value has at most 512 characters"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_saved(
    operator: Client, changes: dict[str, str], field: str, message: str
) -> None:
    response = operator.post(EDIT, form_values(VARIED, **changes))
    assert response.status_code == 200
    assert response.context["form"].errors.keys() == {field}
    assert response.context["form"].errors[field][0].startswith(message)
    assert "Nothing was saved" in response.content.decode()
    assert not PolicyVersion.objects.exists()


def test_a_policy_without_a_change_is_not_saved(operator: Client) -> None:
    response = operator.post(EDIT, form_values())
    assert "nothing differs from personal as built in; change a value first" in response.content.decode()
    assert not PolicyVersion.objects.exists()


def test_saving_adds_a_version_with_its_author_and_leaves_the_one_in_use(operator: Client) -> None:
    response = operator.post(EDIT, form_values(VARIED, note="more variety"))
    assert (response.status_code, response["Location"]) == (302, f"{EDIT}1/")
    row = PolicyVersion.objects.get()
    assert (str(row), row.note, str(row.author), row.in_use) == ("personal@1", "more variety", "operator", False)
    assert find_policy("personal", 1) == replace(VARIED, version=1)
    page = operator.get(f"{EDIT}1/").content.decode()
    assert "personal@1 is saved. It is not in use yet." in page
    assert "dials.diversity" in page
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_another_name_saves_a_further_policy(operator: Client) -> None:
    response = operator.post(EDIT, form_values(name="calm"))
    assert response["Location"] == f"{LIST}policy/calm/1/"
    assert find_policy("calm", 1) == replace(PERSONAL, name="calm", version=1)
    assert "answers no requests" in operator.get(f"{LIST}policy/calm/1/").content.decode()
    assert operator.get(f"{LIST}policy/calm/").status_code == 200


def test_a_version_is_used_after_a_confirmation_and_left_again(operator: Client) -> None:
    save_policy(VARIED)
    asked = operator.post(f"{EDIT}1/use")
    assert "Use personal@1 in place of personal as built in?" in asked.content.decode()
    assert find_served_policy("personal") == PERSONAL
    outdated = operator.post(f"{EDIT}1/use", {"confirmed": "personal@7 personal@1"})
    assert outdated.status_code == 200
    assert find_served_policy("personal") == PERSONAL
    operator.post(f"{EDIT}1/use", {"confirmed": "personal personal@1"})
    assert find_served_policy("personal") == replace(VARIED, version=1)
    operator.post(f"{EDIT}0/use", {"confirmed": "personal@1 personal"})
    assert find_served_policy("personal") == PERSONAL
    assert list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)) == [
        "Put into use in place of personal as built in.",
        "Put into use in place of personal@1.",
    ]


def test_a_version_is_compared_with_any_other(operator: Client) -> None:
    save_policy(VARIED)
    save_policy(replace(VARIED, candidates=50))
    use_policy("personal", 1)

    def changes(path: str) -> Any:
        return operator.get(f"{EDIT}{path}").context["changes"]

    assert changes("2/") == [("candidates", "200", "50")]
    assert changes("2/?with=0") == [("candidates", "200", "50"), ("dials.diversity", USUAL, "0.65")]
    assert changes("1/") == [("dials.diversity", USUAL, "0.65")]
    assert changes("0/") == [("dials.diversity", "0.65", USUAL)]


def test_a_version_is_exported(operator: Client) -> None:
    save_policy(VARIED)
    response = operator.get(f"{EDIT}1.json")
    assert response["Content-Disposition"] == 'attachment; filename="personal@1.json"'
    assert response.json() == replace(VARIED, version=1).to_dict()
    assert operator.get(f"{EDIT}0.json").json() == PERSONAL.to_dict()


@pytest.mark.parametrize("path", ["policy/none/", "policy/personal/9/", "policy/none/0.json", "99999/change/"])
def test_an_unknown_policy_is_not_found(operator: Client, path: str) -> None:
    assert operator.get(LIST + path).status_code == 404


def test_the_list_shows_what_is_in_use(operator: Client) -> None:
    save_policy(VARIED, note="more variety")
    use_policy("personal", 1)
    rows = {
        policy["name"]: policy["row"] and policy["row"].version for policy in operator.get(LIST).context["policies"]
    }
    assert rows == {"personal": 1, "early": None, "popular": None, "similar": None, "repeats": None, "radio": None}
    row = PolicyVersion.objects.get()
    assert operator.get(f"{LIST}{row.pk}/change/")["Location"] == f"{EDIT}1/"


def test_the_preview_shows_both_slates_and_writes_nothing(
    operator: Client, checkerboard: tuple[list[User], list[Track]]
) -> None:
    user = checkerboard[0][0]
    edited = replace(PERSONAL, sources={"popular": 1.0})
    response = operator.post(PREVIEW, form_values(edited, subject=str(user.pk)))
    preview = response.context["preview"]
    before, after = preview.slates
    assert preview.subject.title == "listener-0"
    assert (before.policy, after.policy) == ("In use: personal", "As edited")
    assert before.rows[0].title == "Song 0"
    assert {row.source for row in after.rows} == {"popular", "repeat"}
    assert preview.changes[0] == ("sources.personal", "1 (main)", "–")
    assert preview.notes == []
    slate_log.flush()
    assert not Slate.objects.exists()
    assert not PolicyVersion.objects.exists()


def test_the_preview_marks_what_moved(operator: Client, checkerboard: tuple[list[User], list[Track]]) -> None:
    edited = replace(PERSONAL, sources={"popular": 1.0})
    values = form_values(edited, subject=str(checkerboard[0][1].pk))
    before, after = operator.post(PREVIEW, values).context["preview"].slates
    places = {row.title: row.position for row in before.rows}
    expected = []
    for row in after.rows:
        up = places[row.title] - row.position if row.title in places else None
        expected.append("new" if up is None else f"▲ {up}" if up > 0 else f"▼ {-up}" if up else "")
    assert [row.move for row in after.rows] == expected
    assert any(expected)
    assert {row.move for row in before.rows} <= {"", "gone"}


def test_the_preview_finds_listeners_by_id_external_id_and_name(operator: Client, alice: User, bob: User) -> None:
    User.objects.filter(pk=alice.pk).update(external_id="x:alice", display_name="Alice Liddell")
    for text in (str(alice.pk), "x:alice", "liddell", " ALICE "):
        assert operator.post(PREVIEW, form_values(subject=text)).context["preview"].subject.key == str(alice.pk)
    User.objects.filter(pk=bob.pk).update(display_name="Bob Liddell")
    response = operator.post(PREVIEW, form_values(subject="liddell"))
    assert [subject.title for subject in response.context["subjects"]] == ["Alice Liddell", "Bob Liddell"]
    assert "Several fit" in response.content.decode()
    for text in ("nobody", "9" * 30, "٣", "%"):
        assert "There is no such listener" in operator.post(PREVIEW, form_values(subject=text)).content.decode()


def test_the_preview_of_similar_tracks_is_about_a_track(
    operator: Client, checkerboard: tuple[list[User], list[Track]]
) -> None:
    path = f"{LIST}policy/similar/"
    values = form_values(replace(POLICIES["similar"], candidates=3), subject="Song 12")
    preview = operator.post(f"{path}preview", values).context["preview"]
    assert (preview.subject.title, preview.subject.detail) == ("Song 12", "The Testers")
    assert len(preview.slates[0].rows) == 10
    assert operator.get(path).context["subject"]


def test_the_preview_says_when_another_policy_answers_the_listener(
    operator: Client, alice: User, checkerboard: tuple[list[User], list[Track]]
) -> None:
    CatalogueFactory.play(alice, checkerboard[1][0])
    preview = operator.post(PREVIEW, form_values(subject=str(alice.pk))).context["preview"]
    assert preview.notes == ["This listener is answered by early: 1 interactions. Below is what personal would answer."]
    values = form_values(POLICIES["early"], subject=str(alice.pk))
    assert operator.post(f"{LIST}policy/early/preview", values).context["preview"].notes == []


def test_the_preview_of_a_wrong_value_says_what_is_wrong(operator: Client, alice: User) -> None:
    response = operator.post(PREVIEW, form_values(subject=str(alice.pk), diversity="3"))
    assert "preview" not in response.context
    assert "Diversity must be a number from 0 to 1" in response.content.decode()


def test_titles_and_names_are_escaped(operator: Client, alice: User, catalogue: CatalogueFactory) -> None:
    User.objects.filter(pk=alice.pk).update(display_name="<script>name</script>")
    catalogue.tracks(1)
    Track.objects.update(title="<script>title</script>")
    body = operator.post(PREVIEW, form_values(subject=str(alice.pk))).content.decode()
    assert "&lt;script&gt;name" in body
    assert "&lt;script&gt;title" in body
    assert "<script>" not in body


def test_a_row_that_cannot_be_read_can_be_replaced(operator: Client) -> None:
    save_policy(VARIED)
    use_policy("personal", 1)
    PolicyVersion.objects.update(content={"mood": 1})
    assert operator.get(f"{EDIT}1/").status_code == 404
    assert operator.get(EDIT).context["base"] == PERSONAL
    assert operator.post(EDIT, form_values(VARIED))["Location"] == f"{EDIT}2/"
    operator.post(f"{EDIT}2/use", {"confirmed": "personal personal@2"})
    assert find_served_policy("personal") == replace(VARIED, version=2)


VIEW, ADD, CHANGE, LISTENERS = "view_policyversion", "add_policyversion", "change_policyversion", "view_listener"


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        ((), set()),
        ((LISTENERS,), set()),
        ((VIEW,), {"list", "version", "export"}),
        ((VIEW, CHANGE), {"list", "version", "export", "use"}),
        ((VIEW, ADD), {"list", "version", "export", "edit", "save"}),
        ((VIEW, ADD, LISTENERS), {"list", "version", "export", "edit", "save", "preview"}),
    ],
)
def test_each_permission_allows_its_pages(
    operator_with: Operators, alice: User, permissions: tuple[str, ...], allowed: set[str]
) -> None:
    save_policy(VARIED)
    client = operator_with(*permissions)
    responses = {
        "list": client.get(LIST),
        "version": client.get(f"{EDIT}1/"),
        "export": client.get(f"{EDIT}1.json"),
        "edit": client.get(EDIT),
        "preview": client.post(PREVIEW, form_values(subject=str(alice.pk))),
        "save": client.post(EDIT, form_values(replace(VARIED, candidates=3))),
        "use": client.post(f"{EDIT}1/use", {"confirmed": "personal personal@1"}),
    }
    assert {name for name, response in responses.items() if response.status_code < 400} == allowed
    assert {response.status_code for name, response in responses.items() if name not in allowed} <= {403}
    assert PolicyVersion.objects.count() == (2 if "save" in allowed else 1)
    assert find_served_policy("personal").version == (1 if "use" in allowed else 0)


def test_rows_are_neither_added_changed_nor_deleted_directly(operator: Client) -> None:
    row = save_policy(VARIED)
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(f"{LIST}{row.pk}/change/", {"note": "x"})
    operator.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert PolicyVersion.objects.get().note == ""

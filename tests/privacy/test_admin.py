from django.contrib.admin.models import LogEntry
from django.test import Client

from access.models import Erasure, User
from privacy.erasure import finish_erasures

LIST = "/admin/access/user/"


def test_deleting_a_listener_in_the_admin_erases_them(
    admin_client: Client, alice: User, bob: User, no_erasure_process: None
) -> None:
    admin_client.post(f"{LIST}{alice.pk}/delete/", {"post": "yes"})
    action = {"action": "delete_selected", "_selected_action": bob.pk, "post": "yes"}
    admin_client.post(LIST, action)
    assert set(Erasure.objects.values_list("user_id", flat=True)) == {alice.pk, bob.pk}
    assert not User.objects.filter(pk__in=[alice.pk, bob.pk], is_active=True).exists()
    finish_erasures()
    assert not User.objects.filter(pk__in=[alice.pk, bob.pk]).exists()


def test_deleting_an_operator_in_the_admin_deletes_the_account_at_once(admin_client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    admin_client.post(f"{LIST}{alice.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=alice.pk).exists()
    assert not Erasure.objects.exists()
    assert LogEntry.objects.filter(object_id=str(alice.pk)).exists()

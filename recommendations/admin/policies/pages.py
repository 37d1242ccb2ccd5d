"""Admin of policies: which versions are in use, a form with a preview, and the history of each policy."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE as CHANGED
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from access.models import User
from common.admin import ReadOnlyAdmin
from common.confirmation import Confirmation, confirmation_page, is_confirmed
from engine.pipeline import POLICIES, Policy
from recommendations.admin.policies.form import PolicyForm
from recommendations.admin.policies.preview import build_preview, find_subjects, suggest_subject
from recommendations.models import PolicyVersion
from recommendations.policies.documents import compare_policies, list_fields
from recommendations.policies.selectors import (
    BUILT_IN,
    UnknownPolicy,
    find_policy,
    find_served_policy,
    policy_names,
    version_in_use,
    versions_of,
)
from recommendations.policies.services import CannotSavePolicy, save_policy
from recommendations.services import put_policy_into_use

NOTHING = "no requests"
ANSWERS = {
    "personal": "personal slates of listeners with enough interactions",
    "early": "personal slates of listeners with few interactions",
    "popular": "listeners without interactions or without consent, and /recommend/user/{user_id}",
    "similar": "tracks similar to a track",
    "repeats": "the question about repeats of the evaluation",
    "radio": "the next tracks of radios",
}
WITHOUT_PREVIEW = {"radio"}  # a preview is about a listener or a track
VIEW, ADD, CHANGE = (f"recommendations.{verb}_policyversion" for verb in ("view", "add", "change"))
VIEW_LISTENERS = "recommendations.view_listener"


@dataclass(frozen=True)
class HistoryEntry:
    """A version in the history of a policy; `row` is None for the one that is built in."""

    version: int
    label: str
    row: PolicyVersion | None
    in_use: bool


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnlyAdmin):
    """Policies are edited on a page of their own, because saving adds a version instead of changing a row."""

    list_display = ["__str__", "in_use", "note", "author", "created_at", "used_at"]
    list_filter = ["name", "in_use"]
    list_select_related = ["author"]
    list_before_template = "recommendations/policies/overview.html"

    class Media:
        css = {"all": ["common/admin_pages.css"]}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "recommendations_policy"
        return [
            path("policy/<str:name>/", view(self.edit_view), name=f"{name}_edit"),
            path("policy/<str:name>/preview", view(require_POST(self.preview_view)), name=f"{name}_preview"),
            path("policy/<str:name>/<int:version>/", view(require_safe(self.version_view)), name=f"{name}_version"),
            path("policy/<str:name>/<int:version>/use", view(self.use_view), name=f"{name}_use"),
            path("policy/<str:name>/<int:version>.json", view(require_safe(self.export_view)), name=f"{name}_export"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        in_use = {row.name: row for row in PolicyVersion.objects.filter(in_use=True).select_related("author")}
        policies = [
            {
                "name": name,
                "answers": ANSWERS.get(name, NOTHING),
                "row": in_use.get(name),
                "is_built_in": name in POLICIES,
            }
            for name in policy_names()
        ]
        context = {"policies": policies, "may_edit": request.user.has_perm(ADD), **(extra_context or {})}
        return super().changelist_view(request, context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead from the list, and from the log of the admin, to the page of a version."""
        row: PolicyVersion | None = self.get_object(request, object_id)
        if row is None:
            raise Http404("This version does not exist.")
        return HttpResponseRedirect(_url("version", row.name, row.version))

    def edit_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the form, beginning with the version in use or that of `?from=`; save what it sends as a version."""
        _require(request, ADD)
        version = request.GET.get("from", "")
        served = _find(name)
        base = _find(name, int(version)) if version.isdecimal() else served
        may_preview = request.user.has_perm(VIEW_LISTENERS) and name not in WITHOUT_PREVIEW
        if request.method == "POST":
            form, subject = PolicyForm(request.POST), request.POST.get("subject", "")
            if form.is_valid() and (row := self._save(request, form)):
                return HttpResponseRedirect(_url("version", row.name, row.version))
        else:
            form, subject = PolicyForm(initial=PolicyForm.values_of(base)), ""
            if may_preview:
                subject = suggest_subject(name)
        context = {
            "form": form,
            "policy_name": name,
            "base": base,
            "served": served,
            "subject": subject,
            "may_preview": may_preview,
            "is_about_tracks": name == "similar",
            "answers": ANSWERS.get(name, NOTHING),
            "history": _history(name),
        }
        return self._render(request, "edit", f"Edit policy {name}", context)

    def _save(self, request: HttpRequest, form: PolicyForm) -> PolicyVersion | None:
        author = request.user if isinstance(request.user, User) else None
        try:
            row = save_policy(form.policy, note=form.cleaned_data["note"], author=author)
        except CannotSavePolicy as error:
            form.add_error(None, str(error))
            return None
        self.log_addition(request, row, [{"added": {}}])
        self.message_user(request, f"{row} is saved. It is not in use yet.", messages.SUCCESS)
        return row

    def preview_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Return two slates as a fragment of a page: by the version in use, and by the values of the form."""
        _require(request, ADD, VIEW_LISTENERS)
        if name in WITHOUT_PREVIEW:
            raise Http404("There is no preview of a radio: start one, and ask for its next tracks.")
        served, form = _find(name), PolicyForm(request.POST)
        context: dict[str, Any] = {"form": form, "is_about_tracks": name == "similar"}
        if form.is_valid():
            subjects = find_subjects(name, request.POST.get("subject", ""))
            context["subjects"] = subjects
            if len(subjects) == 1:
                context["preview"] = build_preview(subjects[0], served, form.policy)
        return TemplateResponse(request, "recommendations/policies/preview.html", context)

    def version_view(self, request: HttpRequest, name: str, version: int) -> HttpResponse:
        """Show a version, and how it differs from another one: the one of `?with=`, or the one in use."""
        _require(request, VIEW)
        policy, in_use, history = _find(name, version), version_in_use(name), _history(name)
        requested = request.GET.get("with", "")
        others = [entry.version for entry in history if entry.in_use and entry.version != version]
        others += [entry.version for entry in history if entry.version < version]
        other = _find(name, int(requested) if requested.isdecimal() else next(iter(others), version))
        context = {
            "policy": policy,
            "row": next(entry.row for entry in history if entry.version == version),
            "is_in_use": version == in_use,
            "in_use": in_use,
            "other": other,
            "changes": compare_policies(other, policy),
            "fields": list_fields(policy),
            "history": history,
            "may_edit": request.user.has_perm(ADD),
            "may_use": request.user.has_perm(CHANGE) and name in POLICIES,
            "answers": ANSWERS.get(name, NOTHING),
        }
        return self._render(request, "version", f"Policy {_title(policy)}", context)

    def use_view(self, request: HttpRequest, name: str, version: int) -> HttpResponse:
        """Put a version into use, or return the page that asks whether to."""
        page = _url("version", name, version)
        if request.method != "POST":  # the address of a confirmation, opened again
            return HttpResponseRedirect(page)
        _require(request, CHANGE)
        policy, before = _find(name, version), _find(name)
        confirmation = _confirm_use(before, policy)
        if not is_confirmed(request, confirmation.answer):
            return confirmation_page(self, request, confirmation, page)
        put_policy_into_use(name, version)
        row = versions_of(name).filter(version=version).first()
        LogEntry.objects.create(
            user_id=int(request.user.pk or 0),
            content_type=ContentType.objects.get_for_model(PolicyVersion),
            object_id=str(row.pk) if row else None,
            object_repr=_title(policy),
            action_flag=CHANGED,
            change_message=f"Put into use in place of {_title(before)}.",
        )
        self.message_user(request, f"{_title(policy)} is in use.", messages.SUCCESS)
        return HttpResponseRedirect(page)

    def export_view(self, request: HttpRequest, name: str, version: int) -> HttpResponse:
        """Send a version as a JSON file."""
        _require(request, VIEW)
        policy = _find(name, version)
        headers = {"Content-Disposition": f'attachment; filename="{policy.label}.json"'}
        return JsonResponse(policy.to_dict(), json_dumps_params={"indent": 2}, headers=headers)

    def _render(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> TemplateResponse:
        shared = self.admin_site.each_context(request) | {"opts": self.opts, "title": title, "media": self.media}
        return TemplateResponse(request, f"recommendations/policies/{template}.html", shared | context)


def _require(request: HttpRequest, *permissions: str) -> None:
    if not request.user.has_perms(permissions):
        raise PermissionDenied


def _url(page: str, *args: str | int) -> str:
    return reverse(f"admin:recommendations_policy_{page}", args=args)


def _title(policy: Policy) -> str:
    return policy.label if policy.version else f"{policy.name} as built in"


def _find(name: str, version: int | None = None) -> Policy:
    """Return a version of a policy, or without one what requests get. Raises Http404 with the reason for none."""
    try:
        return find_served_policy(name) if version is None else find_policy(name, version)
    except UnknownPolicy as error:
        raise Http404(str(error)) from error


def _history(name: str) -> list[HistoryEntry]:
    """Return the versions of a policy, the newest first, and the one that is built in last."""
    rows = list(versions_of(name))
    entries = [HistoryEntry(row.version, str(row), row, row.in_use) for row in rows]
    if name in POLICIES:
        entries.append(HistoryEntry(BUILT_IN, f"{name} (built in)", None, not any(row.in_use for row in rows)))
    return entries


def _confirm_use(before: Policy, after: Policy) -> Confirmation:
    changes = compare_policies(before, after)
    return Confirmation(
        question=f"Use {_title(after)} in place of {_title(before)}?",
        button=f"Use {_title(after)}",
        cancel=f"Keep {_title(before)}",
        consequences=[
            f"It answers {ANSWERS.get(after.name, NOTHING)}: from their next request on, in all processes.",
            "Answers that are cached are computed anew, so for some minutes requests take longer.",
            f"To undo this, use {_title(before)} again from the history of the policy.",
        ],
        headings=[_title(before), _title(after)],
        facts={path: [old, new] for path, old, new in changes},
        answer=f"{before.label} {after.label}",
        is_dangerous=False,
    )

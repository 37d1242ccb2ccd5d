import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import DatabaseCommand
from recommendations.policies.selectors import UnknownPolicy, find_policy_by_label


class Command(DatabaseCommand):
    help = "Print a version of a policy as JSON: by default the one in use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("policy", help="NAME or NAME@VERSION, such as personal@3; version 0 is the one built in")

    def handle(self, *args: Any, policy: str, **options: Any) -> None:
        try:
            document = find_policy_by_label(policy).to_dict()
        except UnknownPolicy as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(document, indent=2))

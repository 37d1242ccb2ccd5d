"""Compare the names that the Dart code of a guide takes from the generated client with those that the client has."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tree_sitter
import tree_sitter_dart

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_dart.language()))
# Types and members of Dart, Flutter, Dio and the packages that the guide adds to pubspec.yaml.
KNOWN = set(
    re.findall(
        r"\w+",
        """
        BaseOptions BuildContext Center CircularProgressIndicator DateTime Dio DioException Directory Duration
        ErrorInterceptorHandler File FileMode FlutterSecureStorage Function Future FutureBuilder Icon Icons
        Image Iterable List ListTile ListView Map Object QueuedInterceptor Random RequestInterceptorHandler
        RequestOptions SizedBox State StatefulWidget Stream StreamBuilder String Text TextButton Timer Uuid
        Widget

        add album append builder cancel catchError containsKey data delete exists extra fetch hasError
        headers inMilliseconds isEmpty join last length map network next nextDouble now path read readAsLines
        readAsString rename requestOptions resolve response round shrink skip statusCode take then toUtc
        tryParse v4 value write writeAsString
        """,
    )
)


def read_blocks(page: Path) -> list[str]:
    return re.findall(r"^```dart\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def read_signatures(client: Path) -> dict[str, set[str]]:
    """Return the named parameters of the client's methods and constructors, and the values of its enumerations."""
    signatures: dict[str, set[str]] = {}
    for file in client.glob("lib/src/**/*.dart"):
        source = re.sub(r"//.*", "", file.read_text())
        for name, parameters in re.findall(r"Future<Response<[^>]*>+ (\w+)\(\{(.*?)\}\) async", source, re.DOTALL):
            signatures[name] = set(re.findall(r"(\w+)(?: = [^,]+)?,", parameters))
        for name, parameters in re.findall(r"^  ([A-Z]\w+)\(\{(.*?)\}\)", source, re.DOTALL | re.MULTILINE):
            signatures[name] = set(re.findall(r"(?:this\.|\? )(\w+)", parameters))
        for name, values in re.findall(r"^enum (\w+) \{(.*?);", source, re.DOTALL | re.MULTILINE):
            signatures[name] = set(re.findall(r"(\w+)\(r'", values))
        for name in re.findall(r"(get\w+Api)\(\)", source):
            signatures[name] = set()
        for name in re.findall(r"^class (\w+)", source, re.MULTILINE):
            signatures.setdefault(name, set())
    return signatures


def find_unknown_names(block: str, signatures: dict[str, set[str]], own: set[str]) -> list[str]:
    """Return the types, members, arguments and values in a block that neither the guide nor the client defines."""
    nodes = list(_walk(PARSER.parse(block.encode()).root_node))
    if broken := [node.start_point.row + 1 for node in nodes if node.type == "ERROR" or node.is_missing]:
        return [f"syntax error in line {line}" for line in broken]
    fields = {parameter for parameters in signatures.values() for parameter in parameters}
    known = KNOWN | own | signatures.keys()
    unknown = []
    for node in nodes:
        name = node.text.decode()
        if node.type in ("identifier", "type_identifier"):
            is_member = node.parent.type in ("unconditional_assignable_selector", "conditional_assignable_selector")
            if is_member and name not in known | fields | {"fromJson", "toJson"}:
                unknown.append(f".{name}")
            if name[0].isupper() and name not in known:
                unknown.append(name)
    code = re.sub(r"(?m)^import.*", "", block)
    for match in re.finditer(r"(\w+)\(", code):
        if match[1] in signatures:
            arguments = _named_arguments(code, match.end())
            unknown += [f"{match[1]}({name}:)" for name in arguments if name not in signatures[match[1]]]
    for name, value in re.findall(r"\b([A-Z]\w+)\.(\w+)", code):
        if name in signatures and value not in signatures[name] | {"fromJson"}:
            unknown.append(f"{name}.{value}")
    return unknown


def find_own_names(block: str) -> set[str]:
    """Return the names of classes, methods and fields that a block defines."""
    definitions = {
        "class_definition",
        "function_signature",
        "getter_signature",
        "initialized_identifier",
        "constructor_param",
    }
    nodes = _walk(PARSER.parse(block.encode()).root_node)
    return {node.text.decode() for node in nodes if node.type == "identifier" and node.parent.type in definitions}


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _named_arguments(code: str, start: int) -> list[str]:
    """Return the names of the arguments of a call whose parenthesis ends at `start`."""
    depth, end = 1, start
    flat = ""
    while depth:
        character = code[end]
        depth += (character in "([{") - (character in ")]}")
        flat += character if depth == 1 else " "
        end += 1
    return re.findall(r"(?:^|,)\s*(\w+):", flat)

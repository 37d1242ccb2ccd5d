"""Generate clients in five languages, and a Postman collection, from the OpenAPI document.

`make clients` runs this. With `--schema URL` the document comes from a running server, whose address the clients then
contain.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from clients.collection import postman_collection

ROOT = Path(__file__).parent.parent
CONFIGS = Path(__file__).parent / "configs"  # of openapi-generator; their paths are relative to the output folder
LANGUAGES = sorted(config.stem for config in CONFIGS.glob("*.json"))
DOCUMENT = "openapi.json"
COLLECTION = "musicrec.postman_collection.json"


class GenerationFailed(Exception):
    """The document could not be written, or a generator failed; the message is what it printed."""


def write_document(path: Path, url: str = "") -> None:
    """Write the OpenAPI document of this checkout, or the one at `url`, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if url:
        with urllib.request.urlopen(url, timeout=30) as response:
            path.write_bytes(response.read())
    else:
        command = [
            sys.executable,
            "manage.py",
            "spectacular",
            "--format",
            "openapi-json",
            "--file",
            str(path.resolve()),
        ]
        _run(command, ROOT)


def generate_clients(output: Path) -> None:
    """Write a folder for each language, and the collection, beside the document in `output`.

    Raises:
        GenerationFailed: a generator failed.
    """
    for language in LANGUAGES:
        shutil.rmtree(output / language, ignore_errors=True)  # it may have models that no longer exist
    document = json.loads((output / DOCUMENT).read_bytes())
    (output / COLLECTION).write_text(json.dumps(postman_collection(document), indent=2) + "\n")
    configs = [str(CONFIGS / f"{language}.json") for language in LANGUAGES]
    generator = Path(sys.executable).with_name("openapi-generator-cli")
    if not generator.exists():
        raise GenerationFailed("the generators are not installed; `make clients` installs requirements-clients.txt")
    _run([str(generator), "batch", "--fail-fast", "--threads", str(os.cpu_count() or 1), *configs], output)


def _run(command: list[str], folder: Path) -> None:
    # The generators run for seconds, in which Java's second compiler costs more than it gains.
    environment = os.environ | {"JAVA_OPTS": "-XX:TieredStopAtLevel=1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise GenerationFailed(f"{' '.join(command)}\n{result.stdout}{result.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "var/clients", help="the folder to write to")
    parser.add_argument("--schema", default="", help="the URL of /schema of a running server")
    arguments = parser.parse_args()
    try:
        write_document(arguments.output / DOCUMENT, arguments.schema)
        generate_clients(arguments.output)
    except GenerationFailed as error:
        sys.exit(str(error))
    print(f"{', '.join(LANGUAGES)} and {COLLECTION} are in {arguments.output}")


if __name__ == "__main__":
    main()

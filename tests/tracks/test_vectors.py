from itertools import pairwise
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.features import load_content_features
from tracks.models import TrackVector
from tracks.selectors import catalogue_revision


def put(service: APIClient, path: str, body: Any) -> Any:
    return service.put(path, body, format="json")


def test_a_vector_is_stored_read_replaced_and_deleted(service: APIClient, catalogue: CatalogueFactory) -> None:
    [track] = catalogue.tracks(1)
    path = "/tracks/external:t:0/vectors/clap-v2"
    created = put(service, path, {"vector": [0.5, -1, 0]})
    assert created.status_code == 201, created.content
    updated_at = created.json()["updated_at"]
    stored = {"track_id": track.pk, "name": "clap-v2", "dimension": 3, "updated_at": updated_at}
    assert created.json() == stored | {"vector": [0.5, -1.0, 0.0]}
    assert service.get(path).json() == created.json()
    assert put(service, path, {"vector": [0.5, -1, 0]}).json()["updated_at"] == updated_at
    changed = put(service, f"/tracks/{track.pk}/vectors/clap-v2", {"vector": [1, 2, 3]})
    assert (changed.status_code, changed.json()["vector"]) == (200, [1.0, 2.0, 3.0])
    assert service.delete(path).status_code == 204
    assert_problem(service.get(path), 404)
    assert service.delete(path).status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({}, "#/vector", "required"),
        ({"vector": []}, "#/vector", "must be a list of 1 to 4096 numbers"),
        ({"vector": [1.0] * 4097}, "#/vector", "must be a list of 1 to 4096 numbers"),
        ({"vector": [1, "2"]}, "#/vector", "numbers only"),
        ({"vector": [1, True]}, "#/vector", "numbers only"),
        ({"vector": [1e39]}, "#/vector", "not finite as a 32-bit float"),
        ({"vector": [0, 0.0]}, "#/vector", "consists of zeros"),
        ({"vector": [1], "model": "clap"}, "#/model", "unknown field; this body accepts vector"),
    ],
)
def test_an_invalid_vector_is_refused(
    body: Any, pointer: str, detail: str, service: APIClient, catalogue: CatalogueFactory
) -> None:
    catalogue.tracks(1)
    problem = assert_problem(put(service, "/tracks/external:t:0/vectors/clap", body), 400)
    assert problem["errors"][0]["pointer"] == pointer
    assert detail in problem["errors"][0]["detail"]
    assert not TrackVector.objects.exists()


def test_unknown_tracks_and_odd_names_are_refused(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.tracks(1)
    for track in ("external:unknown", "999999", "9" * 30):
        assert_problem(put(service, f"/tracks/{track}/vectors/clap", {"vector": [1]}), 404)
    for name in ("CLAP!", "a%00b"):
        path = f"/tracks/external:t:0/vectors/{name}"
        for response in (put(service, path, {"vector": [1]}), service.get(path), service.delete(path)):
            assert assert_problem(response, 400)["errors"][0]["pointer"] == "{name}"


def test_the_vectors_of_one_name_cannot_be_listed(service: APIClient) -> None:
    assert_problem(service.get("/vectors/clap"), 405)


def test_vectors_of_one_name_have_one_dimension(service: APIClient, catalogue: CatalogueFactory) -> None:
    first, second = catalogue.tracks(2)
    put(service, f"/tracks/{first.pk}/vectors/clap", {"vector": [1, 2]})
    problem = assert_problem(put(service, f"/tracks/{second.pk}/vectors/clap", {"vector": [1, 2, 3]}), 400)
    advice = "the vectors called clap have 2; use another name for vectors of another model"
    assert problem["errors"] == [{"pointer": "#/vector", "detail": f"has 3 numbers, but {advice}"}]
    assert put(service, f"/tracks/{second.pk}/vectors/mert", {"vector": [1, 2, 3]}).status_code == 201


def test_many_vectors_are_stored_at_once_and_loaded_as_a_matrix(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    first, second, third = catalogue.tracks(3)
    body = [
        {"external_id": "t:2", "vector": [1, 0]},
        {"external_id": "t:0", "vector": [0, 1]},
        {"external_id": "t:1", "vector": [1, 2, 3]},
        {"external_id": "unknown", "vector": [1, 1]},
    ]
    answer = put(service, "/vectors/clap", {"vectors": body}).json()
    assert (answer["created"], [(r["index"], r["errors"][0]["pointer"]) for r in answer["rejected"]]) == (
        2,
        [(2, "#/vectors/2/vector"), (3, "#/vectors/3/external_id")],
    )
    assert answer["results"][0] == {"index": 0, "external_id": "t:2", "track_id": third.pk}
    rows, vectors = load_content_features([first.pk, second.pk, third.pk]).embeddings["clap"]
    assert (rows.tolist(), vectors.tolist()) == ([0, 2], [[0, 1], [1, 0]])


def test_a_vector_that_changes_gives_the_catalogue_a_new_revision(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    catalogue.tracks(1)
    path = "/tracks/external:t:0/vectors/clap"
    revisions = [catalogue_revision()]
    for method, body in (("put", [1, 2]), ("put", [1, 2]), ("put", [2, 1]), ("delete", None), ("delete", None)):
        getattr(service, method)(path, body and {"vector": body}, format="json")
        revisions.append(catalogue_revision())
    assert [one != other for one, other in pairwise(revisions)] == [True, False, True, True, False]

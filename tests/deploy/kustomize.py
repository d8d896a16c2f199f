"""As much of kustomize as ours use (https://kubectl.docs.kubernetes.io/references/kustomize/), for machines without it.

Whatever else a kustomization says is refused, and a test compares the result with that of `kubectl kustomize`.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec

from tests.deploy.manifests import Object, of_kind

_FIELDS = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "patches",
    "labels",
    "images",
    "configMapGenerator",
}
#: By which field the entries of a list are told apart (`patchMergeKey` in Kubernetes' API); other lists are replaced.
_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def load(path: Path) -> Any:
    """What a file of YAML says."""
    return msgspec.yaml.decode(path.read_bytes())


def build(folder: Path) -> list[Object]:
    """The objects that a kustomization makes. Generated names stay without the hash of what they name."""
    objects: list[Object] = []
    _add(objects, folder)
    return objects


def _add(objects: list[Object], folder: Path) -> None:
    said = load(folder / "kustomization.yaml")
    assert set(said) <= _FIELDS, set(said) - _FIELDS
    for name in said.get("resources", []):
        objects += build(folder / name) if (folder / name).is_dir() else [load(folder / name)]
    for each in said.get("configMapGenerator", []):
        _generate(objects, each)
    for each in said.get("patches", []):
        assert set(each) == {"path"}
        _patch(objects, load(folder / each["path"]))
    for name in said.get("components", []):
        _add(objects, folder / name)
    for each in said.get("labels", []):
        assert set(each) == {"pairs"}
        for one in objects:
            one["metadata"].setdefault("labels", {}).update(each["pairs"])
    for each in said.get("images", []):
        _rename(objects, each)
    if "namespace" in said:
        for one in objects:
            one["metadata"]["namespace"] = said["namespace"]


def _generate(objects: list[Object], said: Any) -> None:
    data = dict(literal.split("=", 1) for literal in said["literals"])
    if said.get("behavior") == "merge":
        (there,) = [each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"] == said["name"]]
        there["data"] |= data
    else:
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": said["name"]}, "data": data})


def _patch(objects: list[Object], patch: Object) -> None:
    (target,) = [
        each
        for each in objects
        if (each["kind"], each["metadata"]["name"]) == (patch["kind"], patch["metadata"]["name"])
        and each["apiVersion"] == patch["apiVersion"]
    ]
    if patch.get("$patch") == "delete":
        objects.remove(target)
    else:
        _merge(target, patch)


def _merge(target: Object, patch: Object) -> None:
    for name, value in patch.items():
        there = target.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            _merge(there, value)
        elif isinstance(value, list) and name in _KEYS and there is not None:
            _merge_lists(there, value, _KEYS[name])
        else:
            target[name] = deepcopy(value)


def _merge_lists(target: list[Object], patch: list[Object], key: str) -> None:
    for each in patch:
        there = [one for one in target if one[key] == each[key]]
        if each.get("$patch") == "delete":
            (gone,) = there
            target.remove(gone)
        elif there:
            _merge(there[0], each)
        else:
            target.append(deepcopy(each))


def _rename(objects: list[Object], said: Any) -> None:
    assert set(said) == {"name", "newName", "newTag"}
    renamed = 0
    for deployment in of_kind(objects, "Deployment"):
        for each in deployment["spec"]["template"]["spec"]["containers"]:
            if each["image"].rpartition(":")[0] == said["name"]:
                each["image"] = f"{said['newName']}:{said['newTag']}"
                renamed += 1
    assert renamed, f"no container has the image {said['name']}"

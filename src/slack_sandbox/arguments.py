"""The arguments of a Web API call, however the client sends them.

https://docs.slack.dev/apis/web-api#posting-json and the sections around it: query string, form, multipart
form or JSON. In forms, structured values are JSON in a string, and booleans are 1/0 or true/false.
"""

import json
from dataclasses import dataclass

from flask import Request

from slack_sandbox.errors import RefusedError
from slack_sandbox.messages import JsonObject

_TRUE = frozenset({"1", "true", "True"})


@dataclass(frozen=True, slots=True)
class Arguments:
    """A call's arguments by name, without the token."""

    values: JsonObject

    def __contains__(self, name: str) -> bool:
        """Say whether the argument was given; null is as good as not given."""
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """Return a string; a number becomes one, as in a form."""
        value = self.values.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        """Return a string that must be there. Raises `RefusedError` (invalid_arguments)."""
        if value := self.text(name):
            return value
        raise RefusedError("invalid_arguments", [f"missing required field: {name}"])

    def flag(self, name: str) -> bool:
        """Return a boolean, false if it is not given."""
        value = self.values.get(name)
        return str(value) in _TRUE

    def number(self, name: str, default: int) -> int:
        """Return a whole number. Raises `RefusedError` (invalid_arguments)."""
        text = self.text(name)
        if text and not text.isdecimal():
            raise RefusedError("invalid_arguments", [f"must be a number: {name}"])
        return int(text) if text else default

    def objects(self, name: str, code: str) -> tuple[JsonObject, ...]:
        """Return a list of objects. Raises `RefusedError` with `code` if it is something else."""
        found = self._decoded(name, code)
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise RefusedError(code)
        return tuple(found)

    def mapping(self, name: str, code: str) -> JsonObject | None:
        """Return an object. Raises `RefusedError` with `code` if it is something else."""
        found = self._decoded(name, code)
        if found is None or isinstance(found, dict):
            return found
        raise RefusedError(code)

    def _decoded(self, name: str, code: str) -> object:
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise RefusedError(code) from None


def read_arguments(request: Request) -> tuple[Arguments, str]:
    """Return a request's arguments and its token ("" without one).

    Raises `RefusedError`: invalid_json, json_not_object, invalid_form_data, invalid_post_type.
    """
    values: JsonObject = request.args.to_dict()
    if request.method == "POST":
        values |= _read_body(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    sent_as_argument = str(values.pop("token", None) or "")
    return Arguments(values), token.strip() if scheme.lower() == "bearer" else sent_as_argument


def _read_body(request: Request) -> JsonObject:
    match request.mimetype:
        case "application/json":
            return _read_json(request.get_data())
        case "application/x-www-form-urlencoded" | "multipart/form-data":
            form: JsonObject = request.form.to_dict()
            if not form and request.content_length:
                raise RefusedError("invalid_form_data")
            return form
        case _ if request.content_length:
            raise RefusedError("invalid_post_type")
    return {}


def _read_json(body: bytes) -> JsonObject:
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        raise RefusedError("invalid_json") from None
    if not isinstance(found, dict):
        raise RefusedError("json_not_object")
    return found

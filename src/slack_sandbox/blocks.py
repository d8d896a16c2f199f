"""What Slack checks in blocks, each limit beside the page it comes from.

A fault is a line as Slack writes it: `must be less than 3001 characters [json-pointer:/blocks/0/text/text]`.
Blocks that Alert Threader does not use (rich_text, table, video …) are known by name and not looked into.
"""

from collections.abc import Callable, Iterator
from typing import Any

#: https://docs.slack.dev/reference/block-kit/blocks on messages; modals may have more
MAX_BLOCKS = 50
#: https://docs.slack.dev/reference/block-kit/blocks: block_id
MAX_BLOCK_ID = 255
#: https://docs.slack.dev/reference/block-kit/blocks/header-block
MAX_HEADER = 150
#: https://docs.slack.dev/reference/block-kit/blocks/section-block
MAX_SECTION = 3000
MAX_FIELDS = 10
MAX_FIELD = 2000
#: https://docs.slack.dev/reference/block-kit/blocks/context-block
MAX_CONTEXT_ELEMENTS = 10
#: https://docs.slack.dev/reference/block-kit/composition-objects/text-object
MAX_TEXT = 3000
#: https://docs.slack.dev/reference/block-kit/blocks/actions-block
MAX_ACTIONS = 25
#: https://docs.slack.dev/reference/block-kit/block-elements/button-element
MAX_BUTTON_TEXT = 75
MAX_BUTTON_URL = 3000
MAX_BUTTON_VALUE = 2000
MAX_ACTION_ID = 255
#: https://docs.slack.dev/reference/block-kit/blocks/image-block
MAX_IMAGE_URL = 3000
MAX_ALT_TEXT = 2000

#: https://docs.slack.dev/reference/block-kit/block-elements/select-menu-element and checkboxes-element
MAX_OPTIONS = 100
MAX_CHECKBOXES = 10
MAX_PLACEHOLDER = 150
#: https://docs.slack.dev/reference/block-kit/composition-objects/option-object
MAX_OPTION_TEXT = 75
MAX_OPTION_VALUE = 150
#: https://docs.slack.dev/reference/block-kit/blocks/input-block
MAX_LABEL = 2000
#: https://docs.slack.dev/reference/views/modal-views
MAX_VIEW_TITLE = 24
MAX_CALLBACK_ID = 255
MAX_PRIVATE_METADATA = 3000
MAX_VIEW_BLOCKS = 100

_NOT_LOOKED_INTO = frozenset({"call", "context_actions", "file", "markdown", "rich_text", "table", "video"})
_PLAIN = frozenset({"plain_text"})
_ANY_TEXT = frozenset({"plain_text", "mrkdwn"})

Faults = Iterator[str]


def block_faults(blocks: object, path: str = "/blocks", most: int = MAX_BLOCKS) -> Faults:
    """Yield what is wrong with the blocks of a message, an attachment or a form (`path` says where they are)."""
    if not isinstance(blocks, list):
        yield _fault("must be an array", path)
        return
    if len(blocks) > most:
        yield _fault(f"no more than {most} items allowed", path)
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        here = f"{path}/{index}"
        if not isinstance(block, dict):
            yield _fault("must be an object", here)
            continue
        yield from _block_id_faults(block, here, seen)
        check = _CHECKS.get(str(block.get("type")))
        if check is not None:
            yield from check(block, here)
        elif block.get("type") not in _NOT_LOOKED_INTO:
            yield _fault(f"unsupported type: {block.get('type')}", f"{here}/type")


def _fault(what: str, where: str) -> str:
    return f"{what} [json-pointer:{where}]"


def _block_id_faults(block: dict[str, Any], path: str, seen: set[str]) -> Faults:
    block_id = block.get("block_id")
    if block_id is None:
        return
    if not isinstance(block_id, str) or len(block_id) > MAX_BLOCK_ID:
        yield _fault(f"must be a string of less than {MAX_BLOCK_ID + 1} characters", f"{path}/block_id")
    elif block_id in seen:
        yield _fault(f"block_id already exists: {block_id}", f"{path}/block_id")
    else:
        seen.add(block_id)


def _unknown_keys(node: dict[str, Any], allowed: frozenset[str], path: str) -> Faults:
    for key in node.keys() - allowed:
        yield _fault(f"invalid additional property: {key}", path)


def _string_faults(value: object, most: int, path: str) -> Faults:
    if not isinstance(value, str):
        yield _fault("must be a string", path)
    elif not value:
        yield _fault("must be more than 0 characters", path)
    elif len(value) > most:
        yield _fault(f"must be less than {most + 1} characters", path)


def _text_faults(text: object, kinds: frozenset[str], most: int, path: str) -> Faults:
    if not isinstance(text, dict):
        yield _fault("must be a text object", path)
        return
    if text.get("type") not in kinds:
        yield _fault(f"unsupported type: {text.get('type')}", f"{path}/type")
        return
    # `emoji` belongs to plain_text and `verbatim` to mrkdwn: the text object's page.
    own = "emoji" if text["type"] == "plain_text" else "verbatim"
    yield from _unknown_keys(text, frozenset({"type", "text", own}), path)
    yield from _string_faults(text.get("text"), most, f"{path}/text")


def _items_faults(items: object, most: int, path: str) -> Faults:
    if not isinstance(items, list) or not items:
        yield _fault("must be an array of at least one item", path)
    elif len(items) > most:
        yield _fault(f"no more than {most} items allowed", path)


def _header_faults(block: dict[str, Any], path: str) -> Faults:
    yield from _unknown_keys(block, frozenset({"type", "block_id", "text", "level"}), path)
    yield from _text_faults(block.get("text"), _PLAIN, MAX_HEADER, f"{path}/text")


def _section_faults(block: dict[str, Any], path: str) -> Faults:
    yield from _unknown_keys(block, frozenset({"type", "block_id", "text", "fields", "accessory", "expand"}), path)
    if block.get("text") is None and block.get("fields") is None:
        yield _fault("must define either `text` or `fields`", path)
    if block.get("text") is not None:
        yield from _text_faults(block["text"], _ANY_TEXT, MAX_SECTION, f"{path}/text")
    if block.get("fields") is not None:
        yield from _items_faults(block["fields"], MAX_FIELDS, f"{path}/fields")
        for index, item in enumerate(_as_list(block["fields"])):
            yield from _text_faults(item, _ANY_TEXT, MAX_FIELD, f"{path}/fields/{index}")
    accessory = block.get("accessory")
    if accessory is not None:
        yield from _element_faults(accessory, f"{path}/accessory")


def _context_faults(block: dict[str, Any], path: str) -> Faults:
    yield from _unknown_keys(block, frozenset({"type", "block_id", "elements"}), path)
    yield from _items_faults(block.get("elements"), MAX_CONTEXT_ELEMENTS, f"{path}/elements")
    for index, element in enumerate(_as_list(block.get("elements"))):
        here = f"{path}/elements/{index}"
        if isinstance(element, dict) and element.get("type") == "image":
            yield from _image_faults(element, here)
        else:
            yield from _text_faults(element, _ANY_TEXT, MAX_TEXT, here)


def _actions_faults(block: dict[str, Any], path: str) -> Faults:
    yield from _unknown_keys(block, frozenset({"type", "block_id", "elements"}), path)
    yield from _items_faults(block.get("elements"), MAX_ACTIONS, f"{path}/elements")
    for index, element in enumerate(_as_list(block.get("elements"))):
        yield from _element_faults(element, f"{path}/elements/{index}")


def _divider_faults(block: dict[str, Any], path: str) -> Faults:
    yield from _unknown_keys(block, frozenset({"type", "block_id"}), path)


def _image_faults(node: dict[str, Any], path: str) -> Faults:
    if node.get("slack_file") is None:
        yield from _string_faults(node.get("image_url"), MAX_IMAGE_URL, f"{path}/image_url")
    yield from _string_faults(node.get("alt_text"), MAX_ALT_TEXT, f"{path}/alt_text")


def _element_faults(element: object, path: str) -> Faults:
    if not isinstance(element, dict) or not isinstance(element.get("type"), str):
        yield _fault("must be an object with a type", path)
    elif element["type"] == "button":
        yield from _button_faults(element, path)
    elif element["type"] == "image":
        yield from _image_faults(element, path)
    elif element["type"] == "static_select":
        yield from _select_faults(element, path)
    elif element["type"] == "checkboxes":
        yield from _options_faults(element, MAX_CHECKBOXES, path)
    elif element["type"] == "plain_text_input" and element.get("placeholder") is not None:
        yield from _text_faults(element["placeholder"], _PLAIN, MAX_PLACEHOLDER, f"{path}/placeholder")


def _select_faults(select: dict[str, Any], path: str) -> Faults:
    yield from _text_faults(select.get("placeholder"), _PLAIN, MAX_PLACEHOLDER, f"{path}/placeholder")
    yield from _string_faults(select.get("action_id"), MAX_ACTION_ID, f"{path}/action_id")
    yield from _options_faults(select, MAX_OPTIONS, path)


def _options_faults(element: dict[str, Any], most: int, path: str) -> Faults:
    yield from _items_faults(element.get("options"), most, f"{path}/options")
    for index, option in enumerate(_as_list(element.get("options"))):
        here = f"{path}/options/{index}"
        if not isinstance(option, dict):
            yield _fault("must be an object", here)
            continue
        yield from _text_faults(option.get("text"), _ANY_TEXT, MAX_OPTION_TEXT, f"{here}/text")
        yield from _string_faults(option.get("value"), MAX_OPTION_VALUE, f"{here}/value")


def view_faults(view: dict[str, Any]) -> Faults:
    """Yield what is wrong with a form."""
    if view.get("type") != "modal":
        yield _fault("must be modal", "/view/type")
    for name in ("title", "submit", "close"):
        if name == "title" or view.get(name) is not None:
            yield from _text_faults(view.get(name), _PLAIN, MAX_VIEW_TITLE, f"/view/{name}")
    for name, most in (("callback_id", MAX_CALLBACK_ID), ("private_metadata", MAX_PRIVATE_METADATA)):
        if len(str(view.get(name) or "")) > most:
            yield _fault(f"must be less than {most + 1} characters", f"/view/{name}")
    yield from block_faults(view.get("blocks"), "/view/blocks", MAX_VIEW_BLOCKS)


def _input_faults(block: dict[str, Any], path: str) -> Faults:
    allowed = frozenset({"type", "block_id", "label", "element", "hint", "optional", "dispatch_action"})
    yield from _unknown_keys(block, allowed, path)
    yield from _text_faults(block.get("label"), _PLAIN, MAX_LABEL, f"{path}/label")
    yield from _element_faults(block.get("element"), f"{path}/element")


def _button_faults(button: dict[str, Any], path: str) -> Faults:
    yield from _text_faults(button.get("text"), _PLAIN, MAX_BUTTON_TEXT, f"{path}/text")
    for key, most in (("action_id", MAX_ACTION_ID), ("value", MAX_BUTTON_VALUE), ("url", MAX_BUTTON_URL)):
        if button.get(key) is not None:
            yield from _string_faults(button[key], most, f"{path}/{key}")
    url = button.get("url")
    if isinstance(url, str) and url and "://" not in url and not url.startswith("mailto:"):
        yield _fault("invalid url", f"{path}/url")
    if button.get("style") not in {None, "primary", "danger"}:
        yield _fault("must be one of: primary, danger", f"{path}/style")


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


_CHECKS: dict[str, Callable[[dict[str, Any], str], Faults]] = {
    "actions": _actions_faults,
    "context": _context_faults,
    "divider": _divider_faults,
    "header": _header_faults,
    "image": _image_faults,
    "input": _input_faults,
    "section": _section_faults,
}

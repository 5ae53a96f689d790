"""EC2's query protocol: form parameters in, XML out, both by botocore's model of the API.

The model is the one the clients carry, so every version of boto3 and of the command line reads the
answers; element names are the API's own (`locationName` and `queryName` in the service model).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

from botocore.loaders import Loader
from botocore.model import ListShape, ServiceModel, Shape, StructureShape

from .errors import AwsError, invalid_value

Params = dict[str, Any]
Answer = dict[str, Any]
Tree = dict[str, Any]

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
LEAF = ""


@cache
def service_model() -> ServiceModel:
    """The EC2 model, read once (0.2 s)."""
    return ServiceModel(Loader().load_service_model("ec2", "service-2"), "ec2")


def parse(action: str, form: Mapping[str, str]) -> Params:
    """Turn the form of a request into parameters with boto3's names and types.

    Raises:
        AwsError: the action is none of EC2's, or a parameter is unknown, missing or of wrong type.
    """
    model = service_model()
    if action not in model.operation_names:
        raise AwsError("InvalidAction", f"The action {action} is not valid for this web service.")
    shape = model.operation_model(action).input_shape
    tree: Tree = {}
    for key, value in form.items():
        if key not in ("Action", "Version", "AWSAccessKeyId"):
            _plant(tree, key.split("."), value)
    return {} if shape is None else _structure(shape, tree, "")


def render(action: str, answer: Answer) -> bytes:
    """Turn an answer with boto3's names into the action's XML."""
    root = ET.Element(f"{action}Response", xmlns=NAMESPACE)
    ET.SubElement(root, "requestId").text = str(uuid4())
    shape = service_model().operation_model(action).output_shape
    if shape is None:
        ET.SubElement(root, "return").text = "true"
    else:
        _write_members(root, shape, answer)
    return _document(root)


def render_error(error: AwsError) -> bytes:
    """EC2's form of an error."""
    root = ET.Element("Response")
    element = ET.SubElement(ET.SubElement(root, "Errors"), "Error")
    ET.SubElement(element, "Code").text = error.code
    ET.SubElement(element, "Message").text = error.message
    ET.SubElement(root, "RequestID").text = str(uuid4())
    return _document(root)


def _document(root: ET.Element) -> bytes:
    return bytes(ET.tostring(root, encoding="UTF-8", xml_declaration=True))


def _plant(tree: Tree, path: list[str], value: str) -> None:
    for part in path:
        tree = tree.setdefault(part, {})
    tree[LEAF] = value


def _query_name(member: str, shape: Shape) -> str:
    """The name of a parameter: the EC2 protocol capitalises the XML name unless told otherwise."""
    names = shape.serialization
    if "queryName" in names:
        return str(names["queryName"])
    name = str(names.get("name", member))
    return name[0].upper() + name[1:]


def _structure(shape: Shape, tree: Tree, prefix: str) -> Params:
    assert isinstance(shape, StructureShape)
    members = {_query_name(name, member): name for name, member in shape.members.items()}
    for given in tree:
        if given not in members and given != LEAF:
            raise AwsError("UnknownParameter", f"The parameter {prefix}{given} is not recognized")
    params = {
        members[given]: _value(shape.members[members[given]], branch, prefix + given)
        for given, branch in tree.items()
        if given != LEAF
    }
    for required in shape.required_members:
        if required not in params:
            raise AwsError(
                "MissingParameter",
                f"The request must contain the parameter {prefix}{required}",
            )
    return params


def _value(shape: Shape, tree: Tree, name: str) -> Any:
    if isinstance(shape, ListShape):
        try:
            ordered = sorted(((int(i), branch) for i, branch in tree.items() if i != LEAF))
        except ValueError as error:
            raise AwsError("InvalidParameterValue", f"{name} must be numbered") from error
        return [_value(shape.member, branch, f"{name}.{i}") for i, branch in ordered]
    if isinstance(shape, StructureShape):
        return _structure(shape, tree, name + ".")
    text = tree.get(LEAF, "")
    try:
        return _scalar(shape, text)
    except (ValueError, binascii.Error) as error:
        raise invalid_value(text, name) from error


def _scalar(shape: Shape, text: str) -> Any:
    match shape.type_name:
        case "integer" | "long":
            return int(text)
        case "float" | "double":
            return float(text)
        case "boolean":
            if text.lower() not in ("true", "false"):
                raise ValueError(text)
            return text.lower() == "true"
        case "blob":
            return base64.b64decode(text, validate=True)
        case "timestamp":
            return datetime.fromisoformat(text.replace("Z", "+00:00"))
        case _:
            return text


def _write_members(parent: ET.Element, shape: Shape, value: Mapping[str, Any]) -> None:
    assert isinstance(shape, StructureShape)
    for name, content in value.items():
        member = shape.members[name]
        if content is not None:
            _write(parent, str(member.serialization.get("name", name)), member, content)


def _write(parent: ET.Element, name: str, shape: Shape, value: Any) -> None:
    element = ET.SubElement(parent, name)
    if isinstance(shape, StructureShape):
        _write_members(element, shape, value)
    elif isinstance(shape, ListShape):
        item = str(shape.member.serialization.get("name", "item"))
        for content in value:
            _write(element, item, shape.member, content)
    else:
        element.text = _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return (
            value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            + f"{value.microsecond:06d}"[:3]
            + "Z"
        )
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)

"""Parts of the OpenAPI document that all routes share."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from serve.errors import PROBLEM
from serve.schemas import LINES, LISTS, ExplainFields, Problem, ScoreFields

STATUSES = (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 431, 500, 503, 504)

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": "Problem details",
        "model": Problem,
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status in STATUSES
}
"""The errors of every route below `/v1`."""


SCHEMA_REF = "#/components/schemas/{model}"
"""How a schema of a body names the definitions that it brings in `$defs`."""


def describe_security(app: FastAPI, *, open_to_all: bool) -> None:
    """Complete the OpenAPI document: security scheme, definitions of bodies, and only media types that errors have."""

    def document() -> dict[str, Any]:
        """Return the OpenAPI document, which is made once."""
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schema.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path, item in schema["paths"].items():
                for operation in item.values():
                    if path.startswith("/v1/") and not open_to_all:
                        operation["security"] = [{"key": []}]
                    _only_problems(operation)
                    for body in operation.get("requestBody", {}).get("content", {}).values():
                        schema["components"]["schemas"].update(body["schema"].pop("$defs", {}))
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's manual says


def _only_problems(operation: dict[str, Any]) -> None:
    for response in operation["responses"].values():
        if PROBLEM in response.get("content", {}):
            # FastAPI lists the model of a response under this type as well.
            response["content"].pop("application/json", None)


def request_bodies(json_body: type[BaseModel], max_files: int) -> dict[str, Any]:
    """Return the OpenAPI schemas of the two bodies of a request: a form with `file`, and JSON."""
    form = (ExplainFields if issubclass(json_body, ExplainFields) else ScoreFields).model_json_schema()
    for field in form["properties"].values():
        if "anyOf" in field:  # with null, which no form can send: its fields are absent instead
            field |= field.pop("anyOf")[0]
        field.pop("default", None)
    file: dict[str, Any] = {"type": "string", "format": "binary"}
    if max_files > 1:
        file = {"type": "array", "items": file, "minItems": 2, "maxItems": max_files}
    form["properties"] = {"file": file, **form["properties"]}
    for name, pattern in LISTS.items():
        about = "separated by spaces or commas"
        form["properties"][name] = {"type": "string", "pattern": pattern, "description": about}
    for name in set(LINES) & set(form["properties"]):
        form["properties"][name] = {"type": "string", "description": "a line each"}
    form |= {"title": "Upload", "description": "Videos and their context.", "required": ["file"]}
    schemas = {"multipart/form-data": form, "application/json": json_body.model_json_schema()}
    content = {kind: {"schema": schema} for kind, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}

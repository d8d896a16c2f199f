"""The ceiling: a Flask route that reads the body and answers. Nobody who uses Flask can be faster."""

from flask import Flask, Response, jsonify, request


def app() -> Flask:
    """The WSGI application."""
    made = Flask("bench.noop")

    @made.post("/alert")
    def receive() -> Response:
        request.get_data()
        return jsonify(ok=True)

    @made.get("/health")
    def health() -> Response:
        return jsonify(ok=True)

    return made

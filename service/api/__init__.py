"""The HTTP API: routes by resource, middleware, errors, exports and the OpenAPI document."""

"""Options of requests and parameters of config.pbtxt, decoded into dataclasses."""

"""Grafana's dashboards, as the JSON files that deploy/grafana/ has of them."""

"""What `workspace.yaml` loads. Nothing else belongs here."""

from pipelines.orchestration.build import build_definitions
from pipelines.settings import load_settings

defs = build_definitions(load_settings())

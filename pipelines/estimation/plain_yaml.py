"""YAML as people write codes in it: only true and false are truth values, and a code such as 01 stays text.

Belongs here: how scalars are read, keys that stand twice. Does not belong here: what a key means (spec).
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2: Yes, No, On, Off, dates and 1:30 are text."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            raise yaml.constructor.ConstructorError(None, None, "half a letter", node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:null":
                key_node.tag = "tag:yaml.org,2002:str"  # null is the name of a key, as of a t test
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} stands twice", key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {}
_NUMBER = r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.nan"
for _tag, _pattern in (
    ("bool", "true|True|TRUE|false|False|FALSE"),
    ("null", "~|null|Null|NULL|"),
    ("int", "[-+]?(?:0|[1-9][0-9]{0,99})"),
    ("float", _NUMBER),
    ("merge", "<<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), None)


def read_yaml(text: str) -> object:
    """The document in a text.

    Raises:
        yaml.YAMLError: it is not YAML, a key stands twice in one mapping, or there are too many layers.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise yaml.YAMLError("lists or mappings within each other in some line, hundreds deep") from None

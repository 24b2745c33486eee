"""The bill of materials of a release: the packages that it was made with, as CycloneDX JSON.

Belongs here: what the document says and that the same packages give the same bytes. Does not belong here: which
packages those are (packages), whether they are the ones that the lock file names (tests/audit).
"""

import datetime
import uuid
from collections.abc import Sequence
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from pipelines.release.packages import Package

SBOM = "sbom.cdx.json"


def write_sbom(
    packages: Sequence[Package], target: Path, *, root: str, published: datetime.datetime, lock_sha256: str | None
) -> None:
    """Write the packages of a release.

    Args:
        packages: `root` and all that it needs (`packages.needed_by`).
        root: the package that is described; the others are its components.
        published: the announced moment of the release, which stands for the document's: no clock is read.
        lock_sha256: hash of the lock file, which has the hashes of the packages' files; None where there is none.
    """
    components = {one.name: _component(one, root) for one in packages}
    bom = Bom(
        components=[component for name, component in components.items() if name != root],
        metadata=BomMetaData(component=components[root], timestamp=published.astimezone(datetime.UTC)),
    )
    for one in packages:
        bom.register_dependency(components[one.name], [components[name] for name in one.requires])
    if lock_sha256 is not None:
        # A package has a file for each system, with a hash of its own: which of them was installed nobody wrote down
        lock = Component(
            type=ComponentType.FILE,
            name="requirements.lock",
            bom_ref="requirements.lock",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=lock_sha256)],
        )
        bom.components.add(lock)
    told = ("axstat sbom", published.isoformat(), str(lock_sha256), *map(repr, packages))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, "\n".join(told))
    target.write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n", encoding="utf-8")


def _component(package: Package, root: str) -> Component:
    """A package; axstat itself is on no registry and has no address there."""
    purl = PackageURL("pypi", name=package.name, version=package.version)
    return Component(
        type=ComponentType.APPLICATION if package.name == root else ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=package.name,
        purl=None if package.name == root else purl,
        licenses=[LicenseFactory().make_from_string(package.licence)] if package.licence else [],
    )

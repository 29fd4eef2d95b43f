"""Every lifecycle, in the order in which they are shown."""

from typing import Final

from docgen.lifecycles.campaign import CAMPAIGN_LIFECYCLE
from docgen.lifecycles.certificate import CERTIFICATE
from docgen.lifecycles.exploring import Lifecycle
from docgen.lifecycles.institution import INSTITUTION
from docgen.lifecycles.person import PERSON
from docgen.lifecycles.quota import QUOTA
from docgen.lifecycles.restriction import RESTRICTING
from docgen.lifecycles.trainee import TRAINEE
from docgen.lifecycles.training_class import TRAINING_CLASS

LIFECYCLES: Final[tuple[Lifecycle, ...]] = (
    TRAINEE,
    RESTRICTING,
    TRAINING_CLASS,
    QUOTA,
    CAMPAIGN_LIFECYCLE,
    PERSON,
    INSTITUTION,
    CERTIFICATE,
)
